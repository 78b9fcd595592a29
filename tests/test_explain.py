"""One page a code; every Bad gives exactly that code, every Good none at all."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from specc.cli import main
from specc.compiler.checks.consequences import NEEDS, reliable
from specc.diagnostics import Diagnostic, SpecError
from specc.diagnostics import pages as explain
from specc.language.source import parse

ROOT = Path(__file__).parent.parent
ON_OTHER_MACHINES = (
    "SPC112",
    "SPC308",
    "SPC309",
    "SPC312",
    "SPC609",
    "SPC624",
    "SPC625",
    "SPC640",
    "SPC641",
    "SPC642",
    "SPC643",
    "SPC686",
)
SECTIONS = ("What", "Why", "Bad", "Good")
PAGES = sorted((ROOT / "specc" / "diagnostics" / "pages").glob("SPC*.md"))


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block of a page: a spec (`yaml`) or commands (`sh`)."""

    language: str
    text: str


def sections(code: str) -> dict[str, str]:
    """The parts of a page by their titles; the first is the page's own title."""
    title, *parts = re.split(r"^## (.+)\n", explain.page(code), flags=re.M)
    return {"": title.removeprefix("# ").strip(), **dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))}


def example(code: str, section: str) -> Example:
    """The one block of a section."""
    match = re.search(r"^```(\w+)\n(.*?)^```", sections(code)[section], flags=re.M | re.S)
    assert match, f"{code}: no example in {section}"
    return Example(match[1], match[2])


def diagnose(path: str, overrides: list[str]) -> tuple[Diagnostic, ...]:
    """What compiling would say: the checks, and the budget."""
    from specc.checking import load
    from specc.pipeline import compile_spec

    try:
        return compile_spec(load(path, overrides))[1]
    except SpecError as error:
        return error.diagnostics


def resume(path: str, overrides: list[str]) -> tuple[Diagnostic, ...]:
    """What going on with a run of the spec would say, before anything is trained."""
    from specc.spec.resuming import changed

    try:
        changed(Path(path).read_text(encoding="utf-8"), path, overrides)
    except SpecError as error:
        return error.diagnostics
    return ()


def compare(paths: list[str]) -> tuple[Diagnostic, ...]:
    """What a comparison at the same seeds would say, before anything is trained."""
    from specc.checking import load
    from specc.comparing.fairness import unlike

    return tuple(unlike([load(path) for path in paths], trained=True, seeded=True))


def run(example: Example) -> tuple[Diagnostic, ...]:
    """Play the example in the current folder."""
    if example.language == "yaml":
        Path("spec.yaml").write_text(example.text, encoding="utf-8")
        return diagnose("spec.yaml", [])
    found: tuple[Diagnostic, ...] = ()
    for line in example.text.splitlines():
        if line.startswith("specc init"):
            assert CliRunner().invoke(main, shlex.split(line)[1:]).exit_code == 0
        elif line.startswith("specc resume"):
            found += resume("spec.yaml", shlex.split(line)[3:])
        elif line.startswith("specc compare"):
            found += compare([word for word in shlex.split(line) if word.endswith(".yaml")])
        elif line.startswith("specc ") and "--run-dir" not in line:
            _, _, path, *overrides = shlex.split(line)
            found += diagnose(path, overrides)
        elif "--run-dir" not in line:
            subprocess.run(["sh", "-c", line], check=True)
    return found


@pytest.mark.parametrize("code", [path.stem for path in PAGES])
def test_page(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = sections(code)
    assert parts[""] == f"{code}: {explain.titles()[code]}"
    assert tuple(parts)[1:] == SECTIONS
    monkeypatch.chdir(tmp_path)
    bad = example(code, "Bad")
    if bad.language == "text":  # depends on the machine
        assert code in ON_OTHER_MACHINES
    else:
        assert {d.code for d in run(bad)} == {code}
        (tmp_path / "spec.yaml").unlink()
    assert run(example(code, "Good")) == ()


def test_every_page_begins_with_its_code_and_title() -> None:
    assert {path.stem for path in PAGES} == set(explain.titles())


def test_only_findings_that_there_are_can_be_consequences() -> None:
    assert [known for known in NEEDS if not any(code.startswith(known) for code in explain.titles())] == []


def test_what_a_code_rests_on_itself_comes_before_what_its_phase_does() -> None:
    tree, _ = parse("specc: 1", "spec.yaml")
    assert tree is not None
    loose, small = Diagnostic("SPC305", "loose end"), Diagnostic("SPC301", "images too small")
    assert reliable([loose, small], frozenset({("data", "dataset")}), tree) == (loose,)
    assert reliable([loose, small], frozenset({("backbone", "depth")}), tree) == ()


def test_every_code_in_the_source_is_known() -> None:
    used = {
        code
        for package in ("specc", "runtime")
        for path in (ROOT / package).rglob("*.py")
        for code in re.findall(r"\"(SPC\d{3})\"", path.read_text(encoding="utf-8"))
    }
    assert used <= set(explain.titles())


def test_explain_prints_the_page() -> None:
    result = CliRunner().invoke(main, ["explain", "spc204"])
    assert result.exit_code == 0
    assert result.output.startswith("# SPC204: ")
    listed = CliRunner().invoke(main, ["explain"]).output.splitlines()
    assert {line.partition("\t")[0] for line in listed} >= {*explain.titles(), "train", "train.optimizer", "conv"}


@pytest.mark.parametrize("name", ["SPC999", "nonsense", "", "SPC20"])
def test_an_unknown_code_answers_with_the_nearest(name: str) -> None:
    result = CliRunner().invoke(main, ["explain", name])
    assert result.exit_code == 2
    assert "nearest: SPC" in result.output
