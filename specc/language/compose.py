"""YAML events become located nodes: one pass that keeps going after every mistake it can step over.

`YAML().compose()` of ruamel would stop at the first duplicate key and follow aliases without limit, so the nodes are
built here, from the events of the same parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from specc.diagnostics import Diagnostic, Label, did_you_mean
from specc.language import scalars
from specc.language.nodes import Alias, Locator, Mapping, Node, Scalar, Sequence, dealias
from specc.language.syntax import syntax_error

MAX_DEPTH = 64
MAX_NODES = 70_000  # keys and values after aliases are expanded; a layer takes about ten, the parser about a second
MAX_REPORTS = 1_000  # nobody reads further

_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*(?:\s|#[^\n]*\n)*)*")
_TAG = re.compile(r"![^\s,\[\]{}]*")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")  # as escapes can make it
_SHOWN = 10  # a binary file should not answer with thousands of diagnostics


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. In a mapping, `key` waits for its value."""

    node: Sequence | Mapping
    flow: bool
    seen: dict[str | int, Scalar] = field(default_factory=dict)
    key: Node | None = None


def compose(locator: Locator) -> tuple[Node | None, list[Diagnostic]]:
    """The nodes of the first document, None if there is none or it cannot be read to its end."""
    if unprintable := _check_characters(locator):
        return None, unprintable
    composer = _Composer(locator)
    composer.run()
    return composer.root, composer.diagnostics


def _check_characters(locator: Locator) -> list[Diagnostic]:
    found = ((f"control character U+{ord(match[0]):04X}", locator.span(*match.span()))
             for match in islice(_UNPRINTABLE.finditer(locator.text), _SHOWN))  # fmt: skip
    return [Diagnostic("SPC019", text, span, "not allowed in YAML", help=("delete it",)) for text, span in found]


