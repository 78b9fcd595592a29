"""The located tree: values, spans, one case for every code, and that no input whatever raises or takes long."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specc.diagnostics import Diagnostic, Span
from specc.diagnostics.pages import titles
from specc.diagnostics.render import render
from specc.language import compose, source
from specc.language.overrides import override
from specc.language.source import Tree

from .parts import ends

BOMB = "a0: &a0 [x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))

# code -> (text, the text that the spans must point at)
WRONG = {
    "SPC003": ("# nothing\n", ""),
    "SPC004": ("- a\n- b\n", "- a\n- b"),
    "SPC005": ("a: 1\n---\nb: 2\n", "---"),
    "SPC006": ("a: b: c\n", ":"),
    "SPC007": ("a:\n\tb: 1\n", "\t"),
    "SPC008": ("a: 1\nb: 2\na: 3\n", "a"),
    "SPC009": ("a: " + "[" * 70 + "]" * 70, "["),
    "SPC010": ("a: [" + "1," * 700 + "]", "1"),  # where no more are read; `test_explain.py` has the number
    "SPC011": ("a: &x {b: *x}\n", "*x"),
    "SPC012": (BOMB, "*a4"),
    "SPC013": ("a: *x\n", "*x"),
    "SPC014": ("a: !!python/object:os.system x\n", "!!python/object:os.system"),
    "SPC015": ("true: 1\n", "true"),
    "SPC016": ("a: yes\n", "yes"),
    "SPC017": ("a: 010\n", "010"),
    "SPC018": ("a: &x 1\nb: {<<: *x}\n", "*x"),
    "SPC019": ("a: \x07\n", "\x07"),
    "SPC025": (f"a: {'9' * 5000}\n", "9" * 5000),
}
OVERRIDES = {
    "SPC009": (".".join("a" * 70) + "=1", ".".join("a" * 70)),
    "SPC016": ("train.nesterov=yes", "yes"),
    "SPC020": ("train.epochs", "train.epochs"),
    "SPC021": ("train.=1", ""),
    "SPC022": ("train.epochs=[1", "["),
    "SPC023": ("levels.2.weight=1", "2"),
    "SPC024": ("name.first=1", "first"),
}
BASE = "name: man\ntrain: {epochs: 400}\nlevels:\n- {name: a, weight: 1}\n- {name: b}\n"


def text_at(text: str, span: Span) -> str:
    locator = compose.Locator("", text)
    return text[
        locator.starts[span.line - 1] + span.column - 1 : locator.starts[span.end_line - 1] + span.end_column - 1
    ]


def parse(text: str) -> tuple[Tree | None, list[Diagnostic]]:
    return source.parse(text, "x.yaml")


def tree_of(text: str) -> Tree:
    tree, diagnostics = parse(text)
    assert diagnostics == []
    assert tree is not None
    return tree


@pytest.mark.parametrize("code", WRONG)
def test_every_code_points_at_its_text(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, blamed = WRONG[code]
    if code == "SPC010":
        monkeypatch.setattr(compose, "MAX_NODES", 700)
    _, diagnostics = parse(text)
    assert {diagnostic.code for diagnostic in diagnostics} == {code}
    assert diagnostics[0].span is not None
    assert text_at(text, diagnostics[0].span) == blamed


@pytest.mark.parametrize("code", OVERRIDES)
def test_every_override_code_points_at_its_text(code: str) -> None:
    assignment, blamed = OVERRIDES[code]
    tree, diagnostics = override(tree_of(BASE), ["seed=1", assignment])
    (found,) = diagnostics
    assert found.code == code
    assert found.span is not None
    assert (found.span.file, found.span.line) == ("<cli>", 2)
    assert text_at(tree.cli_text, found.span) == blamed
    assert tree.data["seed"] == 1


def test_every_code_has_a_case() -> None:
    several_files = {"SPC026", "SPC027", "SPC028", "SPC029"}  # test_extends.py
    known = {code for code in titles() if code.startswith("SPC0")}
    assert known == set(WRONG) | set(OVERRIDES) | several_files | {"SPC001", "SPC002"}


def test_bytes_that_are_not_utf8() -> None:
    _, (found,) = source.parse_bytes("a: 1\nb: é\xff".encode() + b"\xff", "x.yaml")
    assert (found.code, found.span) == ("SPC001", Span("x.yaml", 2, 6, 2, 7))
    _, (found,) = source.parse_bytes("a: 1".encode("utf-16"), "x.yaml")
    assert "UTF-16" in found.message


def test_large_files_are_refused_without_reading_them_all(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"#" * (source.MAX_BYTES + 2))
    _, (found,) = source.read(path)
    assert found.code == "SPC002"
    assert len(source.read_bytes(path)) == source.MAX_BYTES + 1


def test_a_file_that_cannot_be_opened_is_not_a_mistake_in_the_spec(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        source.read(tmp_path / "missing.yaml")


def test_byte_order_mark_is_accepted() -> None:
    tree, diagnostics = source.parse_bytes(b"\xef\xbb\xbfa: 1\n", "x.yaml")
    assert not diagnostics
    assert tree is not None
    assert tree.span(("a",)) == Span("x.yaml", 1, 4, 1, 5)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("1.0e-4", 1e-4),
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("+3", 3),
        ("~", None),
        ("", None),
        ("null", None),
        ("True", True),
        ("false", False),
        ("-.inf", float("-inf")),
        ("'yes'", "yes"),
        ('"010"', "010"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("6 GiB", "6 GiB"),
        ("0o8", "0o8"),
        ("2001-01-01", "2001-01-01"),
        ("12:30", "12:30"),
        ("${A:-b}", "${A:-b}"),
        ("e4", "e4"),
        (".", "."),
        ("x_1", "x_1"),
    ],
)
def test_scalars_follow_the_core_schema(written: str, value: object) -> None:
    data = tree_of(f"a: {written}\n").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize(
    ("written", "meant", "advice"),
    [
        ("off", False, '`false`, or "off"'),
        ("On", True, "`true`"),
        ("010", 10, "`10`, or `0o10`"),
        ("09", 9, "`9`"),
        ("1_000", 1000, "`1000`"),
        ("0b101", 5, "`5`"),
        ("00", 0, "`0`"),
    ],
)
def test_habits_of_yaml_1_1_go_on_with_what_was_meant(written: str, meant: object, advice: str) -> None:
    tree, (found,) = parse(f"a: {written}\n")
    assert tree is not None
    assert tree.data == {"a": meant}
    assert advice in found.help[0]


def test_merge_keys_and_aliases_keep_the_spans_of_the_original() -> None:
    text = "base: &b\n  lr: 1\n  k: 2\nuse: {<<: *b, k: 3}\nagain: *b\n"
    tree = tree_of(text)
    assert tree.data["use"] == {"lr": 1, "k": 3}
    assert tree.data["again"] == tree.data["base"]
    assert tree.span(("use", "lr")).line == 2
    assert tree.span(("use", "k")).line == 4
    assert text_at(text, tree.span(("again",))) == "*b"


@pytest.mark.parametrize(
    ("text", "path", "written"),
    [
        ("a:\n  - b: 1\n    c: 2\n\n# end\n", ("a", 0), "b: 1\n    c: 2"),
        ("a: {b: [1, 2]}  # end\n", ("a",), "{b: [1, 2]}"),
        ("a: |\n  x\n  y\n\nb: 1\n", ("a",), "|\n  x\n  y"),
        ("a: &n 'it''s'\n", ("a",), "'it''s'"),
        ("a: &n\n  b: 1\n", ("a",), "b: 1"),
        ("a:\nb: 1\n", ("a",), ""),
        ("層: 値\r\nb: x y\r\n", ("b",), "x y"),
    ],
)
def test_spans_are_the_exact_text(text: str, path: tuple[str | int, ...], written: str) -> None:
    assert text_at(text, tree_of(text).span(path)) == written


def test_span_of_what_was_not_written_is_that_of_the_nearest_thing_around_it() -> None:
    tree = tree_of("train: {epochs: 1}\n")
    assert tree.span(("train", "optimizer", "lr")) == tree.span(("train",))
    assert tree.span(("train", "epochs"), key=True) == Span("x.yaml", 1, 9, 1, 15)
    assert tree.span(("nothing",)) == tree.span(())


def test_independent_mistakes_are_all_reported_in_file_order() -> None:
    text = "a: yes\na: 1\ntrue: 010\nb: *gone\nc: [*gone, {d: 1, d: off}]\n"
    tree, diagnostics = parse(text)
    codes = ["SPC016", "SPC008", "SPC015", "SPC017", "SPC013", "SPC013", "SPC008", "SPC016"]
    assert [diagnostic.code for diagnostic in diagnostics] == codes
    assert tree is not None
    assert tree.data["a"] is True


def test_units_may_be_numbered() -> None:
    assert tree_of("units: {3: {}}\n").data == {"units": {3: {}}}


@pytest.mark.parametrize(
    ("text", "message", "blamed"),
    [
        ("a: [1, 2\nb: 3\n", "never closed", "["),
        ("a: {x: 1 y: 2}\n", "", ""),
        ("a: 'x\nb: 1\n", "quote is never closed", "'"),
        ("a: 1\nfoo\nb: 2\n", "not `key: value`", "foo"),
        ("a: @x\n", "cannot start with this", "@"),
        ('a: "\\q"\n', "unknown escape", "q"),
        ('a: "\\UFFFFFFFF"\n', "not YAML", ""),
        ("a: - b\n", "list cannot start here", ""),
    ],
)
def test_syntax_errors_are_explained(text: str, message: str, blamed: str) -> None:
    tree, (found,) = parse(text)
    assert tree is None
    assert found.code == "SPC006"
    assert message in found.message
    assert found.span is not None
    assert text_at(text, found.span).startswith(blamed)


def test_overrides_replace_create_and_are_located() -> None:
    tree = tree_of(BASE)
    overrides = ["train.epochs=2", "levels.1.weight=0.5", "budget.memory=6 GiB", "train.optimizer={lr: 1e-2}"]
    edited, diagnostics = override(tree, overrides)
    assert not diagnostics
    assert edited.data["train"] == {"epochs": 2, "optimizer": {"lr": 0.01}}
    assert edited.data["levels"][1] == {"name": "b", "weight": 0.5}
    assert edited.data["budget"] == {"memory": "6 GiB"}
    assert edited.span(("train", "epochs")) == Span("<cli>", 1, 14, 1, 15)
    assert edited.span(("levels", 1, "weight"), key=True) == Span("<cli>", 2, 10, 2, 16)
    assert text_at(edited.cli_text, edited.span(("train", "optimizer", "lr"))) == "1e-2"
    assert edited.sources == {"x.yaml": BASE, "<cli>": "\n".join(overrides)}
    assert tree.data["train"] == {"epochs": 400}, "the tree itself does not change"


def test_an_override_forgets_the_spans_of_what_it_replaces() -> None:
    edited, _ = override(tree_of(BASE), ["levels=[]"])
    assert edited.data["levels"] == []
    assert not [path for path in {**edited.values, **edited.keys} if path[:1] == ("levels",) and len(path) > 1]


LINES = st.lists(
    st.sampled_from(
        [
            "a: 1",
            "a: yes",
            "b:",
            "  c: 010",
            "  - x",
            "- &a {b: *a}",
            "k: [1, 2",
            "]",
            "k: {<<: *a}",
            "\tx: 1",
            "---",
            "!t x",
            "? [a]",
            ": 1",
            "'",
            '"\\x',
            "|",
            "# c",
            "%YAML 1.1",
            "...",
            "a: &a b",
            "*a : 1",
            "~: x",
            "<<: 1",
            "\ufeffa: 1",
            "x: \x85",
        ]
    ),
    max_size=12,
).map("\n".join)


def check_total(text: str) -> None:
    with ends():
        tree, diagnostics = parse(text)
        render(diagnostics, {"x.yaml": text})
    assert tree is not None or any(diagnostic.is_error for diagnostic in diagnostics)
    for diagnostic in diagnostics[:20]:
        assert diagnostic.code in titles()
        assert diagnostic.span is not None
        text_at(text, diagnostic.span)


@settings(derandomize=True, max_examples=400, deadline=None)
@given(st.one_of(LINES, st.text(max_size=60), st.text(alphabet="ab:-? \n\t[]{}&*!|>'\"#%@,<1.~", max_size=40)))
def test_no_text_raises(text: str) -> None:
    check_total(text)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_raise(raw: bytes) -> None:
    tree, diagnostics = source.parse_bytes(raw, "x.yaml")
    render(diagnostics, {"x.yaml": source.decode(raw)})
    assert tree is not None or diagnostics


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="nametrinlvs.0123=[]{}: ,&*x\n", max_size=20), max_size=4))
def test_no_override_raises(assignments: list[str]) -> None:
    edited, diagnostics = override(tree_of(BASE), assignments)
    render(diagnostics, edited.sources)
    assert isinstance(edited.data, dict)


WORDS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(lambda word: word not in {"on", "off", "yes", "no"})
VALUES = st.recursive(
    WORDS | st.integers(-999, 999).map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


def written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(child)}" for key, child in value.items()) + "}"
    return "[" + " , ".join(map(written, value)) + "]" if isinstance(value, list) else str(value)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=4))
def test_text_at_every_span_is_what_was_written(spec: dict[str, object]) -> None:
    text = "".join(f"{key}:  {written(value)}  # end\n" for key, value in spec.items())
    tree = tree_of(text)
    for path, span in tree.values.items():
        value: object = spec
        for part in path:
            value = value[part]
        if path:
            assert text_at(text, span) == written(value)
    assert all(text_at(text, span) == path[-1] for path, span in tree.keys.items())


def layers(count: int) -> str:
    return "layers:\n" + "".join(f"- {{name: l{i}, op: conv, out: 16, k: 3, stride: 1}}\n" for i in range(count))


@pytest.mark.parametrize(
    "text",
    [
        "k: [" + "[]," * 20_000 + "]",
        "[" * 900_000,
        "k: " + "a " * 200_000,
        "# x\n" * 200_000,
        "- yes\n" * 10_000,
        "\x00" * 200_000,
        "a: 1\n" * 10_000,
        'k: "' + "\\x41" * 200_000,
        "k: &" + "a" * 900_000,
        BOMB,
        "%TAG ! a\n" * 90_000,
        "? " * 9_000,
        "".join(" " * depth + "a:\n" for depth in range(900)),
    ],
    ids=lambda text: repr(text[:8]),
)
def test_hostile_texts_are_answered(text: str) -> None:
    check_total(text)


def test_five_thousand_layers_are_read() -> None:
    assert len(tree_of(layers(5_000)).data["layers"]) == 5_000
