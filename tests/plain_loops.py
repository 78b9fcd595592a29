"""Loops as people write them for a classifier, which a session has to equal to the last number: in float64, by SGD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import runtime.trace.networks as networks
from runtime import Session
from specc.graph.families import Foreign
from specc.plan import Plan

from .conftest import SEED

Batch = tuple[Any, Tensor]  # what the network takes, and the labels
Say = Callable[[nn.Module, Any], Tensor]  # the logits of a network for what it takes
Detach = Callable[[Tensor], Tensor]


def logits(result: Any) -> Tensor:
    """Of a network that may say more than its logits, by name."""
    return result if isinstance(result, Tensor) else dict(result)["logits"]


def say(network: nn.Module, given: Any) -> Tensor:
    """The logits of a network of one input."""
    return logits(network(given))


def twins(plan: Plan) -> tuple[nn.Module, nn.Module]:
    """The network of a plan twice, with the same numbers."""
    backbone = plan.config.backbone
    assert isinstance(backbone, Foreign)
    source = backbone.source(plan.data.shape, plan.data.classes, plan.data.vocabulary)
    torch.manual_seed(SEED)
    own, plain = (networks.make(source).to(torch.float64) for _ in range(2))
    plain.load_state_dict(own.state_dict())
    return own, plain


def assert_close(got: Tensor, want: Tensor, what: str) -> None:
    error = float((got - want).detach().abs().max()) / max(1.0, float(want.detach().abs().max()))
    assert error <= 1e-10, f"{what} is off by {error:.1e}"


def assert_one_block_is_a_plain_loop(
    session: Session, own: nn.Module, plain: nn.Module, batches: Sequence[Batch], say: Say = say
) -> None:
    """Losses, updated parameters and buffers, a step for each batch, and the evaluation of the last one."""
    settings = session.optimizers["block0"].param_groups[0]
    kept = {key: settings[key] for key in ("lr", "momentum", "weight_decay", "nesterov")}
    optimizer = torch.optim.SGD([p for p in plain.parameters() if p.requires_grad], **kept)
    for given, labels in batches:
        torch.manual_seed(SEED)
        (total,) = session.train_step(given, labels).total.values()
        torch.manual_seed(SEED)
        optimizer.zero_grad()
        loss = F.cross_entropy(say(plain, given), labels)
        loss.backward()
        optimizer.step()
        assert_close(total, loss, "loss")
    for key, tensor in plain.state_dict().items():
        assert_close(own.state_dict()[key].double(), tensor.double(), key)
    plain.eval()
    with torch.no_grad():
        assert_close(session.predict(given), say(plain, given), "evaluation")


def assert_blocks_are_detached(
    session: Session, own: nn.Module, plain: nn.Module, batch: Batch, cut: Callable[[Detach], None], say: Say = say
) -> None:
    """The gradients of every block: of its own head's loss and of nothing else.

    `cut` gets what is to happen to the features at each cut of the plain network, and sees to it that it does.
    """
    given, labels = batch
    heads = iter([net for name, net in session.model.networks.items() if "classifier" in name])
    losses: list[Tensor] = []

    def detach(features: Tensor) -> Tensor:
        losses.append(F.cross_entropy(next(heads)(features), labels))
        return features.detach()

    cut(detach)
    torch.manual_seed(SEED)
    losses.append(F.cross_entropy(say(plain, given), labels))
    torch.stack(losses).sum().backward()
    torch.manual_seed(SEED)
    session.train_step(given, labels, update=False)
    for (key, got), want in zip(own.named_parameters(), plain.parameters(), strict=True):
        assert (got.grad is None) == (want.grad is None), key
        if got.grad is not None and want.grad is not None:
            assert_close(got.grad, want.grad, key)


def at_results(plain: nn.Module, names: Sequence[str]) -> Callable[[Detach], None]:
    """Cuts behind modules."""

    def cut(detach: Detach) -> None:
        for each in names:
            plain.get_submodule(each).register_forward_hook(lambda module, given, result: detach(result))

    return cut
