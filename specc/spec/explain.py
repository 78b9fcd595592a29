"""Validation errors of the models as diagnostics: code, position, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from specc.diagnostics import Diagnostic, Label, Span, did_you_mean, suggest
from specc.language.schema import EXPECTED, comparison
from specc.language.source import Path, Tree
from specc.spec.alternatives import Found, likely_errors
from specc.spec.explain_layers import explain_op
from specc.spec.lookup import ROOT, added, fields_of, keys_of, mappings_with, model_at, models_at, show_path, tags_of

_UNKNOWN = ("SPC101", "SPC105", "SPC203")  # key, value, op
_ITEM = re.compile(r"(.+)\[(\d+)\]")  # what other tools write for an item of a list


def explain(error: ValidationError, tree: Tree) -> list[tuple[Path, Diagnostic]]:
    """One diagnostic a mistake, each with the path in the spec whose value cannot be relied on."""
    found = list(likely_errors(error.errors(include_url=False), tree.data))
    meant = {(*f.path[:-1], _meant_key(f.path, tree)) for f in found if f.detail["type"] == "extra_forbidden"}
    absent = [f"`{f.detail['input']}`" for f in found if f.detail.get("ctx", {}).get("code") == "SPC113"]
    strays = {key for f in found for key in strays_of(f.path, tree)}
    return [
        (_unreliable(f, tree), _perhaps_of(absent, diagnostic))
        for f in found
        if not (f.detail["type"] == "missing" and (*f.path, f.detail["loc"][-1]) in meant)  # misspelt, and said so
        for diagnostic in _explain(f, tree)
        if not (f.detail["type"] == "extra_forbidden" and f.path[0] in strays)
    ]


def _perhaps_of(absent: Sequence[str], diagnostic: Diagnostic) -> Diagnostic:
    """An unknown name in a spec that requires packages which are not installed may be of one of those."""
    if not absent or diagnostic.code not in _UNKNOWN:
        return diagnostic
    hint = f"it may be of {' or '.join(absent)}, which the spec requires and which is not installed"
    return replace(diagnostic, help=(hint, *diagnostic.help))


def _unreliable(found: Found, tree: Tree) -> Path:
    """What the author meant to say here is unknown: for a misspelt key, the key that was meant."""
    if found.detail["type"] == "missing":
        return (*found.path, found.detail["loc"][-1])
    if found.detail["type"] == "extra_forbidden" and (meant := _meant_key(found.path, tree)):
        return (*found.path[:-1], meant)
    return found.path


def _explain(found: Found, tree: Tree) -> Iterator[Diagnostic]:
    detail, path = found.detail, found.path
    kind = detail["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        yield _unknown_key(path, tree)
    elif kind == "missing":
        yield _missing(str(detail["loc"][-1]), path, tree)
    elif kind == "union_tag_not_found":
        yield _no_tag(found, tree)
    elif kind in EXPECTED:
        yield _wrong_kind(found, tree)
    elif kind in ("union_tag_invalid", "literal_error"):
        yield _choice(found, tree)
    elif kind.startswith("op_"):
        yield from explain_op(detail, path, tree)
    elif kind == "problem":
        yield _problem(detail, path, tree)
    else:
        yield _limit(detail, path, tree)


def show(value: Any) -> str:
    """A wrong value as messages show it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, (Mapping, list)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = repr(value) if isinstance(value, str) else str(value)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}...`"


# -- keys ---------------------------------------------------------------------------------------------------------


def _meant_key(path: Path, tree: Tree) -> str | None:
    """The valid key that an unknown one probably stands for, if it is not there as well."""
    model = model_at(path[:-1], tree.data)
    free = [key for key in keys_of(model) if (*path[:-1], key) not in tree.keys] if model else []
    return suggest(str(path[-1]), free, model.aliases) if model else None


def _unknown_key(path: Path, tree: Tree) -> Diagnostic:
    model, key, where = model_at(path[:-1], tree.data), str(path[-1]), show_path(path[:-1])
    help = did_you_mean(key, keys_of(model), model.aliases) if model else ()
    if model and (item := _ITEM.fullmatch(key)) and item[1] in keys_of(model):
        help = (f"items of a list are named by their number, from 0 on: `{item[1]}.{item[2]}`",)
    homes = [home for home in mappings_with(key) if home != ".".join(map(str, path[:-1]))]
    if homes and not any(line.startswith("did you mean") for line in help):
        at = f"`{homes[0]}`" if homes[0] else "the top of the spec"
        help = (f"`{key}` is a key of {at}: is it in the wrong place, or the indentation wrong?", *help)
    return Diagnostic("SPC101", f"unknown key `{key}` in {where}", tree.span(path, key=True), f"not a key of {where}",
                      help=help)  # fmt: skip


def _missing(key: str, path: Path, tree: Tree, *help: str) -> Diagnostic:
    span = tree.span(path, key=True) if path else next(iter(tree.keys.values()), tree.span(()))
    help = help or _about(path, key, tree)
    return Diagnostic("SPC102", f"missing key `{key}` in {show_path(path)}", span, f"needs `{key}`", help=help)


def _no_tag(found: Found, tree: Tree) -> Diagnostic:
    """A mapping that does not say which kind it is; its key may be misspelt."""
    detail, path = found.detail, found.path
    if not isinstance(detail["input"], Mapping):
        text = f"{show_path(path)} must be a mapping, not {show(detail['input'])}"
        return Diagnostic("SPC103", text, _span(path, tree),
                          "expected a mapping", help=_kinds_help(path))  # fmt: skip
    tag = str(detail["ctx"]["discriminator"]).strip("'()")
    for key in detail["input"]:
        if suggest(str(key), [tag]) or _aliases(path).get(str(key)) == tag:
            where = show_path(path)
            return Diagnostic("SPC101", f"unknown key `{key}` in {where}", tree.span((*path, key), key=True),
                              f"not a key of {where}", help=(f"did you mean `{tag}`?",))  # fmt: skip
    return _missing(tag, path, tree, *_kinds_help(path))


def _aliases(path: Path) -> dict[str, str]:
    return {k: v for kind in models_at(path) for k, v in kind.aliases.items()}


def _kinds_help(path: Path) -> tuple[str, ...]:
    """The keys that tell the kinds of a mapping apart."""
    kinds = models_at(path)
    tags = [f"`{key}: {value}`" for kind in kinds for key, values in tags_of(kind).items() for value in values]
    tags += [f"`{kinds[0].alternatives[0]}: {name}`" for name in added(path, None)]
    others = [f"`{key}: ...`" for kind in kinds if not tags_of(kind) for key in keys_of(kind)[:1]]
    return (f"write one of {', '.join([*tags, *others])}",)


def _about(path: Path, key: str, tree: Tree) -> tuple[str, ...]:
    """What a key is for."""
    model = model_at(path, tree.data)
    field = fields_of(model).get(key) if model else None
    return (f"`{key}`: {field.description}",) if field and field.description else ()


# -- values -------------------------------------------------------------------------------------------------------


def _wrong_kind(found: Found, tree: Tree) -> Diagnostic:
    detail, path = found.detail, found.path
    kinds = dict.fromkeys(_expected(each) for each in (detail, *found.others))
    *first, last = [kind for kind in kinds if kind]
    expected = f"{', '.join(first)} or {last}" if first else last
    text = f"{show_path(path)} must be {expected}, not {show(detail['input'])}"
    strays = tuple(Label(tree.span((key,), key=True), "not indented?") for key in strays_of(path, tree))
    return Diagnostic("SPC103", text, _span(path, tree), f"expected {expected}", secondary=strays,
                      help=_kind_help(detail, path, tree))  # fmt: skip


def _span(path: Path, tree: Tree) -> Span:
    """The value's span; where nothing is written, the key's."""
    span = tree.span(path)
    empty = (span.line, span.column) == (span.end_line, span.end_column)
    return tree.span(path, key=empty)


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return str(detail.get("ctx", {}).get("expected", "")).replace("'", "`")
    return EXPECTED.get(detail["type"], "")


