"""Ways to damage a spec: each gives the damaged text and, where it is certain, a finding that must be there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from specc.language.source import Path, Tree, parse
from specc.spec.lookup import kinds_at, model_at, paths_that_read_environment

Expected = tuple[int, tuple[str, ...]]  # a line, and codes of which one must be found there
Damage = tuple[str, Expected | None] | None  # None where the spec has nothing to damage in this way


@dataclass
class Spec:
    """A spec's text, its tree, and where things stand in it."""

    text: str
    tree: Tree
    random: random.Random

    @classmethod
    def of(cls, text: str, seed: int) -> Spec:
        tree, found = parse(text, "spec.yaml")
        assert tree is not None
        assert not found
        return cls(text, tree, random.Random(seed))

    def offset(self, line: int, column: int) -> int:
        return sum(len(row) for row in self.text.splitlines(keepends=True)[: line - 1]) + column - 1

    def put(self, path: Path, new: Callable[[str], str], *, key: bool = False) -> tuple[str, int]:
        """The text with a value or key replaced, and its line."""
        span = self.tree.keys[path] if key else self.tree.values[path]
        start, end = self.offset(span.line, span.column), self.offset(span.end_line, span.end_column)
        return self.text[:start] + new(self.text[start:end]) + self.text[end:], span.line

    def begins(self, path: Path) -> str:
        """The first character of a value."""
        span = self.tree.values[path]
        return self.text[self.offset(span.line, span.column)]

    def scalars(self, *kinds: type) -> list[Path]:
        return [path for path, value in walk(self.tree.data) if type(value) in kinds]

    def lines(self) -> list[str]:
        return self.text.splitlines(keepends=True)

    def choose(self, options: list[Any]) -> Any:
        return self.random.choice(options) if options else None


