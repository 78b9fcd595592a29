"""Packages that are missing, broken, or add the same thing: told where a spec names it, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from specc.cli import main

from .processes import Said, commands, package

SPEC = """specc: 1
name: broken
data: {dataset: synthetic, image_size: 8, channels: 1, classes: 4, samples: 16, batch_size: 8}
backbone:
  layers:
    - {name: stem, op: conv, out: 4}
    - {name: act, op: relu}
    - {name: pool, op: global_avg_pool}
    - {name: head, op: linear, out: 4}
split: {blocks: 1}
"""
OP = """
from dataclasses import dataclass
from typing import ClassVar
from specc.extending import Op

@dataclass(frozen=True, slots=True)
class Twice(Op):
    name: ClassVar[str] = "twice"
    prefix: ClassVar[str] = "twice"
    torch: ClassVar[str] = "good_op:no_such_function"
"""
LOST = """
from typing import ClassVar
from specc.extending import Head, Task, Values, builder, ops

def task(name, loss):
    output, said = Values(("classes",)), "accuracy"
    return Task(name, "one class", "class", Values((), "int64"), output, loss, "odd", (said,), said)

LOST, ODDER = task("lost", "nowhere"), task("odder", "odd")

class Lost(Head):
    key: ClassVar = "lost"
    term: ClassVar = "lost"
    target: ClassVar = "labels"

    def build(self, context):
        b = builder(context)
        b.chain([ops.GlobalAvgPool(), ops.Linear(context.classes)])
        return b.graph()

    def loss_name(self, task):
        return "odd"
