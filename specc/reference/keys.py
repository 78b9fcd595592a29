"""A key of the language as a page: what the schema says of it, in Markdown, like the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from specc.diagnostics import suggest
from specc.diagnostics.pages import titles
from specc.reference.concerns import codes_of, example_of, flow
from specc.reference.language import Schema, kind_of, op_section
from specc.spec.json_schema import SPEC, json_schema
from specc.spec.lookup import all_mappings

_SEVERAL = 3  # kinds of a mapping, from which on each has a page of its own


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one kind of mapping, and what the schema says of it."""

    field: Schema
    required: bool = False
    kind: str = ""  # of the mapping that has it, where there are several
    named: bool = False  # by the spec itself, and such names may have dots


@cache
def _schema() -> Schema:
    return json_schema()


def find(name: str) -> list[Key]:
    """What a dotted key may be; numbers of items may be left out, and the name of a kind may stand behind a mapping."""
    found = [Key({"$ref": f"#/definitions/{SPEC}"})]
    for part in filter(None, re.split(r"[.\[\]]+", name.strip().strip("`"))):
        found = [key for each in found for key in _below(each, part)]
    return found


def _below(key: Key, part: str) -> Iterator[Key]:
    found = list(_parts(key, part))
    return iter(found or [key] * key.named)


def _parts(key: Key, part: str) -> Iterator[Key]:
    for kind in _kinds(key.field):
        if "items" in kind and not isinstance(kind["items"], list):
            yield from [Key(kind["items"])] if part.isdigit() else _below(Key(kind["items"]), part)
        elif part in kind.get("properties", {}):
            yield Key(kind["properties"][part], part in kind.get("required", []), _tag(kind))
        elif part == _tag(kind):
            yield Key(kind)
        elif isinstance(kind.get("additionalProperties"), dict):
            yield Key(kind["additionalProperties"], named=True)


def _kinds(field: Schema) -> Iterator[Schema]:
    """The alternatives of a value, references followed."""
    if "$ref" in field:
        yield from _kinds(_schema()["definitions"][field["$ref"].rsplit("/", 1)[1]])
    for part in (*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("allOf", ())):
        yield from _kinds(part.get("then", part))
    if "then" in field:
        yield from _kinds(field["then"])
    if "properties" in field or "items" in field or "type" in field or "enum" in field or "const" in field:
        yield field


def _tag(kind: Schema) -> str:
    """The name by which a kind of mapping says what it is: of a family, an optimizer, an op."""
    values = (kind["properties"][name].get("const") for name in kind.get("required", ()) if name in kind["properties"])
    return next((str(value) for value in values if value not in (None, 1)), "")


