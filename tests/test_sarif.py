"""`specc validate --format sarif`: what code scanners are told, held to what Microsoft's validator asks for."""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import specc
from specc import about
from specc.diagnostics import Diagnostic, Label, Severity, Span, pages, sarif
from specc.diagnostics.render import render

from . import commands

ROOT = Path(__file__).parents[1]
VALIDATOR = "SARIF_MULTITOOL"  # where the npm package @microsoft/sarif-multitool has its program
WRONG = """specc: 1
name: example
backbone: {family: resnet_cifar, depth: 20, k: 3}
split: {blocks: 4}
levels:
  - {name: local, window: 1}
  - {name: local, window: 2}
train:
  epochs: 0
  epoch: 0
"""
RIGHT = "specc: 1\nname: example\nbackbone: {family: resnet_cifar, depth: 20}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Specs with several mistakes, one in a folder whose name no address may have as it is."""
    inner = tmp_path / "my specs #1"
    inner.mkdir()
    (inner / "é 50%.yaml").write_text(WRONG)
    (tmp_path / "colon.yaml").write_text("name: MAN: x\n")
    (tmp_path / "right.yaml").write_text(RIGHT)
    return tmp_path


def document(folder: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(commands.specc("validate", "--format", "sarif", *words, cwd=folder).stdout)
    return found


def run_of(folder: Path, *words: str) -> dict[str, Any]:
    (run,) = document(folder, *words)["runs"]
    assert isinstance(run, dict)
    return run


def place(location: dict[str, Any]) -> dict[str, Any]:
    found = location["physicalLocation"]
    assert isinstance(found, dict)
    return found


def test_the_driver_says_which_version_it_is_and_where_more_is_told(folder: Path) -> None:
    driver = run_of(folder, "right.yaml")["tool"]["driver"]
    assert (driver["name"], driver["version"], driver["informationUri"]) == ("specc", specc.__version__, about.HOME)


def test_version_and_home_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == about.VERSION
    assert project["urls"]["Homepage"] == about.HOME
    assert all(url.startswith(about.HOME) for url in project["urls"].values())


def test_every_rule_is_described_and_has_its_page(folder: Path) -> None:
    run = run_of(folder, "my specs #1/é 50%.yaml", "colon.yaml")
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({result["ruleId"] for result in run["results"]})
    assert len(rules) >= 4
    for rule in rules:
        assert rule["help"]["markdown"] == pages.page(rule["id"]).rstrip()
        assert rule["helpUri"] == f"{about.HOME}/diagnostics.html#{rule['id'].lower()}"
        assert all(rule[part]["text"].endswith(".") for part in ("shortDescription", "fullDescription", "help"))
        assert rule["shortDescription"]["text"].casefold().startswith(pages.titles()[rule["id"]].casefold()[:20])
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


def test_every_code_has_a_name_and_an_anchor_of_its_own() -> None:
    names = {code: sarif._rule(code)["name"] for code in pages.titles()}
    assert [name for name in names.values() if not re.fullmatch(r"([A-Z][a-z0-9]+)+", name)] == []
    listed = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    assert [code for code in names if f'<a id="{code.lower()}">' not in listed] == []


def test_files_of_the_checkout_are_named_as_seen_from_it(folder: Path) -> None:
    os.symlink(folder, folder / "link")
    for name in ("my specs #1/é 50%.yaml", str(folder / "my specs #1" / "é 50%.yaml"), "./x/../my specs #1/é 50%.yaml"):
        (folder / "x").mkdir(exist_ok=True)
        first = run_of(folder, name)["results"][0]
        address = place(first["locations"][0])["artifactLocation"]
        assert address == {"uri": "my%20specs%20%231/%C3%A9%2050%25.yaml", "uriBaseId": "%SRCROOT%"}
    elsewhere = run_of(folder / "my specs #1", "../colon.yaml")["results"][0]
    address = place(elsewhere["locations"][0])["artifactLocation"]
    assert address == {"uri": (folder / "colon.yaml").as_uri()}


def test_a_place_is_quoted_with_the_lines_around_it(folder: Path) -> None:
    results = run_of(folder, "my specs #1/é 50%.yaml")["results"]
    twice = next(result for result in results if result["ruleId"] == "SPC202")
    found = place(twice["locations"][0])
    assert found["region"]["snippet"]["text"] == "local"
    assert found["contextRegion"]["snippet"]["text"] == "\n".join(WRONG.split("\n")[4:9])
    assert (found["contextRegion"]["startLine"], found["contextRegion"]["endLine"]) == (5, 9)
    (other,) = twice["relatedLocations"]
    assert (place(other)["region"]["startLine"], other["message"]["text"]) == (6, "First used here.")


def test_a_file_that_is_no_spec_is_not_copied_into_the_report(tmp_path: Path) -> None:
    (tmp_path / "diary").write_text("a secret\n" * 30)
    (found,) = run_of(tmp_path, "diary")["results"]
    assert "secret" not in json.dumps(found)


def test_what_was_typed_is_in_no_file(folder: Path) -> None:
    (found,) = run_of(folder, "right.yaml", "train.epochs=0")["results"]
    assert found["locations"] == [
        {"logicalLocations": [{"name": "train.epochs=0", "fullyQualifiedName": "<cli>:1"}]},
    ]


def test_a_fingerprint_is_that_of_the_mistake_wherever_its_line_moves(folder: Path) -> None:
    def prints() -> list[str]:
        results = run_of(folder, "my specs #1/é 50%.yaml")["results"]
        return [result["partialFingerprints"]["speccDiagnostic/v1"] for result in results]

    before = prints()
    (folder / "my specs #1" / "é 50%.yaml").write_text(f"# moved\n\n{WRONG}")
    assert prints() == before
    assert len(set(before)) == len(before) >= 4


def test_alike_mistakes_have_different_fingerprints() -> None:
    spans = [Span("a.yaml", line, 1, line, 2) for line in (1, 2)]
    found = [Diagnostic("SPC101", "unknown key `x`", span) for span in spans]
    results = json.loads(render(found, {"a.yaml": "x\nx\n"}, "sarif"))["runs"][0]["results"]
    first, second = (result["partialFingerprints"]["speccDiagnostic/v1"] for result in results)
    assert first.rpartition(":")[0] == second.rpartition(":")[0]
    assert (first[-2:], second[-2:]) == (":1", ":2")


def test_messages_are_sentences_of_their_own_severity() -> None:
    span = Span("a.yaml", 1, 1, 1, 2)
    found = Diagnostic("SPC101", "wrong `x`", span, "this", Severity.WARNING, (Label(span, "that"),), ("mend it",))
    (result,) = json.loads(render([found], {}, "sarif"))["runs"][0]["results"]
    assert (result["level"], result["message"]["text"]) == ("warning", "Wrong `x`. Here: this. Mend it.")


def test_the_examples_in_docstrings_hold() -> None:
    for module in (about, sarif):
        assert doctest.testmod(module).failed == 0


def test_the_official_validator_has_nothing_to_warn_of(folder: Path) -> None:
    """`npm install @microsoft/sarif-multitool`, then its program on the PATH or in $SARIF_MULTITOOL."""
    program = os.environ.get(VALIDATOR) or shutil.which("Sarif.Multitool") or shutil.which("sarif-multitool")
    if program is None:
        pytest.skip(f"no SARIF validator here: install npm's @microsoft/sarif-multitool, or set {VALIDATOR}")
    for number, words in enumerate((["right.yaml"], ["my specs #1/é 50%.yaml", "colon.yaml"], ["colon.yaml", "a.b=1"])):
        report, said = folder / f"{number}.sarif", folder / f"{number}.validated"
        report.write_text(json.dumps(document(folder, *words)))
        known = os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
        subprocess.run(
            [program, "validate", report, "-o", said, "--rule-kind", "Sarif;Ghas", "--level", "Error;Warning;Note"],
            env=known, check=True, capture_output=True,
        )  # fmt: skip
        (run,) = json.loads(said.read_text(encoding="utf-8-sig"))["runs"]
        assert [result for result in run["results"] if result.get("level", "warning") != "note"] == []
        # GitHub reads the text of a message and no other form; specc asks no version control, and loads no schema
        assert {result["ruleId"] for result in run["results"]} <= {"SARIF2002", "SARIF2003", "SARIF2006", "SARIF2012"}
