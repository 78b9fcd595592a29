"""What somebody reads who does not know specc yet: it names what is wrong, and what to write instead."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import specc
from runtime.data import DataConfig, DataError, open_dataset
from runtime.run.launch import closing
from specc.checking import check, check_text
from specc.cli import main
from specc.commands.fitting import allowed
from specc.diagnostics import Diagnostic
from specc.language.schema import exact_bytes
from specc.plan import Plan
from specc.views.plan import plan_table

from . import small_data
from .documents import Document, document, spec_of

HEAD: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4}]
PAIR = {"parameters": ["out"], "layers": [{"name": "only", "op": "conv", "out": "$out"}]}


def of_layers(*layers: Document, define: Document | None = None, **parts: Any) -> Document:
    backbone: Document = {"layers": [*layers, *HEAD]} | ({"define": define} if define is not None else {})
    return document(backbone=backbone, **({"split": {"blocks": 1}} | parts))


def errors(spec: Document, *overrides: str) -> list[Diagnostic]:
    return [d for d in check_text(json.dumps(spec), overrides=overrides).diagnostics if d.is_error]


# ---------------------------------------------------------------------------------------------------- ops and groups


def test_a_group_named_as_an_op_is_told_to_be_a_group() -> None:
    (error,) = errors(of_layers({"name": "x", "op": "pair", "out": 4}, define={"pair": PAIR}))
    assert (error.code, error.help) == ("SPC203", ("`pair` is a group of this spec: write `group: pair`",))


def test_within_a_group_as_well() -> None:
    outer = {"layers": [{"name": "in", "op": "pair", "out": 4}]}
    (error,) = errors(of_layers({"name": "x", "group": "outer"}, define={"pair": PAIR, "outer": outer}))[:1]
    assert (error.code, error.help) == ("SPC203", ("`pair` is a group of this spec: write `group: pair`",))


def test_a_misspelt_group_is_found_behind_op() -> None:
    (error,) = errors(of_layers({"name": "x", "op": "dense_lair", "out": 4}, define={"dense_layer": PAIR}))
    assert error.help == ("did you mean `group: dense_layer`?",)


def test_an_op_named_as_a_group_is_told_to_be_an_op() -> None:
    (error,) = errors(of_layers({"name": "x", "group": "relu"}, define={"pair": PAIR}))
    assert (error.code, error.help) == ("SPC210", ("`relu` is an op: write `op: relu`",))


def test_ranges_of_arguments_and_of_keys_are_told_in_the_same_words() -> None:
    wrong = {"name": "x", "op": "conv", "out": 0, "k": "wide"}
    found = errors(of_layers(wrong, data=document()["data"] | {"batch_size": 0}))
    assert [error.message for error in found] == [
        "`data.batch_size` must be at least 1, not `0`",
        "the argument `out` of `conv` must be at least 1",
        "the argument `k` of `conv` must be a whole number",
    ]


# -------------------------------------------------------------------------------------------------------- EMA links


def linked(*layers: Document, after: list[str], source: str = "next") -> Plan:
    parts = {"auxiliary": {"classifier": {"layers": "0c1f"}}, "ema_links": [{"from": source}]}
    return specc.compile(spec_of(of_layers(*layers, split={"after": after}, **parts)))


def copied(plan: Plan) -> str:
    """What the table says of the first unit's link."""
    table = plan_table(plan)
    names = [column.name for column in table.columns]
    return table.rows[0][names.index("links")]


def conv(name: str) -> Document:
    return {"name": name, "op": "conv", "out": 4}


def test_the_table_says_all_layers_that_a_link_copies() -> None:
    half = {"name": "half", "op": "max_pool", "k": 2, "stride": 2}
    assert copied(linked(conv("one"), half, conv("two"), after=["one"])) == "ema of half … two, bias branch"


def test_a_layer_is_not_taken_for_one_whose_name_begins_like_its_own() -> None:
    block = {"name": "x", "op": "basic_block", "out": 4}
    assert copied(linked(conv("one"), conv("x.y"), block, after=["one"])) == "ema of x.y, bias branch"
    assert copied(linked(conv("one"), block, conv("x.y"), after=["one"])) == "ema of x, bias branch"
    assert copied(linked(conv("one"), block, conv("x.y"), after=["one"], source="x.y")) == "ema of x.y, bias branch"


def test_ops_that_no_layer_gave_its_name_are_left_out() -> None:
    """As in traced models, where a pooling that torchvision calls `maxpool2` is part of the layer `conv2`."""
    plan = linked(conv("one"), {"name": "half", "op": "max_pool", "k": 2, "stride": 2}, conv("two"), after=["one"])
    first, second = plan.blocks
    renamed = replace(second, layers=tuple(name for name in second.layers if name != "half"))
    assert copied(replace(plan, blocks=(first, renamed))) == "ema of two, bias branch"


def test_a_link_into_the_head_says_what_to_do() -> None:
    spec = of_layers(conv("one"), split={"after": ["pool"]}, ema_links=[{"from": "next"}])
    (error,) = errors(spec)
    assert (error.code, error.label) == ("SPC421", "nothing to copy")
    assert error.help == ("move the last cut to before a layer with parameters, or leave it out",)