def _kind_help(detail: ErrorDetails, path: Path, tree: Tree) -> tuple[str, ...]:
    value, kind = detail["input"], EXPECTED[detail["type"]]
    if value is None:
        return _nothing_help(path, kind, tree)
    if isinstance(value, str) and kind in ("a number", "a whole number"):
        return ("take the quotes away: the text is a number",) if _is_number(value) else ()
    if kind == "text":
        return (f'put it into quotes if it is meant as text: `"{value}"`',) if isinstance(value, (int, float)) else ()
    if kind == "a list":
        return ("put `- ` in front of each item, or write `[a, b]`",)
    model = model_at(path, tree.data)
    if model is not None and not keys_of(model):
        return ("write `{}`: it has no keys",)
    return (f"write `key: value` lines; valid keys: {', '.join(keys_of(model))}",) if model else ()


def _nothing_help(path: Path, kind: str, tree: Tree) -> tuple[str, ...]:
    if strays := strays_of(path, tree):
        return (f"indent {', '.join(f'`{key}`' for key in strays)} to put it under `{path[-1]}`",)
    return (f"write {kind}, or delete the key to get the default",)


def strays_of(path: Path, tree: Tree) -> list[str]:
    """Keys at the top of the spec that belong under the empty section at `path`: they were not indented."""
    model = model_at(path, None) if len(path) == 1 and tree.data.get(path[0]) is None else None
    outer = keys_of(ROOT)
    return [str(k) for k in tree.data if str(k) in keys_of(model) and str(k) not in outer] if model else []


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text.strip()) is not None


