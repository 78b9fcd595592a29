"""What commands print: on any terminal, of any text; and the files that they open."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from specc.checking import check, check_text
from specc.cli import main
from specc.diagnostics import Diagnostic, Span
from specc.diagnostics.render import FORMATS, render
from specc.system import files
from tests.documents import document

ESCAPE = "\x1b[31mred\x1b[0m"


def invoke(*words: str | Path, charset: str = "utf-8") -> Result:
    result = CliRunner(charset=charset).invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(document(budget={"memory": "1 MiB"})), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------ any encoding


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "SPEC"],
        ["plan", "SPEC", "--verify"],
        ["plan", "SPEC", "split={fit: {}}"],
        ["graph", "SPEC"],
        ["fit", "SPEC"],
        ["compare", "SPEC", "SPEC"],
        ["validate", "SPEC", "data.image_size=2"],
        ["validate", "SPEC", "name=層"],
        ["run", "SPEC", "auxiliary={classifier: {layers: [{op: linear, out: 3}]}}"],
        ["explain"],
        ["explain", "SPC204"],
        ["explain", "層"],
        ["schema"],
        ["doctor"],
        ["resume", "nowhere-×"],
        ["export", "nowhere-×"],
        ["init", "×/spec.yaml"],
        ["plan", "--×"],
        ["×"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_every_command_writes_on_an_ascii_terminal(words: list[str], spec: Path) -> None:
    result = invoke(*(spec if word == "SPEC" else word for word in words), charset="ascii")
    assert result.stdout_bytes + result.stderr_bytes
    (result.stdout_bytes + result.stderr_bytes).decode("ascii")


def test_a_run_writes_on_an_ascii_terminal(spec: Path, tmp_path: Path) -> None:
    words = ["--device", "cpu", "--run-dir", tmp_path / "run×", "budget=null", "split.after=[stage2.0]"]
    result = invoke("run", spec, *words, charset="ascii")
    assert result.exit_code == 0, result.output
    (result.stdout_bytes + result.stderr_bytes).decode("ascii")


def test_what_ascii_lacks_is_written_as_people_would(spec: Path) -> None:
    said = invoke("validate", spec, "data.image_size=2", "backbone={family: vgg}", charset="ascii").stderr
    assert "images of 2x2 pixels" in said


# ------------------------------------------------------------------------------------------------ control characters


def _drives(text: str) -> bool:
    return any((character < " " and character not in "\n\t") or character in "\x7f\x9b" for character in text)


@pytest.mark.parametrize("form", FORMATS)
def test_no_diagnostic_drives_a_terminal(form: str) -> None:
    place = Span(f"{ESCAPE}.yaml", 1, 1, 1, 5)
    found = [Diagnostic("SPC101", f"unknown {ESCAPE}\r", place, ESCAPE, help=(f"did you mean {ESCAPE}?",))]
    assert not _drives(render(found, {place.file: f"name: {ESCAPE}\n"}, form))


@pytest.mark.parametrize(
    "words",
    [
        ["validate", f"{ESCAPE}.yaml"],
        ["plan", f"{ESCAPE}.yaml"],
        ["run", f"{ESCAPE}.yaml"],
        ["resume", ESCAPE],
        ["export", ESCAPE],
        ["explain", ESCAPE],
        ["init", f"{ESCAPE}/x.yaml"],
        [ESCAPE],
        [f"--{ESCAPE}"],
        ["plan", f"--{ESCAPE}"],
        ["fit", "x.yaml", "--allow", ESCAPE],
        ["validate", "x.yaml", "--format", ESCAPE],
    ],
    ids=ascii,
)
def test_no_argument_drives_a_terminal(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*words)
    assert result.exit_code == 2 or words[0] in ("resume", "export")
    assert not _drives(result.output)


def test_a_file_with_escapes_in_its_name_is_named_without(spec: Path) -> None:
    odd = spec.with_name(f"{ESCAPE}.yaml")
    spec.rename(odd)
    result = invoke("validate", odd, "budget=null")
    assert result.exit_code == 0
    assert not _drives(result.output)
    assert "red" in result.output


@pytest.mark.parametrize("escape", ["\\ud800", "\\u001b[31m", "\\u0000", "\\u0007", "\\u009b2J"])
@pytest.mark.parametrize("place", ["description", "name", "layer", "op", "key", "cut"])
def test_an_escape_that_makes_no_text_is_refused_where_it_stands(escape: str, place: str) -> None:
    lines = {
        "description": f'description: "a{escape}"',
        "name": f'name: "a{escape}"',
        "layer": f'auxiliary: {{classifier: {{layers: [{{op: gelu, approximate: "{escape}"}}]}}}}',
        "op": f'auxiliary: {{classifier: {{layers: [{{op: "{escape}"}}]}}}}',
        "key": f'"a{escape}": 1',
        "cut": f'split: {{after: ["stage1.0{escape}"]}}',
    }
    head = "specc: 1\n" + ("" if place == "name" else "name: x\n") + "backbone: {family: resnet_cifar}\n"
    report = check_text(head + lines[place] + "\n")
    codes = {d.code for d in report.diagnostics}
    assert "SPC019" in codes
    for form in FORMATS:
        render(report.diagnostics, report.sources, form).encode("utf-8")


@pytest.mark.parametrize("value", ['"\\ud800"', '"\\e[0m"', "\udcff"])
def test_an_override_is_text_as_well(value: str, spec: Path) -> None:
    report = check(spec, [f"description={value}"])
    assert {d.code for d in report.diagnostics} & {"SPC019", "SPC022"}


def test_lines_and_tabs_are_text() -> None:
    text = 'specc: 1\nname: x\nbackbone: {family: resnet_cifar}\ndescription: "a\\tb\\nc\\u0085"\n'
    assert check_text(text).diagnostics == ()


# ------------------------------------------------------------------------------------------------ files


@pytest.fixture(params=["fifo", "device", "socket", "folder", "nul", "long"])
def odd_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "odd.yaml"
    match request.param:
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
                yield str(path)
            return
    yield {"nul": "a\0b", "long": "x" * 5_000}.get(request.param, str(path))


def test_only_regular_files_are_opened(odd_file: str) -> None:
    with pytest.raises(OSError):
        files.read(odd_file)


def test_a_spec_that_is_no_regular_file_is_not_read(odd_file: str) -> None:
    result = invoke("validate", odd_file)
    assert result.exit_code == 2
    assert "cannot read" in result.stderr


def test_a_parent_that_is_no_regular_file_is_an_error_at_its_place(odd_file: str, tmp_path: Path) -> None:
    path = tmp_path / "child.yaml"
    path.write_text(json.dumps({"extends": odd_file, "name": "x"}))
    found = [d for d in check(path).diagnostics if d.code != "SPC019"]
    assert [d.code for d in found] == ["SPC026"]


def test_a_cached_graph_that_is_no_regular_file_is_as_if_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from specc.graph.ops.source import Source
    from specc.graph.traced import cache

    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))
    key = cache.key(Source("torchvision", "resnet18", (3, 32, 32), 10))
    key.path.parent.mkdir(parents=True)
    os.mkfifo(key.path)
    assert cache.load(key) is None


def test_a_profile_that_is_no_regular_file_is_as_if_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from specc import profiles

    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))
    profiles.folder().mkdir(parents=True)
    os.mkfifo(profiles.folder() / "x.json")
    assert profiles.stored() == ()


SECRETS = {
    "accounts": "root:x:0:0:hunter2:/root:/bin/sh\nmail:x:8:8:hunter2\n",
    "key": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
    "settings": "[database]\npassword = hunter2\n",
    "other_yaml": "users:\n- password: hunter2\n",
    "broken_yaml": "password: [hunter2\nuser: x: y\n",
    "text": "hunter2\n",
    "list": "- hunter2\n- 1\n",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("form", FORMATS)
def test_no_line_of_a_file_that_is_no_spec_is_quoted(secret: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(secret)
    path = tmp_path / "child.yaml"
    path.write_text("extends: secret\nname: x\nbackbone: {family: resnet_cifar}\n")
    report = check(path)
    assert [d.code for d in report.diagnostics] == ["SPC028"]
    assert "hunter2" not in render(report.diagnostics, report.sources, form)
    assert "hunter2" not in str(report.sources.values())


# ------------------------------------------------------------------------------------------------ command lines


def test_a_long_override_is_no_file_name(spec: Path) -> None:
    result = invoke("validate", spec, "budget=null", "description=" + "x" * 300_000)
    assert result.exit_code == 0, result.output


def test_validation_goes_on_after_a_missing_file(spec: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("specc: 1\n")
    result = invoke("validate", spec, tmp_path / "missing.yaml", wrong, tmp_path / "also.yaml", spec, "budget=null")
    assert result.exit_code == 2
    assert result.stdout.count(": ok") == 2
    assert "SPC102" in result.stderr
    assert result.stderr.count("error: cannot read") == 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory, under a name that would drive a terminal."""
    folder = tmp_path_factory.mktemp("runs")
    path = folder / "spec.yaml"
    path.write_text(json.dumps(document(split={"blocks": 1})), encoding="utf-8")
    result = invoke("run", path, "--device", "cpu", "--run-dir", folder / ESCAPE)
    assert result.exit_code == 0, result.output
    assert not _drives(result.output)
    return folder / ESCAPE


