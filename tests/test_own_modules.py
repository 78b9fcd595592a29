"""Networks as people write them: traced as they stand, and trained as their own code trains them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import runtime.trace.networks as networks
import specc
from runtime import Session
from runtime.memory.trace import trace as traced_memory
from specc.checking import check_text
from specc.graph.families import Foreign
from specc.graph.problems import BackboneError
from specc.memory.prediction import as_traced
from specc.plan import Plan

from . import own_modules
from .conftest import SEED
from .documents import Document, compiled, document
from .own_modules import CLASSES, CUTS, MODULES, REFUSED
from .parts import partly

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


def twins(plan: Plan) -> tuple[nn.Module, nn.Module]:
    """The network twice, with the same numbers."""
    backbone = plan.config.backbone
    assert isinstance(backbone, Foreign)
    source = backbone.source(plan.data.shape, plan.data.classes)
    torch.manual_seed(SEED)
    own, plain = (networks.make(source).to(torch.float64) for _ in range(2))
    plain.load_state_dict(own.state_dict())
    return own, plain


def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=generator)
    return images, torch.randint(CLASSES, (4,), generator=generator)


def logits(result: Any) -> Tensor:
    found: Tensor = result["logits"] if isinstance(result, dict) else result
    return found


def assert_close(got: Tensor, want: Tensor, what: str) -> None:
    error = float((got - want).detach().abs().max()) / max(1.0, float(want.detach().abs().max()))
    assert error <= 1e-10, f"{what} is off by {error:.1e}"


@pytest.mark.parametrize("name", MODULES)
def test_one_block_is_a_plain_loop_to_the_last_number(name: str) -> None:
    """Losses, gradients, updated parameters and buffers, and evaluation, over two steps."""
    plan = compiled(**parts(name))
    own, plain = twins(plan)
    session = Session(plan, dtype=torch.float64, module=own)
    settings = session.optimizers["block0"].param_groups[0]
    kept = {key: settings[key] for key in ("lr", "momentum", "weight_decay", "nesterov")}
    optimizer = torch.optim.SGD([p for p in plain.parameters() if p.requires_grad], **kept)
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(2):
        images, labels = batch(generator)
        torch.manual_seed(SEED + 1)
        (total,) = session.train_step(images, labels).total.values()
        torch.manual_seed(SEED + 1)
        optimizer.zero_grad()
        loss = F.cross_entropy(logits(plain(images)), labels)
        loss.backward()
        optimizer.step()
        assert_close(total, loss, "loss")
    for key, tensor in plain.state_dict().items():
        assert_close(own.state_dict()[key].double(), tensor.double(), key)
    plain.eval()
    with torch.no_grad():
        assert_close(session.predict(images), logits(plain(images)), "evaluation")


@pytest.mark.parametrize("name", MODULES)
def test_blocks_learn_as_in_a_loop_with_detach_at_the_cuts(name: str) -> None:
    """The gradients of every block, of its own head's loss and of nothing else."""
    cuts = CUTS.get(name, ("stem", "tail"))
    plan = compiled(**parts(name, cuts))
    own, plain = twins(plan)
    session = Session(plan, dtype=torch.float64, module=own)
    images, labels = batch(torch.Generator().manual_seed(SEED))
    heads = iter([net for name, net in session.model.networks.items() if "classifier" in name])
    losses: list[Tensor] = []

    def cut(module: nn.Module, given: Any, result: Tensor) -> Tensor:
        losses.append(F.cross_entropy(next(heads)(result), labels))
        return result.detach()

    for each in cuts:
        plain.get_submodule(each).register_forward_hook(cut)
    torch.manual_seed(SEED)
    losses.append(F.cross_entropy(logits(plain(images)), labels))
    torch.stack(losses).sum().backward()
    torch.manual_seed(SEED)
    session.train_step(images, labels, update=False)
    for (key, got), want in zip(own.named_parameters(), plain.parameters(), strict=True):
        assert (got.grad is None) == (want.grad is None), key
        if got.grad is not None and want.grad is not None:
            assert_close(got.grad, want.grad, key)


QUICK = ("WritesBuffers", "UsedTwice", "Tied", "OwnAttention", "Fixed", "Typed", "HeldBack")


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


def test_a_norm_that_averages_over_all_batches_is_refused_by_what_it_is() -> None:
    body = nn.ModuleDict(
        {"bn": nn.BatchNorm2d(3, momentum=None), "other": nn.BatchNorm2d(3, track_running_stats=False)}
    )
    with pytest.raises(BackboneError, match=r"`0.bn` of `Sequential` is a batch norm with `momentum=None`") as caught:
        specc.trace(nn.Sequential(body), (3, 8, 8))
    assert "`momentum=0.1`" in caught.value.problems[0].help[0]
