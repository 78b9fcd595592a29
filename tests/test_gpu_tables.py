"""The benchmark on public GPU measurements: which models are the same, what is fitted, what the documentation says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.gpu_tables import batches, memory
from benchmarks.gpu_tables.tables import FOLDS, Taken, Trained, folds, quantile, taken, trained
from benchmarks.gpu_tables.twins import own_size, twin
from specc.device import MODEL

ROOT = Path(__file__).parent.parent
RESULTS = json.loads((ROOT / "docs/results/gpu_tables.json").read_text(encoding="utf-8"))
PAGE = re.sub(r"\s+", " ", (ROOT / "docs/memory.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "model", "size"),
    [
        ("tv_resnet50", "resnet50", 224),
        ("gluon_resnet152_v1b", "resnet152", 224),
        ("resnet50d", None, 224),  # another stem
        ("tf_efficientnet_b2_ns", "efficientnet_b2", 260),
        ("efficientnet_b2", "efficientnet_b2", 256),
        ("efficientnet_b2_pruned", None, 224),
        ("tf_efficientnetv2_m_in21ft1k", "efficientnet_v2_m", 384),
        ("deit_base_patch16_384", "vit_b_16", 384),
        ("vit_base_patch16_clip_224", None, 224),
        ("convnext_tiny_384_in22ft1k", "convnext_tiny", 384),
        ("swinv2_tiny_window8_256", "swin_v2_t", 256),
        ("swinv2_cr_tiny_ns_224", None, 224),
        ("regnetx_016", "regnet_x_1_6gf", 224),
        ("regnety_008_tv", "regnet_y_800mf", 224),
        ("regnetz_005", None, 224),
    ],
)
def test_a_model_of_timm_has_a_twin_only_where_it_is_the_same_network(name: str, model: str | None, size: int) -> None:
    assert twin(name) == model
    assert model is None or own_size(name) == size


def test_tables_are_read_by_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a100_40gb_timm_224.csv").write_text("model,batch_size,device_mib\nvgg13,8,4549\nvolo_d1_384,8,1\n")
    header = "model,image_size,largest_batch_size,images_per_second,million_parameters"
    (tmp_path / "rtx3090_24gb_timm_amp_channels_last.csv").write_text(f"{header}\ntv_resnet34,224,512,2038.39,21.8\n")
    assert taken(tmp_path) == [Taken("vgg13", "vgg13", 224, 8, 4549)]
    assert trained(tmp_path) == [Trained("tv_resnet34", "resnet34", 224, 512, 2038.39)]


def test_all_rows_of_a_model_are_on_one_side_and_each_is_tested_once() -> None:
    models = [f"model{n}" for n in range(15) for _ in range(3)]
    tested = []
    for fit_on, test_on in folds(models):
        assert not {models[i] for i in fit_on} & {models[i] for i in test_on}
        assert sorted(fit_on + test_on) == list(range(45))
        tested += test_on
    assert sorted(tested) == list(range(45))
    assert FOLDS == 10


def case(device: float, reserved: float, batch: int = 8) -> memory.Case:
    row = Taken("m", f"m{device}", 224, batch, round(device))
    return memory.Case(row, reserved / 2, dict.fromkeys(memory.SHARES, reserved) | {1.0: reserved * 1.3})


def test_the_fit_finds_the_constants_that_made_the_figures() -> None:
    found = [case(1.3 * r * 1.03 + 1720, r) for r in (200, 900, 3000, 9000, 20000)]
    share, growth, context = memory.fitted(found)
    assert (share, growth, context) == (1.0, 0.03, 1720)
    assert max(map(abs, memory.left_out(found))) < 0.01


def test_rows_of_a_full_device_are_no_measurement() -> None:
    own = [Taken("m", "m", 224, batch, device) for batch, device in ((8, 13671), (16, 24183), (32, 27863))]
    assert [memory._fell(row, own) for row in own] == [False, False, True]


def test_a_batch_one_step_away_is_counted_apart() -> None:
    rows = [Trained("a", "a", 224, batch, 1.0) for batch in (512, 256, 96, 8)]
    found = batches.summary(rows, [512, 384, 32, 0])
    assert (found["right"], found["right_or_one_step_off"], found["too_large"]) == (0.25, 0.5, 0.25)
    assert found["wrong"] == ["a: 384 for 256", "a: 32 for 96", "a: 0 for 8"]
    assert quantile([1, 2, 3, 4, 5], 0.9) == pytest.approx(4.6)


def test_the_figures_are_what_they_have_to_be_and_what_the_documentation_says() -> None:
    device, rates, largest = RESULTS["a100"][memory.LIKELY], RESULTS["rtx3090"], RESULTS["rtx3090"]["batches"]
    assert device["median_error"] <= 0.06
    assert device["ninetieth_percentile"] <= 0.15
    assert device["inside_the_spread"] >= 0.9
    assert min(rates["left_out"]["rank_correlation"], rates["shipped"]["rank_correlation"]) >= 0.9
    assert largest["right_or_one_step_off"] >= 0.9
    for said in (
        f"{device['rows']} rows of {device['models']} models",
        f"median error {device['median_error']:.1%}, 90th percentile {device['ninetieth_percentile']:.1%}",
        f"{device['inside_the_spread']:.0%} of the rows lie within the spread",
        f"right for {largest['right']:.0%} and right or one step off for {largest['right_or_one_step_off']:.0%}",
        f"rank correlation {rates['left_out']['rank_correlation']:.2f}",
        f"median error {rates['left_out']['median_error']:.0%}",
    ):
        assert said in PAGE


def test_the_models_constants_are_on_the_grid_that_is_searched() -> None:
    assert MODEL.workspace_share in memory.SHARES
    assert MODEL.growth in memory.GROWTHS
    assert MODEL.context_bytes / memory.MIB in memory.CONTEXTS
