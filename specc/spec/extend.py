"""`extends:`, a spec merged over the one that it names; every value keeps the place where it was written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal, get_origin

from specc.diagnostics import Diagnostic, Label, Span, suggest
from specc.language.source import Path, Tree, decode, parse_bytes, paths_below, read_bytes
from specc.spec.lookup import fields_of, keys_of, models_at
from specc.spec.models import SpecModel

KEY = "extends"
_KEYS = frozenset(keys_of(SpecModel))
_LINE = re.compile(rf"^[\s{{]*['\"]?({'|'.join(sorted(_KEYS))})['\"]?\s*:", re.M)
_NO_SPEC = frozenset({"SPC003", "SPC004"})  # an empty text, or one that is no mapping


@dataclass(frozen=True, slots=True)
class Extended:
    """A tree over all that it extends; `whole` is whether there is nothing more that it should extend."""

    tree: Tree
    whole: bool
    diagnostics: tuple[Diagnostic, ...] = ()


def extend(tree: Tree) -> Extended:
    """Read the parent, the parent's parent and so on, and merge them: the eldest first, so the child has its way."""
    line = _Ancestry([tree])
    while line.follow():
        pass
    whole = KEY not in line.trees[-1].data
    merged = reduce(merge, map(_without_extends, reversed(line.trees)))
    return Extended(replace(merged, parents=line.texts), whole, tuple(line.found))


def merge(parent: Tree, child: Tree) -> Tree:
    """The child over the parent: mappings by key, unless they are of different kinds; anything else replaces."""
    values, keys = dict(child.values), dict(child.keys)

    def inherit(data: Any, path: Path) -> Any:
        for each in paths_below(data, path):
            values[each] = parent.values[each]
            if each in parent.keys:
                keys[each] = parent.keys[each]
        return data

    def visit(old: Any, new: Any, path: Path) -> Any:
        if not isinstance(old, dict) or not isinstance(new, dict) or of_different_kinds(old, new, path):
            return new
        merged = {
            key: visit(value, new[key], (*path, key)) if key in new else inherit(value, (*path, key))
            for key, value in old.items()
        }
        return merged | {key: value for key, value in new.items() if key not in old}

    data = visit(parent.data, child.data, ())
    return replace(child, data=data, values=values, keys=keys)


def of_different_kinds(old: Mapping[Any, Any], new: Mapping[Any, Any], path: Path) -> bool:
    """Whether the new mapping says that it is of another kind than the old: that rules out what the old one says.

    >>> of_different_kinds({"family": "vgg", "depth": 16}, {"family": "resnet"}, ("backbone",))
    True
    >>> of_different_kinds({"blocks": 2, "by": "flops"}, {"blocks": 4}, ("split",))
    False
    """
    before, after = _kind(old, path), _kind(new, path)
    return bool(before and after) and before != after


def _kind(data: Mapping[Any, Any], path: Path) -> set[tuple[str, str]]:
    """The keys that tell which kind of mapping it is, with their values where those are names of kinds."""
    models = models_at(path)
    keys = {key for model in models for key in model.alternatives if data.get(key) is not None}
    fields = [(key, field) for model in models for key, field in fields_of(model).items() if key in keys]
    names = {key for key, field in fields if get_origin(field.annotation) is Literal}
    return {(key, str(data[key]) if key in names else "") for key in keys}


def _without_extends(tree: Tree) -> Tree:
    """The tree without its `extends`, which has been followed; one that is no text stays, and is objected to."""
    return tree.without({(KEY,)}) if isinstance(tree.data.get(KEY), str) else tree


@dataclass
class _Ancestry:
    """A spec and its ancestors, as far as they have been read."""

    trees: list[Tree]
    found: list[Diagnostic] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def follow(self) -> bool:
        """Read the parent of the last spec; false where it has none, or none that can be used."""
        last = self.trees[-1]
        written = last.data.get(KEY)
        if not isinstance(written, str):
            return False
        name = os.path.join(os.path.dirname(last.name), written)
        try:
            again, raw = self.index(name), read_bytes(name)
        except (OSError, ValueError) as error:  # the latter for a name that no file can have
            self.found.append(_unreadable(written, name, error, self.span()))
            return False
        if again is not None:
            self.found.append(_circle(self.trees[again:]))
            return False
        return self.add(raw, name)

    def add(self, raw: bytes, name: str) -> bool:
        """Put a parent behind its child, if its text can be read to its end."""
        tree, found = parse_bytes(raw, name)
        if not _is_spec(raw, tree):  # it may be anything, so nothing of it is shown
            self.found.append(_no_spec(None, self.span()))
            return False
        self.texts[name] = decode(raw)
        self.found += [_no_spec(each, self.span()) if each.code in _NO_SPEC else each for each in found]
        if tree is not None:
            self.trees.append(tree)
        return tree is not None

    def index(self, name: str) -> int | None:
        """Which of the specs is in this file."""
        files = [os.path.realpath(tree.name) for tree in self.trees]
        file = os.path.realpath(name)
        return files.index(file) if file in files else None

    def span(self) -> Span:
        """Where the last spec names its parent."""
        return self.trees[-1].span((KEY,))


def _unreadable(written: str, name: str, error: OSError | ValueError, span: Span) -> Diagnostic:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    own = os.path.basename(name)  # which may be there, and be no file
    guess = suggest(own, [each for each in _neighbours(os.path.dirname(name)) if each != own])
    help = (f"did you mean `{os.path.join(os.path.dirname(written), guess)}`?",) if guess else ()
    where = f"looked for it at {name}, as paths are relative to the file that they are written in"
    return Diagnostic("SPC026", f"cannot read the parent `{written}`", span, reason.lower(), help=(*help, where))


def _neighbours(folder: str) -> list[str]:
    """The specs in a folder."""
    try:
        return sorted(name for name in os.listdir(folder or ".") if name.endswith((".yaml", ".yml")))
    except (OSError, ValueError):
        return []


def _is_spec(raw: bytes, tree: Tree | None) -> bool:
    """Whether a file has anything of a spec, be it full of mistakes; an empty one may become one."""
    if tree is not None:
        return not tree.data or any(key in _KEYS for key in tree.data)
    return not raw.strip() or _LINE.search(decode(raw)) is not None


def _no_spec(problem: Diagnostic | None, span: Span) -> Diagnostic:
    """What is wrong with a text as a whole, told to the one who extends it."""
    secondary = (Label(problem.span, problem.label or "nothing in it"),) if problem and problem.span else ()
    help = ("only a spec can be extended: `key: value` lines",)
    message = f"the parent is no spec: {problem.message if problem else 'it has none of the keys of one'}"
    return Diagnostic("SPC028", message, span, "extended here", secondary=secondary, help=help)


def _circle(trees: Sequence[Tree]) -> Diagnostic:
    """Specs that lead from one to the next and back to the first."""
    first, *others = (tree.span((KEY,)) for tree in trees)
    names = " -> ".join(tree.name for tree in (*trees, trees[0]))
    message = f"specs extend one another: {names}" if others else f"`{trees[0].name}` extends itself"
    help = ("delete one of them, or let both extend a third spec",) if others else ("delete the line",)
    secondary = tuple(Label(span, "and this") for span in others)
    return Diagnostic("SPC027", message, first, "leads back to this file", secondary=secondary, help=help)
