"""What shells complete: asked through click in this process, and of a real bash once."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from specc.cli import main
from specc.completion import SHELLS, VARIABLE, arguments, prepare, script
from specc.diagnostics import pages
from specc.recipes.places import names

from .commands import specc, surroundings

SHELL_NAMES = ("bash", "zsh", "fish")
# What click completes by itself: its own choices, and any file or folder.
ANYTHING = {"file", "words", "images", "run_dir", "target", "output", "confusion", "root", "shell"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with specs, runs and more, in which one types."""
    prepare(main)
    for name in ("one.yaml", "two.yml", "notes.txt", ".hidden.yaml", "my specs/three.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("specc: 1\n")
    for number, name in enumerate(("runs/man/old", "runs/man/new", "elsewhere/run")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "plan.json").write_text("{}")
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "runs" / "man" / "no run").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(line: str, shell: str = "zsh") -> list[str]:
    """What may stand at the end of a line."""
    maker = SHELLS[shell](main, {}, "specc", VARIABLE)
    os.environ["COMP_WORDS"] = line
    try:
        said = maker.complete()
    finally:
        del os.environ["COMP_WORDS"]
    column = 0 if shell == "fish" else 1
    return [row.split("\t")[column] for row in said.split("\n") if row]


def test_networks_are_names_and_files_that_make_one(home: Path) -> None:
    (home / "nets.py").touch()
    assert completed("specc estimate t") == ["timm:", "torchvision:", "transformers:"]
    assert completed("specc estimate n") == ["nets.py"]
    assert completed("specc estimate nets.py:net --precision b") == ["bf16"]


def test_commands_and_their_options() -> None:
    assert completed("specc va") == ["validate"]
    assert completed("specc run one.yaml --run") == ["--run-dir"]
    assert completed("specc validate --format ") == ["human", "concise", "json", "github", "sarif"]


def test_specs_and_folders_that_may_hold_some() -> None:
    assert completed("specc run ") == ["elsewhere/", "my specs/", "one.yaml", "runs/", "two.yml"]
    assert completed("specc run .h") == [".hidden.yaml"]
    assert completed("specc plan my\\ specs/") == completed('specc plan "my specs/') == ["my specs/three.yaml"]
    assert completed("specc compare one.yaml t") == ["two.yml"]


def test_keys_one_mapping_at_a_time() -> None:
    assert completed("specc run one.yaml train.ep") == ["train.epochs="]
    assert completed("specc run one.yaml data.b") == ["data.batch_size="]
    assert "train." in completed("specc run one.yaml ")
    assert completed("specc run one.yaml train.opt") == ["train.optimizer."]
    assert {"train.optimizer.lr=", "train.optimizer.momentum="} <= set(completed("specc run x train.optimizer."))
    assert completed("specc run one.yaml levels.0.win") == ["levels.0.window="]
    assert completed("specc validate one.yaml budget.") == ["budget.memory=", "budget.on_exceed="]
    assert completed("specc compare one.yaml --set train.prec") == ["train.precision="]
    assert completed("specc run one.yaml nonsense.x.") == []


def test_values_that_can_be_named() -> None:
    assert completed("specc run one.yaml train.precision=") == [
        f"train.precision={name}" for name in ("fp32", "bf16", "fp16")
    ]
    assert completed("specc run x train.optimizer.name=s") == ["train.optimizer.name=sgd"]
    assert completed("specc run x train.deterministic=t") == ["train.deterministic=true"]
    assert "backbone.family=resnet_cifar" in completed("specc run x backbone.family=")
    assert completed("specc run x train.epochs=") == []


def test_every_key_that_is_offered_is_one_that_specc_takes() -> None:
    """Those at the top: each begins a path, or is given a value."""
    from specc.spec.lookup import keys_of
    from specc.spec.models import SpecModel

    offered = {word.rstrip("=.") for word in completed("specc run one.yaml ") if not word.endswith((".yaml", "/"))}
    assert offered == set(keys_of(SpecModel))


def test_codes_and_keys_to_explain() -> None:
    assert completed("specc explain SPC10") == [code for code in pages.titles() if code.startswith("SPC10")]
    assert completed("specc explain spc101") == ["SPC101"]
    assert completed("specc explain train.epo") == ["train.epochs"]
    assert completed("specc explain conv_bn_r") == ["conv_bn_relu"]


