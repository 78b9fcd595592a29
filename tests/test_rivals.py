"""`specc fit` as a referee: the fastest that fits, its rivals, and what is said of them."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from specc.cli import main
from specc.compiler.draft import Draft
from specc.compiler.variants import predict
from specc.fit.attempts import Attempts, cut
from specc.fit.comparison import Comparison
from specc.fit.crossing import ALIKE
from specc.fit.fastest import Fastest, with_budget
from specc.fit.rivals import Rivals
from specc.fit.verdict import verdict
from specc.pipeline import CHECKS, compile_spec, run_passes
from specc.profiles import find
from specc.recipes.methods import known, method, of_spec
from specc.spec.dump import dump
from specc.spec.load import loads
from specc.spec.sections.split import Fit
from specc.views.rivals import rivals_lines

SPEC: dict[str, Any] = {
    "specc": 1,
    "name": "small",
    "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 32},
    "backbone": {"layers": [
        {"name": "a", "op": "conv_bn_relu", "out": 8},
        {"name": "b", "op": "conv_bn_relu", "out": 8},
        {"name": "c", "op": "conv_bn_relu", "out": 16, "stride": 2},
        {"name": "d", "op": "conv_bn_relu", "out": 16},
        {"name": "mean", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 10},
    ]},
    "split": {"after": ["b"]},
    "auxiliary": {"classifier": {"hidden": 16}},
}  # fmt: skip
PLAIN = {"backbone": {"layers": [
    {"name": "a", "op": "conv", "out": 8}, {"name": "b", "op": "relu"}, {"name": "c", "op": "conv", "out": 8},
    {"name": "d", "op": "relu"}, {"name": "mean", "op": "global_avg_pool"},
    {"name": "head", "op": "linear", "out": 10}]}, "split": {"after": ["b"]}}  # fmt: skip
PROFILE = find("rtx3090")


def draft_of(**changes: Any) -> Draft:
    return run_passes(loads(json.dumps(SPEC | changes)).on("cuda"), CHECKS)


@cache
def whole() -> int:
    """The peak of end-to-end training."""
    comparison = Comparison(draft_of())
    assert comparison.plain is not None
    return comparison.plain.peak


@cache
def rivals(share: float, *, timed: bool = True) -> Rivals:
    draft = draft_of()
    profile = PROFILE if timed else None
    found = Comparison(draft, profile).under(int(share * whole()), of_spec(draft.spec.config, ["dgl", "infopro"]))
    assert found is not None
    return found


# ---------------------------------------------------------------------------------------------- the fastest that fits


@pytest.mark.parametrize("share", [1.1, 0.7, 0.5])
@pytest.mark.parametrize("profile", [PROFILE, None], ids=["timed", "by FLOPs"])
def test_no_split_and_no_recomputation_that_fits_is_faster(share: float, profile: Any) -> None:
    """Against every split of the network, with nothing, something and everything computed again."""
    draft, budget = draft_of(), int(share * whole())
    attempts = Attempts(draft, profile)
    found = Fastest(attempts, draft.spec.config, ["split", "recompute"], Fit()).under(budget)
    choices = draft.graph.cut_choices
    splits = [after for count in range(len(choices) + 1) for after in combinations(choices, count)]
    every = []
    for after in splits:
        config = cut(with_budget(draft.spec.config, budget), after)
        every += [each for each in (attempts(config), *attempts.recomputed(config, budget)) if each is not None]
    fitting = [each for each in every if each.peak <= budget]
    assert (found is None) == (not fitting)
    if found is not None:
        assert found.peak <= budget
        assert found.cost <= 1.02 * min(each.cost for each in fitting)


def test_what_nobody_asked_for_stays() -> None:
    draft = draft_of()
    found = Fastest(Attempts(draft), draft.spec.config, ["recompute"]).under(whole())
    assert found is not None
    assert found.after == ("b",)
    assert found.config.train.precision == "fp32"


# ---------------------------------------------------------------------------------------------- rivals


@pytest.mark.parametrize("share", [1.1, 0.6, 0.2])
def test_every_row_is_what_its_spec_comes_to(share: float) -> None:
    draft = draft_of()
    for row in rivals(share).rows:
        each = row.candidate
        alone = predict(draft, loads(dump(each.config)).config, PROFILE)
        assert alone is not None
        assert (alone.peak, alone.flops, alone.seconds) == (each.peak, each.found.flops, each.seconds)
        assert row.fits == (each.peak <= rivals(share).budget)


def test_all_kinds_of_exact_training_stand_beside_each_method_where_end_to_end_does_not_fit() -> None:
    found = rivals(0.6)
    names = [row.name for row in found.rows]
    assert names[0] == "e2e"
    assert any("micro_batches" in name and "recompute" not in name for name in names)
    assert "e2e_recompute" in names
    assert any("bf16" in name for name in names)
    assert {row.method for row in found.rows if row.local} == {"dgl", "infopro"}
    for row in found.rows:
        better = [o for o in found.rows if o is not row and o.candidate.peak <= row.candidate.peak
                  and o.candidate.cost <= row.candidate.cost]  # fmt: skip
        assert row.pareto == (not better), row.name


def test_what_changes_is_said() -> None:
    rows = {row.name: row for row in rivals(0.6).rows}
    assert rows["e2e"].changes == rows["e2e_recompute"].changes == ()
    (sliced,) = [row for name, row in rows.items() if name.startswith("e2e_") and name.endswith("micro_batches")
                 and "recompute" not in name]  # fmt: skip
    assert sliced.changes == (f"batch norm sees {32 // sliced.candidate.config.train.micro_batches} images",)
    assert all(row.changes[0] == "local gradients" for row in rows.values() if row.local)
    assert rivals(0.6).chosen is not rivals(0.6).quickest  # which is in bf16


def test_without_batch_norm_slices_change_how_sums_are_rounded() -> None:
    comparison = Comparison(draft_of(**PLAIN))
    assert comparison.plain is not None
    found = comparison.under(int(0.6 * comparison.plain.peak))
    assert found is not None
    (sliced,) = [row for row in found.rows if row.turned and all("micro_batches" in each for each in row.turned)]
    assert sliced.changes == ("how sums are rounded",)


def test_the_verdict_is_that_of_the_rows() -> None:
    fits = verdict(rivals(1.1))
    assert fits.startswith("end-to-end training fits ")
    assert "nothing has to change" in fits
    tight = rivals(0.6)
    exact, local = tight.fastest(local=False), tight.fastest(local=True)
    assert exact is not None
    assert local is not None
    assert ("is local: " in verdict(tight)) == (local.ratio < (1 - ALIKE) * exact.ratio)
    assert f"{exact.ratio:.2f}×" in verdict(tight)
    assert f"{local.ratio:.2f}×" in verdict(tight)
    nothing = verdict(rivals(0.001))
    assert nothing.startswith("nothing here fits ")
    assert "FLOPs" in verdict(rivals(0.6, timed=False))


def test_a_method_is_what_its_recipe_says_whatever_the_number_of_blocks() -> None:
    config = draft_of().spec.config
    assert {"dgl", "infopro", "man", "hpff"} < set(known())
    assert "e2e" not in known()
    for name in known():
        taken = method(name, config).on(config)
        assert not any(isinstance(head.weight, list) for _, head in taken.heads())
        assert taken.backbone == config.backbone
    assert method("man", config).on(config).ema_links
    assert of_spec(config)[0].name == "own"
    assert of_spec(method("dgl", config).on(config))[0].name == "dgl"


def test_a_method_that_cannot_stand_is_left_out_and_why() -> None:
    layers = [{"name": "pool", "op": "global_avg_pool"}, {"name": "one", "op": "linear", "out": 8}]
    layers += [{"name": "two", "op": "linear", "out": 8}, {"name": "head", "op": "linear", "out": 10}]
    draft = draft_of(backbone={"layers": layers}, split={"after": ["one"]}, auxiliary={"classifier": {}})
    found = Comparison(draft).under(2000, of_spec(draft.spec.config, ["infopro", "dgl", "dsn"]))
    assert found is not None
    assert [each.method for each in found.left_out] == ["dgl", "dsn"]
    assert "`pointwise` reads a feature map" in found.left_out[0].why
    assert found.left_out[1].why.startswith("it cuts nothing")
    assert f"DGL cannot stand on this network: {found.left_out[0].why}" in list(rivals_lines(found))


def test_what_fits_in_less_precision_alone_is_not_taken_unasked_but_named(file: Path, tmp_path: Path) -> None:
    found = rivals(0.2)
    assert found.chosen is None
    assert found.quickest is not None
    assert verdict(found).startswith("nothing in fp32 fits ")
    assert "recomputation in bf16 does, " in verdict(found)
    words = (
        "fit",
        file,
        "--rivals",
        "--methods",
        "dgl,infopro",
        "--budget",
        found.budget,
        "--device-profile",
        "rtx3090",
    )
    result = invoke(*words, "--write", tmp_path / "out.yaml")
    assert result.exit_code == 1
    assert f"--take {found.quickest.name} changes the precision too" in result.output
    assert invoke(*words, "--write", tmp_path / "out.yaml", "--take", found.quickest.name).exit_code == 0


# ---------------------------------------------------------------------------------------------- the command line


def invoke(*words: str | Path | int) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(SPEC))
    return path


def test_a_rival_is_written_as_a_spec_that_plans_to_the_same_figures(file: Path, tmp_path: Path) -> None:
    out, budget = tmp_path / "out.yaml", int(0.85 * whole())
    words = ("fit", file, "--rivals", "--methods", "dgl", "--budget", budget, "--device-profile", "rtx3090")
    document = json.loads(invoke(*words, "--format", "json").stdout)
    assert document["format_version"] == 3
    taken = next(row for row in document["rows"] if row["name"] == "e2e_recompute")
    for take in (taken["name"], taken["number"]):
        result = invoke(*words, "--take", take, "--write", out, "--force")
        assert result.exit_code == 0, result.output
        assert out.read_text().startswith("extends: small.yaml\nname: small_e2e_recompute\n")
        plan = json.loads(invoke("plan", out, "--device-profile", "rtx3090", "--format", "json").stdout)
        assert plan["memory"]["predicted_peak_bytes"] == taken["predicted_peak_bytes"]
        assert plan["time"]["step_seconds"] == pytest.approx(taken["step_seconds"], rel=1e-12)
    assert invoke(*words, "--write", out).exit_code == 2  # it is there
    assert invoke(*words, "--take", "e2e", "--write", out, "--force").exit_code == 2  # it does not fit
    assert invoke(*words, "--take", "e3e", "--write", out, "--force").exit_code == 2


@pytest.mark.parametrize("aim", ["time", "blocks", "memory"])
def test_each_aim_takes_what_is_best_by_it(file: Path, tmp_path: Path, aim: str) -> None:
    out = tmp_path / "out.yaml"
    words = ("fit", file, "--for", aim, "--budget", int(0.9 * whole()), "--device-profile", "rtx3090")
    result = invoke(*words, "--format", "json", "--write", out)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    fitting, chosen = [row for row in document["rows"] if row["fits"]], document["chosen"]
    best = {"time": "step_seconds", "blocks": "blocks", "memory": "predicted_peak_bytes"}[aim]
    assert chosen[best] == min(row[best] for row in fitting)
    plan = json.loads(invoke("plan", out, "--device-profile", "rtx3090", "--format", "json").stdout)
    assert plan["memory"]["predicted_peak_bytes"] == chosen["predicted_peak_bytes"]
    assert plan["time"]["step_seconds"] == pytest.approx(chosen["step_seconds"], rel=1e-12)


def test_without_a_device_it_is_said_that_flops_decide_and_how_to_get_seconds(file: Path) -> None:
    result = invoke("fit", file, "--budget", whole(), "--device", "cuda")
    assert result.exit_code == 0, result.output
    assert "specc doctor --calibrate" in result.output


def test_options_that_say_nothing_are_refused(file: Path) -> None:
    for words in (("--methods", "dgl"), ("--rivals", "--for", "time"), ("--rivals", "--take", "1"),
                  ("--rivals", "--methods", "dgI")):  # fmt: skip
        assert invoke("fit", file, "--budget", "1GiB", *words).exit_code == 2


def test_the_plan_of_a_row_is_compiled_by_all_passes() -> None:
    """Not only by those that a search runs."""
    for row in rivals(0.6).rows:
        if row.fits:
            plan, _ = compile_spec(loads(dump(row.candidate.config)).on("cuda"))
            assert plan.memory.peak_bytes == row.candidate.peak