@pytest.mark.parametrize("name", ["plan.json", "spec.resolved.yaml", "summary.json", "state.json", "model.safetensors"])
def test_a_file_of_a_run_that_is_no_regular_file_is_not_waited_for(name: str, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / ESCAPE
    shutil.copytree(finished, copy, symlinks=True)
    for found in copy.rglob(name):
        found.unlink()
        os.mkfifo(found)
    if name in ("state.json", "model.safetensors"):
        (copy / "summary.json").unlink()  # else the run is complete, and its state is not looked at
    words = ["resume", copy] if name != "model.safetensors" else ["export", copy]
    result = invoke(*words)
    assert result.exit_code == 3, result.output
    assert not _drives(result.output)
    assert "egular file" in result.output


@pytest.mark.parametrize(
    "parts",
    [
        {"split": {"after": ["x" * 9_000]}},
        {"split": {"after": ["x y " * 9_000]}},
        {"ema_links": [{"from": "next", "levels": ["x" * 9_000]}]},
        {"backbone": {"layers": [{"name": "a", "op": "x" * 9_000}]}, "split": {"blocks": 1}},
        {"backbone": {"layers": [{"name": "a", "op": "relu", "from": "x" * 9_000}]}, "split": {"blocks": 1}},
        {"backbone": {"layers": [{"name": "x" * 9_000, "op": "relu"}]}, "split": {"blocks": 1}},
    ],
)
def test_a_word_of_any_length_leaves_a_message_readable(parts: dict[str, object]) -> None:
    report = check_text(json.dumps(document(**parts)))
    assert report.diagnostics
    for form in FORMATS:
        most = 8_000 if form == "sarif" else 4_000  # which brings the page of every code along
        assert len(render(report.diagnostics, report.sources, form)) < most
