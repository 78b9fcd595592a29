"""Networks as people write them: traced as they stand, and trained as their own code trains them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.memory.trace import trace as traced_memory
from specc.checking import check_text
from specc.graph.problems import BackboneError
from specc.memory.prediction import as_traced

from . import own_modules
from .conftest import SEED
from .documents import Document, compiled, document
from .own_modules import CLASSES, CUTS, MODULES, REFUSED
from .parts import partly
from .plain_loops import assert_blocks_are_detached, assert_one_block_is_a_plain_loop, at_results, twins

FILE = Path(own_modules.__file__)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")


def parts(name: str, after: tuple[str, ...] = ()) -> Document:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": CLASSES, "samples": 8, "batch_size": 4}
    return {
        "backbone": {"module": f"{FILE}:{name}"}, "data": data,
        "split": {"after": list(after)} if after else {"blocks": 1},
        "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 4}},
        "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}},
    }  # fmt: skip


def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=generator)
    return images, torch.randint(CLASSES, (4,), generator=generator)


@pytest.mark.parametrize("name", MODULES)
def test_one_block_is_a_plain_loop_to_the_last_number(name: str) -> None:
    """Losses, updated parameters and buffers, and evaluation, over two steps."""
    plan = compiled(**parts(name))
    own, plain = twins(plan)
    generator = torch.Generator().manual_seed(SEED)
    session = Session(plan, dtype=torch.float64, module=own)
    assert_one_block_is_a_plain_loop(session, own, plain, [batch(generator) for _ in range(2)])


@pytest.mark.parametrize("name", MODULES)
def test_blocks_learn_as_in_a_loop_with_detach_at_the_cuts(name: str) -> None:
    cuts = CUTS.get(name, ("stem", "tail"))
    plan = compiled(**parts(name, cuts))
    own, plain = twins(plan)
    session = Session(plan, dtype=torch.float64, module=own)
    images = batch(torch.Generator().manual_seed(SEED))
    assert_blocks_are_detached(session, own, plain, images, at_results(plain, cuts))


QUICK = ("WritesBuffers", "UsedTwice", "Tied", "OwnAttention", "RotatedAttention", "Fixed", "Typed", "HeldBack")


@pytest.mark.parametrize("name", partly(sorted(MODULES), sorted({*MODULES} - {*QUICK})))
def test_memory_is_that_of_the_trace(name: str) -> None:
    plan = compiled(**parts(name, CUTS.get(name, ("stem", "tail"))))
    assert as_traced(plan).peak_bytes == pytest.approx(traced_memory(plan).peak_bytes, rel=2e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_named_with_its_line_and_a_way_out(name: str) -> None:
    """The module and the line of the user's code, and `leaf:`."""
    (found,) = check_text(json.dumps(document(**parts(name)))).diagnostics
    own = FILE.read_text().partition(f"class {'Picking' if name == 'PicksNumbers' else name}(")
    line = own[0].count("\n") + 1 + own[2].partition("  # ")[0].count("\n")
    assert found.code == "SPC308"
    assert f"own_modules.py, line {line}" in found.message, found.message
    assert f"`{REFUSED[name]}` of" in found.message or not REFUSED[name]
    assert "`leaf: [...]`" in " ".join(found.help)


def test_a_leaf_that_is_no_way_out_is_offered_no_more() -> None:
    spec = document(**parts("PicksNumbers"))
    spec["backbone"]["leaf"] = ["body.1"]
    (found,) = check_text(json.dumps(spec)).diagnostics
    assert found.code == "SPC308"
    assert "`body.1` is one node already" in found.help[0]
    assert "`leaf: [...]`" not in " ".join(found.help)


def test_a_norm_that_averages_over_all_batches_is_refused_by_what_it_is() -> None:
    body = nn.ModuleDict(
        {"bn": nn.BatchNorm2d(3, momentum=None), "other": nn.BatchNorm2d(3, track_running_stats=False)}
    )
    with pytest.raises(BackboneError, match=r"`0.bn` of `Sequential` is a batch norm with `momentum=None`") as caught:
        specc.trace(nn.Sequential(body), (3, 8, 8))
    assert "`momentum=0.1`" in caught.value.problems[0].help[0]