"""
KNOB = """
from specc.extending import Knob
change = lambda config: config.changed("data", image_size=4) if config.data.image_size != 4 else None
WIDE = Knob("wide", "data.image_size", "smaller images", "all", 30, change)
"""


def spec(folder: Path, act: str = "relu", **more: str) -> Path:
    path = folder / f"{act}.yaml"
    text = SPEC.replace("op: relu", f"op: {act}")
    path.write_text(text + "".join(f"{key}: {value}\n" for key, value in more.items()))
    return path


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """What is said of specs that name good and bad things of packages."""
    folder = tmp_path_factory.mktemp("packages")
    one = package(
        folder, "bad-one",
        {"op.halves": "bad_one:Halves", "op.nothing": "bad_two:Nothing",
         "op.leaving": "leaving:Gone", "ops.many": "good_op:Twice", "op.gelu": "good_op:Twice",
         "op.basic_block": "good_op:Twice", "op.thrice": "good_op:Twice", "op.twice": "good_op:Twice",
         "family.tower": "bad_one:Tower", "optimizer.slow": "bad_one:Slow", "head.odd": "bad_one:Odd",
         "op.shared": "good_op:Twice", "task.odd": "bad_one:Odd", "dataset.odd": "bad_one:Odd",
         "knob.odd": "bad_one:Odd", "instruction.odd": "bad_one:Odd", "loss.odd": "bad_one:Odd",
         "log.odd": "bad_one:Odd",
         "task.lost": "lost:LOST", "task.odder": "lost:ODDER", "head.lost": "lost:Lost", "knob.wide": "bad_knob:WIDE"},
        bad_knob=KNOB, bad_one="import module_that_is_nowhere\n", bad_two="Nothing = 3\n", good_op=OP, lost=LOST,
        leaving="raise SystemExit(0)",
    )  # fmt: skip
    two = package(folder, "bad-two", {"op.shared": "good_op:Twice"})
    names = ("halves", "nothing", "gelu", "basic_block", "thrice", "shared", "leaving", "relu", "twice")
    lines: dict[str, list[str | Path]] = {name: ["validate", spec(folder, name)] for name in names}
    group = "{define: {g: {layers: [{name: a, op: halves}]}}, layers: [{name: a, group: g}]}"
    lines |= {
        "group": ["validate", folder / "relu.yaml", f"backbone={group}"],
        "family": ["validate", folder / "relu.yaml", "backbone={family: tower}"],
        "optimizer": ["validate", folder / "relu.yaml", "train.optimizer.name=slow"],
        "head": ["validate", folder / "relu.yaml", "auxiliary={odd: {}}"],
        "task": ["validate", folder / "relu.yaml", "task=odd"],
        "data": ["validate", folder / "relu.yaml", "data.dataset=odd"],
        "knob": ["validate", folder / "relu.yaml", "budget.memory=1GiB", "split={fit: {allow: [odd]}}"],
        "instruction": ["validate", folder / "relu.yaml", "train.instructions=[{kind: odd}]"],
        "log": ["validate", folder / "relu.yaml", "train.log=[odd]"],
        "lost": ["validate", folder / "relu.yaml", "task=lost"],
        "odder": ["validate", folder / "relu.yaml", "task=odder", "auxiliary={}"],
        "head lost": ["validate", folder / "relu.yaml", "auxiliary={lost: {}}", "split.blocks=2"],
        "allow": ["fit", folder / "relu.yaml", "--budget", "1GiB", "--allow", "split,odd"],
        "wide": ["fit", folder / "relu.yaml", "--budget", "1GiB", "--allow", "split,wide", "--device", "cpu"],
        "schema": ["schema"],
        "doctor": ["doctor"],
        "run": ["run", folder / "twice.yaml", "--device", "cpu", "--run-dir", folder / "run"],
    }
    return dict(zip(lines, commands([one, two], *lines.values()), strict=True))


def test_a_broken_package_concerns_nobody_who_does_not_name_it(said: dict[str, Said]) -> None:
    assert said["relu"].code == 0
    assert said["twice"].code == 0
    assert said["schema"].code == 0


@pytest.mark.parametrize(
    ("name", "place"),
    [("halves", "yaml:7:23"), ("group", "<cli>:1:47"), ("family", "<cli>:1:19"), ("optimizer", "<cli>:1:22"),
     ("head", "<cli>:1:12"), ("task", "<cli>:1:6"), ("data", "<cli>:1:14"), ("knob", "<cli>:2:22"),
     ("instruction", "<cli>:1:28"), ("log", "<cli>:1:12")],
)  # fmt: skip
def test_a_package_that_does_not_import_is_told_where_it_is_named(said: dict[str, Said], name: str, place: str) -> None:
    output = said[name].output
    assert said[name].code == 1
    assert "error[SPC112]: " in output
    assert f"{place}\n" in output
    assert "of `bad-one` cannot be imported: ModuleNotFoundError: No module named 'module_that_is_nowhere'" in output
    assert "`bad-one` needs the module `module_that_is_nowhere`, which is not installed" in output
    assert "1 error\n" in output


def test_a_package_that_ends_the_process_is_told_as_one_that_does_not_import(said: dict[str, Said]) -> None:
    assert "the op `leaving` of `bad-one` cannot be imported: SystemExit: 0" in said["leaving"].output


def test_a_loss_that_cannot_be_used_is_told_at_the_task_or_head_that_names_it(said: dict[str, Said]) -> None:
    assert "error[SPC112]: there is no loss `nowhere`\n  --> <cli>:1:6" in said["lost"].output
    assert "error[SPC112]: the loss `odd` of `bad-one` cannot be imported" in said["odder"].output
    assert "error[SPC419]: " in said["head lost"].output
    assert "its loss cannot be used: the loss `odd` of `bad-one` cannot be imported" in said["head lost"].output


def test_what_is_not_of_the_kind_is_refused(said: dict[str, Said]) -> None:
    assert "the op `nothing` of `bad-one` is not a subclass of `Op`: bad_two:Nothing" in said["nothing"].output
    assert "the op `thrice` of `bad-one` calls itself `twice`" in said["thrice"].output


@pytest.mark.parametrize(("name", "packages"), [("shared", "`bad-one` and in `bad-two`"),
                                                ("gelu", "`specc` and in `bad-one`"),
                                                ("basic_block", "`specc` and in `bad-one`")])  # fmt: skip
def test_a_name_that_is_there_twice_is_refused_with_both_packages(
    said: dict[str, Said], name: str, packages: str
) -> None:
    assert said[name].code == 1
    assert f"the op `{name}` is there more than once: in {packages}" in said[name].output


def test_a_knob_of_a_package_that_cannot_be_used_is_told_before_a_search(said: dict[str, Said]) -> None:
    assert said["allow"].code == 2
    assert "the knob `odd` of `bad-one` cannot be imported" in said["allow"].output


def test_a_knob_may_not_change_the_network_or_its_images(said: dict[str, Said]) -> None:
    assert said["wide"].code == 1
    assert "error: the knob `wide` changes more than a knob may" in said["wide"].output


def test_an_entry_of_no_kind_is_told_by_the_doctor(said: dict[str, Said]) -> None:
    assert "`ops.many`, which is of no kind that there is" in said["doctor"].output


def test_a_torch_part_that_is_missing_ends_the_run(said: dict[str, Said]) -> None:
    assert said["run"].code == 3
    assert "the op `twice` needs `good_op:no_such_function`, which cannot be imported" in said["run"].output


def test_a_kind_of_which_there_is_nothing_without_packages_says_so(tmp_path: Path) -> None:
    line = ["validate", str(spec(tmp_path)), "train.instructions=[{kind: soften}]"]
    output = CliRunner().invoke(main, line).output
    assert "error[SPC105]: `train.instructions[0].kind` is `soften`" in output
    assert "= help: no installed package adds one" in output


def test_a_package_that_is_required_and_missing_is_named_beside_what_is_unknown(tmp_path: Path) -> None:
    path = spec(tmp_path, "twice", requires="[specc, specc-twice]")
    output = CliRunner().invoke(main, ["validate", str(path)]).output
    assert "error[SPC113]: `requires[1]`: the package `specc-twice` is not installed" in output
    assert "unknown op `twice`" in output
    assert "it may be of `specc-twice`, which the spec requires and which is not installed" in output