def test_recipes() -> None:
    assert completed("specc init --from man_svh") == ["man_svhn"]
    assert completed("specc init --from ") == list(names())


def test_runs_the_youngest_first() -> None:
    for command in ("resume", "evaluate", "predict", "export"):
        assert completed(f"specc {command} ")[:2] == ["runs/man/new", "runs/man/old"]
    assert completed("specc resume elsewhere/") == ["elsewhere/run"]
    assert completed("specc resume runs/man/") == ["runs/man/new", "runs/man/no run/", "runs/man/old"]


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specc.system.devices.numbered", lambda: ["cuda:0", "cuda:1"])
    assert completed("specc plan one.yaml --device ") == ["cpu", "cuda", "cuda:0", "cuda:1"]
    assert completed("specc run one.yaml --device=cuda:") == ["--device=cuda:0", "--device=cuda:1"]


def test_every_parameter_has_its_words_or_is_any_file() -> None:
    """A new command is completed by what its parameters are called, or is listed here."""
    bare = {
        f"{name} {parameter.name}"
        for name, command in main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        and arguments.words_of(name, parameter) is None
        and parameter.name not in ANYTHING
    }
    assert bare <= {"runs pattern"}


def test_bash_replaces_only_what_follows_its_word_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_WORDBREAKS", " \t\n\"'><=;|&(:")
    assert completed("specc run x train.precision=b", "bash") == ["bf16"]
    assert completed("specc run x --device=cu", "bash") == ["cuda"]
    monkeypatch.setenv("SPECC_WORDBREAKS", " \t\n")
    assert completed("specc run x train.precision=b", "bash") == ["train.precision=bf16"]


@pytest.mark.parametrize("shell", SHELL_NAMES)
def test_every_shell_is_asked_and_answered(shell: str, home: Path) -> None:
    assert completed("specc run one.yaml train.ep", shell) == ["train.epochs="]
    assert completed("specc init --from man_svh", shell) == ["man_svhn"]
    printed = specc("completion", shell, cwd=home).stdout
    assert printed == script(shell, main)
    assert f"{VARIABLE}={shell}_complete" in printed


def test_what_cannot_be_found_out_is_silence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("specc run nowhere/at/all/") == []
    assert completed("specc nonsense x") == []
    assert completed("specc run 'an open quote") == []
    (home / "new\nline.yaml").write_text("")
    assert "new" not in "".join(completed("specc run n"))


def wrapped(folder: Path) -> Path:
    """A program `specc` that runs this checkout."""
    program = folder / "bin" / "specc"
    program.parent.mkdir()
    start = "import sys; sys.argv[0] = 'specc'; from specc.cli import main; main()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    program.chmod(0o755)
    return program.parent


def test_no_model_and_no_torch_is_loaded_for_an_answer(home: Path) -> None:
    """A shell waits."""
    program = (
        "import sys, atexit; sys.argv[0] = 'specc'\n"
        "heavy = ('torch', 'pydantic', 'networkx', 'rich.table', 'numpy', 'ruamel', 'matplotlib')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules], file=sys.stderr))\n"
        "from specc.cli import main; main()\n"
    )
    for line in (
        "specc ru",
        "specc run x train.precision=",
        "specc explain SP",
        "specc init --from m",
        "specc resume r",
    ):
        env = surroundings() | {VARIABLE: "zsh_complete", "COMP_WORDS": line, "SPECC_PLUGINS": "none"}
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "[]\n"), line
        assert done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_a_real_bash_reads_the_script_and_completes(home: Path) -> None:
    asked = ("specc run x train.precision=b", "specc run my", 'specc run "my', "specc resume runs/man/n")
    typed = "".join(
        f"COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}; COMP_WORDS=(specc {shlex.quote(line.split()[-1])}); "
        """COMP_CWORD=1; _specc_completion specc; printf '%s|' "${COMPREPLY[@]}"; echo\n"""
        for line in asked
    )
    path = f"{wrapped(home)}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", f'eval "$(specc completion bash)"\ncomplete -p specc\n{typed}'],
        env=surroundings() | {"PATH": path}, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _specc_completion specc",
        "bf16|",
        r"my\ specs/|",
        "my specs/|",
        r"runs/man/new|runs/man/no\ run/|",
    ], done.stderr


@pytest.mark.parametrize("shell", SHELL_NAMES)
def test_a_shell_finds_no_mistake_in_its_script(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n"], input=script(shell, main), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