def _choice(found: Found, tree: Tree) -> Diagnostic:
    detail, path = found.detail, found.path
    context = detail.get("ctx", {})
    listed = str(context.get("expected_tags") or context.get("expected", ""))
    valid = re.findall(r"'([^']*)'", listed) or listed.replace(" or ", ", ").split(", ")
    valid = [name for name in valid if name]
    value: Any = detail["input"]
    if detail["type"] == "union_tag_invalid":
        value, tag = context.get("tag"), str(context["discriminator"]).strip("'()")
        valid = [v for kind in models_at(path) for v in tags_of(kind).get(tag, ())]
        valid = list(dict.fromkeys([*valid, *added(path, None)]))
        path = (*path, tag)
    shown = f"`{value}`" if isinstance(value, str) and len(value) < 40 else show(value)
    text = f"{show_path(path)} is {shown}, which is not one of its values"
    label = f"expected {' or '.join(f'`{v}`' for v in valid)}" if 0 < len(valid) <= 4 else "unknown value"
    also = [EXPECTED[other["type"]] for other in found.others if other["type"] in EXPECTED]
    label += "".join(f", or {kind}" for kind in dict.fromkeys(also))
    help = did_you_mean(str(value), valid) if valid else ("no installed package adds one",)
    return Diagnostic("SPC105", text, tree.span(path), label, help=help)


def _limit(detail: ErrorDetails, path: Path, tree: Tree) -> Diagnostic:
    kind, context = detail["type"], detail.get("ctx", {})
    where, value = show_path(path), show(detail["input"])
    if rule := comparison(kind, context):
        return Diagnostic("SPC104", f"{where} must be {rule}, not {value}", tree.span(path), f"expected {rule}")
    if kind == "finite_number":
        return Diagnostic("SPC106", f"{where} is {value}, which is not a finite number", tree.span(path), "not finite")
    if kind in ("too_short", "too_long"):
        length, bound = context["actual_length"], context.get("min_length", context.get("max_length"))
        rule = f"{'at least' if kind == 'too_short' else 'at most'} {bound} item{'s' * (bound != 1)}"
        return Diagnostic("SPC110", f"{where} must have {rule}, not {length}", tree.span(path), f"{length} of {bound}")
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return Diagnostic("SPC104", f"{where}: {message}", tree.span(path), "not accepted")


def _problem(detail: ErrorDetails, path: Path, tree: Tree) -> Diagnostic:
    """A mistake that a validator found and has a code for."""
    told = detail["ctx"]
    beside = (*path, told["beside"])
    secondary = (Label(tree.span(beside), "and this"),) if beside in tree.values else ()
    at = (*path, told["key"])
    if told["key"] and at not in tree.values and secondary:
        at, secondary = beside, ()
    span = tree.span(at if told["key"] else path, key=not told["key"] and isinstance(detail["input"], Mapping))
    help = (told["help"],) if told["help"] else ()
    message = f"{show_path(path)}: {told['message']}"
    return Diagnostic(told["code"], message, span, told["label"], secondary=secondary, help=help)
