"""What Python code of the user's own is: a file, and those beside it that it imports. None is run."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache

from . import files

_MOST = 1 << 24  # bytes of a file that is read


def digest_of(path: str) -> str:
    """SHA-256 of the file and of every file that it imports from its folder, wherever in it an import stands.

    What is imported by a name that is not written down is not seen. Raises `OSError` where the file cannot be read.
    """
    folder, first = os.path.split(os.path.abspath(path))
    found: dict[str, str] = {}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name not in found:
            content = files.read_whole(os.path.join(folder, name), _MOST)
            found[name] = hashlib.sha256(content).hexdigest()
            waiting += _imported(folder, name, content) if name.endswith(".py") else ()
    if len(found) == 1:
        return found[first]
    return hashlib.sha256(json.dumps(found, sort_keys=True, allow_nan=False).encode()).hexdigest()


def parameters_of(path: str, function: str) -> frozenset[str] | None:
    """The names of the parameters of a function, or of what makes a class, as its file has them.

    None where only running the code can tell. Raises `OSError` where the file cannot be read.
    """
    return _parameters(files.read_whole(path, _MOST), function)


@lru_cache(maxsize=8)
def _parameters(content: bytes, function: str) -> frozenset[str] | None:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    made = _only(tree, function)
    if isinstance(made, ast.ClassDef):
        made = _only(made, "__init__") if not made.decorator_list else None
    if not isinstance(made, ast.FunctionDef) or made.decorator_list:
        return None
    return frozenset(each.arg for each in (*made.args.posonlyargs, *made.args.args, *made.args.kwonlyargs))


def _only(around: ast.Module | ast.ClassDef, name: str) -> ast.AST | None:
    """The statement in it that defines the name, where nothing else does."""
    found = [node for node in ast.walk(around) if node is not around and not {name, "*"}.isdisjoint(_defines(node))]
    return found[0] if len(found) == 1 and found[0] in around.body else None


def _defines(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
            return (name,)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return tuple(each.asname or each.name for each in names)
    return ()


def _imported(folder: str, name: str, content: bytes) -> Iterator[str]:
    """The files below the folder that a file in it imports."""
    for place in dict.fromkeys(_places(os.path.dirname(name), content)):
        for depth in range(1, len(place) + 1):  # importing a part of a package runs the package first
            module = os.path.join(*place[:depth])
            for file in (f"{module}.py", os.path.join(module, "__init__.py")):
                if os.path.isfile(os.path.join(folder, file)):
                    yield file


def _places(package: str, content: bytes) -> Iterator[tuple[str, ...]]:
    """What may be imported, as paths below the folder: `from a.b import c` may mean the module `c`."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # said where it is imported; too deep is either
        return
    above = tuple(filter(None, package.split(os.sep)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(each.name.split(".")) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= len(above):
            start = above[: len(above) - node.level + 1] if node.level else ()
            module = (*start, *(node.module.split(".") if node.module else ()))
            yield from ((*module, each.name) for each in node.names)
