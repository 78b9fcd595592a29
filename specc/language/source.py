"""The located tree: YAML text as plain data in which every key and every value knows its span."""

from __future__ import annotations

import codecs
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from specc.diagnostics import Diagnostic, Span, sort
from specc.language import nodes
from specc.language.compose import compose
from specc.language.nodes import Locator
from specc.system import files

MAX_BYTES = 1 << 20  # five times a spec of 5,000 layers; the worst text of this size is read in about two seconds
CLI = "<cli>"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A spec as it was written, after the core schema of YAML 1.2, with aliases and merge keys resolved."""

    name: str
    text: str
    data: Any
    values: Mapping[Path, Span]
    keys: Mapping[Path, Span]
    cli_text: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)  # the texts that it extends, by file name

    @property
    def sources(self) -> dict[str, str]:
        """The texts that spans of this tree point into."""
        return {self.name: self.text, **self.parents} | ({CLI: self.cli_text} if self.cli_text else {})

    def span(self, path: Path, *, key: bool = False) -> Span:
        """Where the value at `path` stands, or its key; for what was never written, the nearest thing around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values:
            path = path[:-1]
        return self.values[path]

    def without(self, gone: Collection[Path]) -> Tree:
        """The tree without some of its values; the spans follow list items to their new places."""
        values: dict[Path, Span] = {}
        keys: dict[Path, Span] = {}

        def copy(data: Any, old: Path, new: Path) -> Any:
            if old in self.values:
                values[new] = self.values[old]
            if old in self.keys:
                keys[new] = self.keys[old]
            if isinstance(data, Mapping):
                return {k: copy(v, (*old, k), (*new, k)) for k, v in data.items() if (*old, k) not in gone}
            if isinstance(data, list):
                kept = [(i, item) for i, item in enumerate(data) if (*old, i) not in gone]
                return [copy(item, (*old, i), (*new, j)) for j, (i, item) in enumerate(kept)]
            return data

        return replace(self, data=copy(self.data, (), ()), values=values, keys=keys)


def read(path: str | os.PathLike[str]) -> tuple[Tree | None, list[Diagnostic]]:
    """Read a spec file. A file that cannot be opened raises OSError: that is not a mistake in the spec."""
    return parse_bytes(read_bytes(path), os.fspath(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file, or as much of it as is needed to see that it is too large."""
    return files.read(path, MAX_BYTES + 1)


def decode(raw: bytes) -> str:
    """The text that spans point into, also where some of the bytes are not UTF-8."""
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")


def parse_bytes(raw: bytes, name: str) -> tuple[Tree | None, list[Diagnostic]]:
    """Read a spec from the bytes of a file."""
    if len(raw) > MAX_BYTES:
        return None, [_too_large(name)]
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [_not_utf8(raw, error.start, name)]
    return parse(decode(raw), name)


def parse(text: str, name: str) -> tuple[Tree | None, list[Diagnostic]]:
    """Read a spec from text. There is a tree wherever the text can be read to its end, with or without errors."""
    if len(text) > MAX_BYTES:
        return None, [_too_large(name)]
    text = text.removeprefix("\ufeff")
    locator = Locator(name, text)
    root, diagnostics = compose(locator)
    if not any(diagnostic.is_error for diagnostic in diagnostics) or root:
        diagnostics += _check_root(root, locator)
    if not isinstance(root, nodes.Mapping):
        return None, list(sort(diagnostics))
    data, values, keys = expand(root, locator)
    return Tree(name, text, data, values, keys), list(sort(diagnostics))


# Keys that are read by a second name too, by the key of the mapping around them.
SECOND_NAMES = {("auxiliary", "decoder"): "reconstruction"}


def first_name(path: Path, name: str | int) -> str | int:
    """What a key of the mapping at `path` is called in the models."""
    return SECOND_NAMES.get((str(path[-1]), str(name)), name) if path else name


def expand(root: nodes.Node, locator: Locator, path: Path = ()) -> tuple[Any, dict[Path, Span], dict[Path, Span]]:
    """The plain data of a node, with the spans of its values and keys; `path` is where it will stand."""
    expander = _Expander(locator)
    return expander.visit(root, path), expander.values, expander.keys


def paths_below(data: Any, path: Path) -> Iterator[Path]:
    """The paths of a value and of everything in it."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, child in items:
        yield from paths_below(child, (*path, part))


class _Expander:
    """Recursive, as the composer keeps depth and size within limits."""

    def __init__(self, locator: Locator) -> None:
        self.locator = locator
        self.values: dict[Path, Span] = {}
        self.keys: dict[Path, Span] = {}

    def visit(self, node: nodes.Node, path: Path) -> Any:
        self.values[path] = self.locator.span(node.start, node.end)
        match nodes.dealias(node):
            case nodes.Mapping() as mapping:
                return self.mapping(mapping, path)
            case nodes.Sequence(items=items):
                return [self.visit(item, (*path, index)) for index, item in enumerate(items)]
            case nodes.Scalar(value=value):
                return value

    def mapping(self, node: nodes.Mapping, path: Path) -> dict[str | int, Any]:
        data: dict[str | int, Any] = {}
        pairs = list(_pairs(node))
        written = {key.name for key, _ in pairs}
        for key, value in pairs:
            name = first_name(path, key.name)
            if name in written:  # under both of its names: then the second is not known
                name = key.name
            if name not in data:
                child = (*path, name)
                self.keys[child] = self.locator.span(key.start, key.end)
                data[name] = self.visit(value, child)
        return data


def _pairs(node: nodes.Mapping) -> Iterator[tuple[nodes.Scalar, nodes.Node]]:
    """A mapping's own pairs, then those merged in: the first of a name counts."""
    yield from node.pairs
    for merged in node.merged:
        yield from _pairs(merged)


def _check_root(root: nodes.Node | None, locator: Locator) -> list[Diagnostic]:
    if isinstance(root, nodes.Mapping):
        return []
    if root is None or root.start == root.end:
        help = ("`specc init` writes a spec to start from",)
        return [Diagnostic("SPC003", "the spec is empty", locator.span(0, 0), help=help)]
    kind = "a list" if isinstance(root, nodes.Sequence) else "a single value"
    span = locator.span(root.start, root.end)
    help = ("a spec starts with `specc: 1`",)
    return [Diagnostic("SPC004", f"a spec is a mapping, not {kind}", span, "expected `key: value` lines", help=help)]


def _too_large(name: str) -> Diagnostic:
    help = ("use `repeat:` or a backbone `family:` instead of thousands of layers",)
    message = f"the file is larger than {MAX_BYTES >> 10:,} KiB"
    return Diagnostic("SPC002", message, Span(name, 1, 1, 1, 1), help=help)


def _not_utf8(raw: bytes, at: int, name: str) -> Diagnostic:
    offset = len(decode(raw[:at]))
    kind = " but UTF-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""
    span = Locator(name, decode(raw)).span(offset, offset + 1)
    message, help = f"the file is not UTF-8{kind}", ("save it as UTF-8",)
    return Diagnostic("SPC001", message, span, f"byte 0x{raw[at]:02x}", help=help)