def walk(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, value in items:
        yield from walk(value, (*path, part))


def at(tree: Tree, path: Path) -> Any:
    data = tree.data
    for part in path:
        data = data[part]
    return data


# -- damage with a certain outcome --------------------------------------------------------------------------------


def misspell_key(spec: Spec) -> Damage:
    path = spec.choose([p for p in spec.tree.keys if model_at(p[:-1], spec.tree.data)])
    text, line = spec.put(path, lambda word: word[:1] + word, key=True)
    return text, (line, ("SPC101", "SPC102"))


def misspell_argument(spec: Spec) -> Damage:
    ops = [p for p in spec.tree.keys if p[-1] != "op" and "op" in (at(spec.tree, p[:-1]) or ())]
    own = [p for p in ops if not (p[0] == "backbone" and p[-1] in ("name", "from", "repeat", "expect"))]
    if not own:
        return None
    text, line = spec.put(spec.choose(own), lambda word: word + "z", key=True)
    return text, (line, ("SPC204", "SPC205"))


def duplicate_key(spec: Spec) -> Damage:
    key = spec.choose(list(spec.tree.data))
    text = spec.text.rstrip("\n") + f"\n{key}: 1\n"
    return text, (text.count("\n"), ("SPC008",))


def wrong_kind(spec: Spec) -> Damage:
    path = spec.choose([p for p in spec.scalars(int, float, bool) if model_at(p[:-1], spec.tree.data)])
    text, line = spec.put(path, lambda _: "[[1]]")
    return text, (line, ("SPC103", "SPC104", "SPC105"))


def quoted_number(spec: Spec) -> Damage:
    numbers = [p for p in spec.scalars(int, float) if model_at(p[:-1], spec.tree.data) and p[-1] != "memory"]
    text, line = spec.put(spec.choose(numbers), lambda number: f'"{number}"')
    return text, (line, ("SPC103", "SPC105"))


def collection_to_number(spec: Spec) -> Damage:
    collections = [p for p, v in walk(spec.tree.data) if isinstance(v, (dict, list)) and v and p]
    inner = [p for p in collections if kinds_at(p, spec.tree.data) and float not in kinds_at(p, spec.tree.data)]
    flow = [p for p in inner if spec.begins(p) in ("[", "{")]  # in place of a block a scalar would stand at no indent
    path = spec.choose([p for p in flow if not any(isinstance(part, int) for part in p)])
    if path is None:
        return None
    text, line = spec.put(path, lambda _: "no_such_thing")
    return text, (line, ("SPC103", "SPC104", "SPC105", "SPC109"))


def negative(spec: Spec) -> Damage:
    known = {"epochs", "batch_size", "lr", "momentum", "blocks", "depth", "seed", "hidden", "channels", "warmup_epochs"}
    paths = [p for p in spec.scalars(int, float) if p[-1] in known and model_at(p[:-1], spec.tree.data)]
    path = spec.choose([p for p in paths if at(spec.tree, p) > 0])
    text, line = spec.put(path, lambda number: f"-{number}")
    return text, (line, ("SPC104", "SPC105"))


def infinite(spec: Spec) -> Damage:
    text, line = spec.put(spec.choose(spec.scalars(float)), lambda _: ".inf")
    return text, (line, ("SPC106", "SPC104"))


def wrong_word(spec: Spec) -> Damage:
    closed = ("dataset", "augment", "family", "precision", "on_exceed", "bias", "loss", "fuse", "weights", "init")
    path = spec.choose([p for p in spec.scalars(str) if p[-1] in closed])
    text, line = spec.put(path, lambda word: f"{word}x")
    return text, (line, ("SPC105",))


def bad_unit(spec: Spec) -> Damage:
    if ("budget", "memory") not in spec.tree.values:
        return None
    text, line = spec.put(("budget", "memory"), lambda _: "6 gigs")
    return text, (line, ("SPC502",))


def unknown_cut(spec: Spec) -> Damage:
    cuts = [p for p in spec.scalars(str) if p[:2] == ("split", "after")]
    if not cuts:
        return None
    text, line = spec.put(spec.choose(cuts), lambda name: name + "99")
    return text, (line, ("SPC201",))


def unknown_anchor(spec: Spec) -> Damage:
    text, line = spec.put(spec.choose(spec.scalars(int, float, str, bool)), lambda _: "*nowhere")
    return text, (line, ("SPC013",))


def yaml_tag(spec: Spec) -> Damage:
    text, line = spec.put(spec.choose(spec.scalars(int, float, bool)), lambda value: f"!!python/object:x {value}")
    return text, (line, ("SPC014",))


def yes(spec: Spec) -> Damage:
    path = spec.choose(spec.scalars(bool))
    if path is None:
        return None
    text, line = spec.put(path, lambda _: "yes")
    return text, (line, ("SPC016",))


def octal(spec: Spec) -> Damage:
    text, line = spec.put(spec.choose(spec.scalars(int)), lambda number: f"0{number}")
    return text, (line, ("SPC017",)) if not text.count(": 00") else None


def control_character(spec: Spec) -> Damage:
    place = spec.random.randrange(len(spec.text))
    return spec.text[:place] + "\x07" + spec.text[place:], (spec.text.count("\n", 0, place) + 1, ("SPC019",))


def tab(spec: Spec) -> Damage:
    rows = spec.lines()
    first = {span.line for p, span in spec.tree.keys.items() if len(p) == 2 and rows[span.line - 1][:2] == "  "}
    before = {n: rows[n - 2].strip() for n in first if rows[n - 1].lstrip()[:1] != "-"}
    starts = [n for n, row in before.items() if row.endswith(":") and "{" not in row]  # inside of braces tabs are legal
    line = spec.choose(sorted(starts))
    if line is None:
        return None
    rows[line - 1] = "\t" + rows[line - 1].lstrip()
    return "".join(rows), (line, ("SPC007",))


def variable(spec: Spec) -> Damage:
    readers = paths_that_read_environment()
    closed = [p for p in spec.scalars(str) if tuple(map(str, p)) not in readers and p[-1] in ("name", "description")]
    text, line = spec.put(spec.choose(closed), lambda _: '"${HOME}"')
    return text, (line, ("SPC105", "SPC109", "SPC111"))


def second_document(spec: Spec) -> Damage:
    text = spec.text.rstrip("\n") + "\n---\nspecc: 1\n"
    return text, (text.count("\n") - 1, ("SPC005",))


# -- damage with any outcome --------------------------------------------------------------------------------------


def drop_line(spec: Spec) -> Damage:
    rows = spec.lines()
    del rows[spec.random.randrange(len(rows))]
    return "".join(rows), None


def double_line(spec: Spec) -> Damage:
    rows = spec.lines()
    place = spec.random.randrange(len(rows))
    rows.insert(place, rows[place])
    return "".join(rows), None


def swap_lines(spec: Spec) -> Damage:
    rows = spec.lines()
    i, j = spec.random.randrange(len(rows)), spec.random.randrange(len(rows))
    rows[i], rows[j] = rows[j], rows[i]
    return "".join(rows), None


def indent_line(spec: Spec) -> Damage:
    rows = spec.lines()
    place = spec.random.randrange(len(rows))
    rows[place] = " " * spec.random.randrange(1, 5) + rows[place]
    return "".join(rows), None


def dedent_line(spec: Spec) -> Damage:
    rows = spec.lines()
    place = spec.random.choice([i for i, row in enumerate(rows) if row[:1] == " "])
    rows[place] = rows[place][spec.random.randrange(1, 3) :]
    return "".join(rows), None


def remove_character(spec: Spec) -> Damage:
    marks = [i for i, character in enumerate(spec.text) if character in ":,{}[]-\n\"'"]
    place = spec.random.choice(marks)
    return spec.text[:place] + spec.text[place + 1 :], None


def unicode(spec: Spec) -> Damage:
    place = spec.random.randrange(len(spec.text))
    character = spec.random.choice("é層\u202e\u00a0\u2028\ufeff😀\u0301“”–")
    return spec.text[:place] + character + spec.text[place:], None


def truncate(spec: Spec) -> Damage:
    return spec.text[: spec.random.randrange(len(spec.text))], None


def empty_value(spec: Spec) -> Damage:
    return spec.put(spec.choose([p for p in spec.tree.values if p]), lambda _: "")[0], None


def other_value(spec: Spec) -> Damage:
    values = ("0", "-1", "1e400", "null", "[]", "{}", "''", "next", "9" * 30, "true", ".nan", "{a: {b: [1]}}", "[[2]]")
    return spec.put(spec.choose([p for p in spec.tree.values if p]), lambda _: spec.random.choice(values))[0], None


def swap_values(spec: Spec) -> Damage:
    one, two = spec.choose(spec.scalars(int, float, str)), spec.choose(spec.scalars(int, float, str))
    return spec.put(one, lambda _: str(at(spec.tree, two)))[0], None


CERTAIN = (
    misspell_key, misspell_argument, duplicate_key, wrong_kind, quoted_number, collection_to_number, negative, infinite,
    wrong_word, bad_unit, unknown_cut, unknown_anchor, yaml_tag, yes, octal, control_character, tab, variable,
    second_document,
)  # fmt: skip
ANY = (
    drop_line, double_line, swap_lines, indent_line, dedent_line, remove_character, unicode, truncate, empty_value,
    other_value, swap_values,
)  # fmt: skip