def test_one_layer_reads_and_two_read() -> None:
    both = [conv("a"), conv("b"), {"name": "sum", "op": "add", "from": ["a", "b"]}]
    (error,) = errors(of_layers(conv("in"), *both, split={"after": ["in"]}, ema_links=[{"from": "sum"}]))
    assert error.message == "`sum` reads 2 values, those of `a` and `b`"


# --------------------------------------------------------------------------------------------------- the command line


def test_items_in_brackets_are_told_to_be_written_with_dots() -> None:
    (error,) = errors(document(levels=[{"name": "only", "window": 1}]), "levels[0].window=2")
    assert error.help[0] == "items of a list are named by their number, from 0 on: `levels.0`"


def test_a_parent_that_is_no_file_is_not_suggested_in_its_own_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "child.yaml").write_text("extends: pipe.yaml\n")
    (error,) = check(tmp_path / "child.yaml").diagnostics
    assert error.code == "SPC026"
    assert not any("did you mean" in line for line in error.help)


def test_a_key_without_a_value_is_not_only_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(document()))
    result = CliRunner().invoke(main, ["validate", str(file), "train.epochs"])
    assert result.exit_code == 2
    assert "to change a key, give its value: `train.epochs=...`" in result.output
    assert "give its value" not in CliRunner().invoke(main, ["validate", "data.yaml"]).output


def summary(budget: int | None, within: bool, epochs: int) -> dict[str, Any]:
    memory = {"predicted_peak_bytes": 1024, "measured_peak_bytes": 1024}
    return {
        "memory": memory | {"budget_bytes": budget, "within_budget": within},
        "test": {"accuracy": 0.5, "loss": 1.0},
        "task": "classification",
        "device": "cpu",
        "epochs": epochs,
        "step_seconds_median": 0.1,
        "images_per_second": 10.0,
    }


@pytest.mark.parametrize(
    ("budget", "within", "verdict"),
    [
        (None, True, "no budget given"),
        (2048, True, "budget 2 KiB: within budget"),
        (512, False, "budget 512 B: OVER BUDGET"),
    ],
)
def test_a_run_without_a_budget_is_not_within_it(budget: int | None, within: bool, verdict: str) -> None:
    line = closing(summary(budget, within, 1), Path("run"))[1]
    assert line.endswith(f"(live tensors), {verdict}")


def test_one_epoch_is_no_epochs() -> None:
    ends = [closing(summary(None, True, epochs), Path("run"))[0] for epochs in (1, 2)]
    assert [end.partition("after ")[2] for end in ends] == ["1 epoch", "2 epochs"]


def fitted(tmp_path: Path, *words: str, **parts: Any) -> Result:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(document(**parts)))
    return CliRunner().invoke(main, ["fit", str(file), "--device", "cpu", *words])


@pytest.mark.parametrize(("given", "written"), [("290 MiB", "290 MiB"), ("70MB", "70 MB"), ("1.5GiB", "1536 MiB")])
def test_a_budget_is_written_with_its_unit(tmp_path: Path, given: str, written: str) -> None:
    target = tmp_path / "fitted.yaml"
    assert fitted(tmp_path, "--budget", given, "--write", str(target)).exit_code == 0
    assert f"memory: {written}" in target.read_text()


def test_a_size_without_a_unit_stays_a_number() -> None:
    assert [exact_bytes(size) for size in (1, 1023, 1024, 10**6 + 1)] == [1, 1023, "1 KiB", 10**6 + 1]


def test_what_is_allowed_already_is_not_advised(tmp_path: Path) -> None:
    told = fitted(tmp_path, "--budget", "1KiB").output
    assert "allow more with --allow split,patches,recompute,micro_batches,precision,batch_size" in told
    everything = fitted(tmp_path, "--budget", "1KiB", "--allow", ",".join(allowed())).output
    assert "--allow" not in everything
    assert "raise --budget" in everything


def test_no_budget_is_advised_where_there_is_nothing_to_try(tmp_path: Path) -> None:
    levels = [{"name": "wide", "window": 2, "skip": [1]}, {"name": "narrow", "window": 1, "weight": 0.0}]
    told = fitted(tmp_path, "--budget", "1GiB", levels=levels, split={"blocks": 2})
    assert told.exit_code == 1, told.output
    assert "there is no split to try" in told.output
    assert "raise --budget" not in told.output


# --------------------------------------------------------------------------------------------------------- data sets


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:-8] + b"sums" + b[-4:]], ids=["cut", "changed"])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Any) -> None:
    files = dict(small_data.mnist(suffix=".gz"))
    files["t10k-images-idx3-ubyte.gz"] = damage(files["t10k-images-idx3-ubyte.gz"])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is damaged: "):
        open_dataset(DataConfig("mnist", root=str(small_data.put(tmp_path, files))))


def test_classes_of_one_folder_alone_are_told_with_the_folder(tmp_path: Path) -> None:
    for folder in ("train/cat", "train/dog", "val/cat", "val/wolf", "val/yak"):
        small_data.put(tmp_path, {f"{folder}/0.png": small_data.png(small_data.pixels(8, 8, 3))})
    with pytest.raises(DataError, match="dog in train/ alone; wolf, yak in val/ alone"):
        open_dataset(DataConfig("image_folder", root=str(tmp_path), image_size=8, classes=2))