class _Composer:
    def __init__(self, locator: Locator) -> None:
        self.locator, self.text = locator, locator.text
        self.diagnostics: list[Diagnostic] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.root: Node | None = None
        self.nodes = 0
        self.documents = 0
        self.finished = False
        self.handlers = {
            "DocumentStartEvent": self.document,
            "ScalarEvent": self.scalar,
            "AliasEvent": self.alias,
            "SequenceStartEvent": lambda event: self.open(event, Sequence(*self.extent(event))),
            "MappingStartEvent": lambda event: self.open(event, Mapping(*self.extent(event))),
            "SequenceEndEvent": self.close,
            "MappingEndEvent": self.close,
        }

    def run(self) -> None:
        """Go through the events of the first document, or to the first thing that cannot be stepped over."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError

        at = 0
        try:
            for event in YAML(typ="safe", pure=True, plug_ins=[]).parse(self.text):
                at = event.end_mark.index
                if handler := self.handlers.get(type(event).__name__):
                    handler(event)
                if self.finished:
                    return
        except MarkedYAMLError as error:
            self.stop(syntax_error(error, self.locator))
        except Exception:  # some damage, like "\\UFFFFFFFF", makes the scanner fail with one of Python's own errors
            self.fail("SPC006", "this is not YAML", at, at, "cannot be read from here on")

    def report(self, code: str, message: str, start: int, end: int, label: str = "", **more: Any) -> None:
        if len(self.diagnostics) < MAX_REPORTS:
            self.diagnostics.append(Diagnostic(code, message, self.locator.span(start, end), label, **more))

    def fail(self, code: str, message: str, start: int, end: int, label: str = "", **more: Any) -> None:
        self.stop(Diagnostic(code, message, self.locator.span(start, end), label, **more))

    def stop(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)
        self.root, self.finished = None, True

    # -- events ---------------------------------------------------------------------------------------------------

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            start, end = event.start_mark.index, event.end_mark.index
            help = ("keep one spec in a file",)
            self.report("SPC005", "more than one document", start, end, "a second one starts here", help=help)
            self.finished = True

    def scalar(self, event: Any) -> None:
        start, end = self.extent(event)
        text, plain = self.readable(event.value, start, end), not event.style
        value = scalars.resolve(text) if plain else text
        if plain and not self.expects_key() and (found := scalars.ambiguity(text)):
            self.report(found.code, found.message, start, end, found.label, help=(found.help,))
            value = found.value
        node = Scalar(start, end, 1, 0, value, text, plain)
        self.name(event, node)
        self.add(node)

    def readable(self, text: str, start: int, end: int) -> str:
        """The text without what an escape like `"\\ud800"` puts into it and no file, terminal or encoding takes."""
        found = _NO_TEXT.search(text)
        if found is None:
            return text
        label, help = f"contains U+{ord(found[0]):04X}", ("delete the escape",)
        self.report("SPC019", f"control character U+{ord(found[0]):04X}", start, end, label, help=help)
        return _NO_TEXT.sub("\ufffd", text)

    def alias(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        node = Alias(start, end)
        target = self.anchors.get(event.anchor)
        if target is None:
            help = did_you_mean(event.anchor, self.anchors)
            self.report("SPC013", f"unknown anchor `{event.anchor}`", start, end, "nothing has this name", help=help)
        elif any(target is outer.node for outer in self.stack):
            inside = (Label(self.locator.span(target.start, target.start), "which starts here"),)
            label = "stands inside of what it refers to"
            self.report("SPC011", f"`*{event.anchor}` contains itself", start, end, label, secondary=inside)
        elif self.nodes + target.size > MAX_NODES:
            label = f"more than {MAX_NODES:,} values from here on"
            self.fail("SPC012", "aliases expand to too many values", start, end, label)
        elif len(self.stack) + target.depth > MAX_DEPTH:
            self.too_deep(start)
        else:
            node = Alias(start, end, target.size, target.depth, target)
        self.add(node)

    def open(self, event: Any, node: Sequence | Mapping) -> None:
        self.name(event, node)
        if len(self.stack) >= MAX_DEPTH:
            self.too_deep(node.start)
        self.stack.append(_Open(node, event.flow_style))

    def close(self, event: Any) -> None:
        closed = self.stack.pop()
        if closed.flow:
            closed.node.end = event.end_mark.index
        closed.node.end = self.trimmed(closed.node.start, closed.node.end)
        self.add(closed.node)

    def extent(self, event: Any) -> tuple[int, int]:
        """Where the node's own text is, without its anchor and tag."""
        start, end = event.start_mark.index, event.end_mark.index
        if event.anchor or event.tag:
            self.check_tag(event, start)
            properties = _PROPERTIES.match(self.text, start)
            start = properties.end() if properties else start
        return start, self.trimmed(start, end)

    def trimmed(self, start: int, end: int) -> int:
        """The end without blanks and line breaks, which belong to block scalars and to what follows a block."""
        return start + len(self.text[start:end].rstrip())

    def check_tag(self, event: Any, start: int) -> None:
        if event.tag and (tag := _TAG.search(self.text, start)):
            help = ("a spec is plain data: delete the tag, and quote the value if it is a string",)
            self.report("SPC014", f"tag `{tag[0]}`", *tag.span(), "tags are not read", help=help)

    def name(self, event: Any, node: Node) -> None:
        if event.anchor:
            self.anchors[event.anchor] = node

    def too_deep(self, start: int) -> None:
        self.fail("SPC009", "nested too deeply", start, start + 1, f"more than {MAX_DEPTH} levels")

    # -- nodes ----------------------------------------------------------------------------------------------------

    def expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None

    def add(self, node: Node) -> None:
        """Put a complete node where it belongs."""
        self.nodes += node.size if isinstance(node, Alias) else 1
        if self.nodes > MAX_NODES:
            self.fail("SPC010", "too many values", node.start, node.end, f"more than {MAX_NODES:,} up to here")
        if not self.stack:
            self.root = None if self.finished else node
            return
        parent = self.stack[-1]
        parent.node.size += node.size
        parent.node.depth = max(parent.node.depth, node.depth + 1)
        parent.node.end = max(parent.node.end, node.end)
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            key, parent.key = parent.key, None
            self.pair(parent, parent.node, key, node)

    def pair(self, parent: _Open, mapping: Mapping, key: Node, value: Node) -> None:
        """Put a key and its value into a mapping, unless the key is unusable or taken."""
        if isinstance(key, Scalar) and key.plain and key.text == "<<":
            self.merge(mapping, value)
        elif isinstance(key, Scalar) and self.is_name(key):
            first = parent.seen.setdefault(key.name, key)
            if first is key:
                mapping.pairs.append((key, value))
            else:
                self.duplicate(key, first)
        elif not isinstance(key, Scalar):
            self.report("SPC015", "a key must be a word", key.start, key.end, "this is no plain word")

    def is_name(self, key: Scalar) -> bool:
        """Whether the key can be used; one that only lacks quotes can, after it was reported."""
        if not key.text and key.plain:
            self.report("SPC015", "a key is missing", key.start, key.end, "in front of this `:`")
        elif not isinstance(key.name, str) and not scalars.ambiguity(key.text):
            return True
        elif not isinstance(key.value, str):
            label, help = f"without quotes this is {_kind(key.value)}", (f'write `"{key.text}"`',)
            self.report("SPC015", f"the key `{key.text}` is not a string", key.start, key.end, label, help=help)
        return bool(key.text)

    def duplicate(self, key: Scalar, first: Scalar) -> None:
        elsewhere = (Label(self.locator.span(first.start, first.end), "first set here"),)
        help = ("delete one of the two",)
        message, label = f"duplicate key `{key.text}`", "set again here"
        self.report("SPC008", message, key.start, key.end, label, secondary=elsewhere, help=help)

    def merge(self, mapping: Mapping, value: Node) -> None:
        """Remember what `<<` refers to: a mapping or a list of mappings."""
        target = dealias(value)
        sources = [dealias(item) for item in target.items] if isinstance(target, Sequence) else [target]
        if all(isinstance(source, Mapping) for source in sources):
            mapping.merged += [source for source in sources if isinstance(source, Mapping)]
        else:
            label, help = "not a mapping", ("write `<<: *name`, where `&name` marks a mapping",)
            self.report("SPC018", "`<<` merges mappings only", value.start, value.end, label, help=help)


def _kind(value: object) -> str:
    return "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"