def page(name: str) -> str | None:
    """The page of a key."""
    found = find(name)
    if not name.strip(". ") or not found:
        return None
    parts = [part for part in re.split(r"[.\[\]]+", name) if part]
    told = dict.fromkeys(_about(parts[-1], key.field) for key in found)
    lines = [f"# `{'.'.join(parts)}`", "", *(f"{text}\n" for text in list(told)[:_SEVERAL] if text), *_facts(found)]
    if below := list(_keys_below(".".join(parts), found)):
        lines += ["", "## Keys", "", *below]
    if example := example_of(parts) or _by_default(parts, found):
        lines += ["", "## Example", "", "```yaml", example.rstrip(), "```"]
    if codes := codes_of(parts):
        lines += ["", "## Messages", "", *(f"- `{code}`: {titles()[code]}" for code in codes)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _facts(found: Sequence[Key]) -> Iterator[str]:
    """What kind of value, and what it is where the key is left out."""
    values = _by_kind([(kind_of(key.field, _schema()), key.kind) for key in found])
    yield from (f"- value: {value}" for value in values)
    defaults = [(_default(key), key.kind) for key in found]
    yield from (f"- {default}" for default in _by_kind([(text, kind) for text, kind in defaults if text]))


def _by_kind(told: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is said of several kinds alike, said once."""
    texts = dict.fromkeys(text for text, _ in told)
    for text in texts:
        kinds = [f"`{kind}`" for each, kind in told if each == text and kind]
        yield f"{text} (with {', '.join(kinds)})" if kinds and len(texts) > 1 else text


def _default(key: Key) -> str:
    if key.required:
        return "required"
    return f"default: `{flow(key.field['default'])}`" if "default" in key.field else ""


def _keys_below(name: str, found: Sequence[Key]) -> Iterator[str]:
    kinds = [kind for key in found for kind in _mappings(key.field)]
    tagged = [kind for kind in kinds if _tag(kind)]
    if len(tagged) >= _SEVERAL:
        yield f"It depends on the kind; `specc explain {name}.{_tag(tagged[0])}` tells those of one:\n"
        yield from (f"- `{_named(kind)}`: {kind.get('description', '').partition(chr(10))[0]}" for kind in kinds)
        return
    seen: set[str] = set()
    for kind in kinds:
        for key, field in kind["properties"].items():
            if key not in seen:
                seen.add(key)
                yield _key_line(key, field, key in kind.get("required", []))


def _mappings(field: Schema) -> Iterator[Schema]:
    for kind in _kinds(field):
        if "properties" in kind:
            yield kind
        for inner in (kind.get("items"), kind.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from _mappings(inner)


def _key_line(name: str, field: Schema, required: bool) -> str:
    told = ", ".join(filter(None, [kind_of(field, _schema()), _default(Key(field, required))]))
    about = _about(name, field)
    return f"- `{name}`: {told}" + (f"; {about}" if about else "")


def _about(name: str, field: Schema) -> str:
    """What is said of a key; not what merely repeats its name."""
    about: str = field.get("description", "")
    return "" if about.startswith((f"`{name}` of ", f"`{name}`: ")) else about


def _named(kind: Schema) -> str:
    """What tells a kind from the others."""
    return _tag(kind) or f"{next(iter(kind.get('required', ())), '')}: ..."


def _by_default(parts: Sequence[str], found: Sequence[Key]) -> str:
    """The default as an example, where there is one that says something."""
    value = found[0].field.get("default")
    if value in (None, "", [], {}) or not parts or any(part.isdigit() for part in parts):
        return ""
    return "\n".join("  " * depth + f"{part}:" for depth, part in enumerate(parts)) + f" {flow(value)}"


def names() -> tuple[str, ...]:
    """Every key that can be asked for, without the names of kinds."""
    return tuple(dict.fromkeys(_names("", {"$ref": f"#/definitions/{SPEC}"}, 0)))


def _names(above: str, field: Schema, depth: int) -> Iterator[str]:
    for kind in _kinds(field) if depth < 5 else ():
        inner = kind["items"] if isinstance(kind.get("items"), dict) else None
        if inner is not None and "op" not in inner.get("properties", {}):
            yield from _names(above, inner, depth)
        for name, below in kind.get("properties", {}).items():
            here = f"{above}.{name}".lstrip(".")
            yield here
            if "layers" not in here:
                yield from _names(here, below, depth + 1)


def op_page(name: str) -> str | None:
    """The page of an op or a macro."""
    name = name.removeprefix("op.")
    return op_section(name, _schema())[2:] if f"op_{name}" in _schema()["definitions"] and name != "arguments" else None


def ops() -> list[str]:
    """The names of all ops and macros."""
    return [name.removeprefix("op_") for name in _schema()["definitions"] if re.fullmatch("op_(?!arguments).*", name)]


def nearest(name: str) -> list[str]:
    """Keys that may be meant: those of this last name elsewhere, or those that look alike."""
    every = names()
    *first, last = [part for part in re.split(r"[.\[\]]+", name) if part and not part.isdigit()] or [""]
    above = ".".join(first)
    if elsewhere := [key for key in every if key.rpartition(".")[2] == last]:
        return elsewhere[:_SEVERAL]
    other = [f"{where}.{kind.aliases[last]}".lstrip(".") for where, kind in all_mappings() if last in kind.aliases]
    if own := [key for key in dict.fromkeys(other) if key.rpartition(".")[0] == above] or other:
        return list(dict.fromkeys(own))[:_SEVERAL]
    beside = [key for key in every if key.rpartition(".")[0] == above]
    found = suggest(name, beside) or suggest(name, every)
    if found is None and (alike := suggest(last, [key.rpartition(".")[2] for key in every])):
        return [key for key in every if key.rpartition(".")[2] == alike][:_SEVERAL]
    return [found] if found else []


def listed() -> list[tuple[str, str]]:
    """The keys that have others below them, with what is said of them; and those at the top."""
    every = names()
    above = {name.rpartition(".")[0] for name in every}
    asked = [name for name in every if (name in above or "." not in name) and not name.startswith("data.augment.")]
    return [(name, _about(name, find(name)[0].field)) for name in asked]


def ops_listed() -> list[tuple[str, str]]:
    """All ops and macros."""
    return [(name, _schema()["definitions"][f"op_{name}"].get("description", "")) for name in ops()]
