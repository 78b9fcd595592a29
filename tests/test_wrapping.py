"""A module in somebody's own loop: exact, its state whole, and as Lightning and Accelerate train it."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import runtime
import specc
from runtime.errors import RunError

from .conftest import SEED

CLASSES = 5
SPEC = {
    "data": {"batch_size": 4}, "split": {"blocks": 2}, "auxiliary": {"classifier": {"layers": "1c1f"}},
    "train": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.01}},
}  # fmt: skip
ADAMW = {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}}


class Convolutional(nn.Module):
    """Norms, dropout, and a branch that the shape decides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for conv in self.convs:
            x = x + F.relu(conv(x)) if x.shape[-1] < 6 else F.max_pool2d(conv(x), 2)
        return self.head(self.drop(x.mean((2, 3))))


class Attentive(nn.Module):
    """Tokens, and attention written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 4, stride=4), nn.LayerNorm(8)
        self.qkv, self.out, self.head = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, CLASSES)
        self.gain = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out((q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v) * self.gain
        return self.head(F.gelu(x).mean(1))


NETWORKS: dict[str, type[nn.Module]] = {"convolutional": Convolutional, "attentive": Attentive}
OPTIMIZERS: dict[str, Any] = {"sgd": {}, "adamw": {"train": ADAMW}}


def batches(count: int, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(SEED)
    return [
        (torch.rand(4, 3, 8, 8, generator=generator).to(dtype), torch.randint(CLASSES, (4,), generator=generator))
        for _ in range(count)
    ]


def wrapped(module: nn.Module, **parts: Any) -> runtime.Wrapped:
    return runtime.wrap(module, {**SPEC, **parts}, example=(3, 8, 8))


def assert_same(own: nn.Module, plain: nn.Module) -> None:
    for name, tensor in plain.state_dict().items():
        error = float((own.state_dict()[name].double() - tensor.double()).abs().max())
        assert error <= 1e-10, f"{name} is off by {error:.1e}"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_block_is_a_plain_loop_to_the_last_number(name: str, optimizer: str) -> None:
    """Losses, gradients and updated parameters in float64; dropout draws the same."""
    torch.manual_seed(SEED)
    own = NETWORKS[name]().double()
    plain = copy.deepcopy(own)
    local = wrapped(own, split={"blocks": 1}, **OPTIMIZERS[optimizer])
    settings = {**SPEC["train"], **OPTIMIZERS[optimizer].get("train", {})}["optimizer"]
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer]
    theirs = kind(plain.parameters(), **{k: v for k, v in settings.items() if k != "name"})
    for step, (images, labels) in enumerate(batches(3, torch.float64)):
        torch.manual_seed(step)
        local.training_step(images, labels, update=False)
        torch.manual_seed(step)
        theirs.zero_grad()
        F.cross_entropy(plain(images), labels).backward()
        for key, parameter in plain.named_parameters():
            assert torch.allclose(own.get_parameter(key).grad, parameter.grad, rtol=0, atol=1e-10), key
        own.zero_grad()
        own.load_state_dict(plain.state_dict())  # statistics of the batch were counted
        torch.manual_seed(step)
        plain.train()
        loss = F.cross_entropy(plain(images), labels)
        torch.manual_seed(step)
        (total,) = local.training_step(images, labels).total.values()
        theirs.step()
        assert abs(float(total) - float(loss.detach())) <= 1e-10
        assert_same(own, plain)


def test_blocks_step_the_modules_own_parameters_and_heads_learn_beside_them() -> None:
    module = Convolutional()
    local = wrapped(module)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    heads = {name: t.clone() for name, t in local.state_dict()["tensors"].items()}
    step = local.training_step(*batches(1)[0])
    assert len(step.total) == 2
    assert set(local.optimizers) == {"block0", "unit0.independent.classifier", "block1"}
    assert [name for name, p in module.named_parameters() if torch.equal(p, before[name])] == []
    assert [name for name, t in local.state_dict()["tensors"].items() if torch.equal(t, heads[name])] == []
    assert heads
    assert all(name.startswith("unit0.independent.classifier.") for name in heads)  # the module saves its own
    assert all(p.grad is None for p in module.parameters())


def test_an_optimizer_of_ones_own_steps_what_is_left_to_it() -> None:
    first, second = Convolutional(), Convolutional()
    second.load_state_dict(first.state_dict())
    one, other = wrapped(first), wrapped(second)
    settings = {k: v for k, v in SPEC["train"]["optimizer"].items() if k != "name"}
    optimizer = torch.optim.SGD(other.parameters(), **settings)
    for step, batch in enumerate(batches(2)):
        torch.manual_seed(step)
        one.training_step(*batch)
        torch.manual_seed(step)
        other.training_step(*batch, update=False)
        optimizer.step()
        optimizer.zero_grad()
    assert_same(second, first)


def test_with_the_state_of_both_a_loop_goes_on_as_if_it_had_never_stopped() -> None:
    links = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "branch"}]}
    parts = {**links, "train": {**ADAMW, "weight_average": {"decay": 0.9}}}
    first = Convolutional()
    local = wrapped(first, **parts)
    seen = batches(3)
    local.training_step(*seen[0])
    saved = copy.deepcopy((first.state_dict(), local.state_dict()))
    second = Convolutional()
    other = wrapped(second, **parts)
    second.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    for each in (local, other):
        torch.manual_seed(SEED)
        for batch in seen[1:]:
            each.training_step(*batch)
    assert_same(second, first)
    for name, tensor in local.state_dict()["tensors"].items():
        assert torch.equal(tensor, other.state_dict()["tensors"][name]), name
    with local.averaged(), other.averaged():
        assert_same(second, first)


def test_the_state_of_another_spec_is_refused() -> None:
    state = wrapped(Convolutional()).state_dict()
    with pytest.raises(RunError, match="the state is one of another spec"):
        wrapped(Convolutional(), auxiliary={"classifier": {"layers": "0c1f"}}).load_state_dict(state)
    with pytest.raises(RunError, match="the state is one of another spec"):
        wrapped(Convolutional(), split={"blocks": 1}).load_state_dict(state)


def test_a_schedule_of_torchs_moves_the_rates() -> None:
    local = wrapped(Convolutional())
    schedules = [torch.optim.lr_scheduler.ExponentialLR(each, 0.5) for each in local.optimizers.values()]
    local.training_step(*batches(1)[0])
    for each in schedules:
        each.step()
    assert {group["lr"] for each in local.optimizers.values() for group in each.param_groups} == {0.05}
    local.set_lr(0.3)
    assert {group["lr"] for each in local.optimizers.values() for group in each.param_groups} == {0.3}


def test_a_single_optimizer_need_not_be_in_a_list() -> None:
    local = wrapped(Convolutional(), split={"blocks": 1})
    (own,) = local.optimizers.values()
    local.stepped_by(own)
    assert list(local.optimizers.values()) == [own]
    with pytest.raises(ValueError, match="shorter"):
        wrapped(Convolutional()).stepped_by([own])


def test_what_the_loop_decides_is_said_and_not_passed_over() -> None:
    train = {**SPEC["train"], "schedule": {"name": "cosine"}}
    with pytest.warns(UserWarning, match=r"`train\.schedule: cosine`, which the loop decides"):
        wrapped(Convolutional(), train=train)


def test_samples_are_those_of_the_data_set_that_the_spec_names() -> None:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": CLASSES, "samples": 16}
    assert runtime.wrap(Convolutional(), {**SPEC, "data": data}).plan.data.shape == (3, 8, 8)


def test_without_data_set_and_example_it_is_asked_for() -> None:
    with pytest.raises(RunError, match="what the module reads is not known"):
        runtime.wrap(Convolutional(), SPEC)


def test_a_plan_that_was_compiled_already_is_taken_as_it_is() -> None:
    module = Convolutional()
    plan = specc.compile(SPEC, backbone=specc.trace(module, (3, 8, 8)))
    assert runtime.wrap(module, plan).plan is plan
    with pytest.raises(RunError, match="is not the `Convolutional`"):
        runtime.wrap(Attentive(), plan)


def test_gradients_that_fp16_scales_are_not_left_to_anybody() -> None:
    local = wrapped(Convolutional(), train={**SPEC["train"], "precision": "fp16"})
    local.session.scaler = torch.amp.GradScaler("cpu", enabled=True)
    with pytest.raises(RunError, match="in fp16 gradients are scaled"):
        local.training_step(*batches(1)[0], update=False)


def test_several_devices_are_for_runs() -> None:
    with pytest.raises(RunError, match="for 2 devices, and a wrapped module is on one"):
        wrapped(Convolutional(), devices={"data_parallel": 2})
    with pytest.raises(RunError, match="nothing to train"):
        runtime.wrap(nn.Identity(), SPEC)


def test_processes_whose_gradients_nobody_sums_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(RunError, match="not summed over processes, and there are several"):
        wrapped(Convolutional())


def test_what_lightning_makes_of_the_optimizers_steps_in_their_place(tmp_path: Path) -> None:
    """Exactly as without it, counted, and resumed from its checkpoint."""
    lightning = pytest.importorskip("lightning")

    class Local(lightning.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.net, self.saved = net, None

        def configure_optimizers(self) -> Any:
            self.local = wrapped(self.net)
            if self.saved is not None:
                self.local.load_state_dict(self.saved)
            return list(self.local.optimizers.values())

        def on_fit_start(self) -> None:
            self.local.stepped_by(self.optimizers())

        def training_step(self, batch: Any, number: int) -> None:
            torch.manual_seed(number)
            self.local.training_step(*batch)

        def on_save_checkpoint(self, checkpoint: Any) -> None:
            checkpoint["local"] = self.local.state_dict()

        def on_load_checkpoint(self, checkpoint: Any) -> None:
            self.saved = checkpoint["local"]

    def fitted(net: nn.Module, epochs: int, checkpoint: Path | None = None) -> Any:
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the loader's workers, and of what Lightning itself is written with
            trainer.fit(Local(net), DataLoader(batches(2), None), ckpt_path=checkpoint, weights_only=False)
            if checkpoint is None:
                trainer.save_checkpoint(tmp_path / "local.ckpt")
        return trainer

    plain = Convolutional()
    first, second = copy.deepcopy(plain), Convolutional()
    local = wrapped(plain)
    for _ in range(2):
        for number, batch in enumerate(batches(2)):
            torch.manual_seed(number)
            local.training_step(*batch)
    assert fitted(first, 1).global_step == 2 * len(local.optimizers)
    fitted(second, 2, tmp_path / "local.ckpt")
    assert_same(second, plain)


def test_what_accelerate_makes_of_the_optimizers_steps_in_their_place(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    plain = Convolutional()
    net, again = copy.deepcopy(plain), Convolutional()
    local = wrapped(plain)
    for number, batch in enumerate(batches(2)):
        torch.manual_seed(number)
        local.training_step(*batch)
    for module, folder, seen in ((net, None, [0]), (again, tmp_path / "saved", [1])):
        accelerator, other = accelerate.Accelerator(cpu=True), wrapped(module)
        other.stepped_by([accelerator.prepare(each) for each in other.optimizers.values()])
        accelerator.register_for_checkpointing(module, other)
        if folder is not None:
            accelerator.load_state(folder)
        for number in seen:
            torch.manual_seed(number)
            other.training_step(*batches(2)[number])
        if folder is None:
            accelerator.save_state(tmp_path / "saved")
    assert_same(again, plain)


# ------------------------------------------------------------------------------------------------ batches of others


@pytest.mark.parametrize(("images", "labels", "said"), [
    (torch.rand(4, 3, 8, 8), torch.arange(4), "shape 4×3×8×8, and the plan is for samples of 1×8×8"),
    (torch.rand(4, 1, 16, 16), torch.arange(4), "shape 4×1×16×16, and the plan is for samples of 1×8×8"),
    (torch.rand(1, 8, 8), torch.arange(1), "shape 1×8×8, and the plan is for samples of 1×8×8"),
    (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4), "the batch is uint8"),
    (torch.rand(4, 1, 8, 8), torch.arange(3), "the batch has 4 samples, and there are 3 labels"),
    (torch.rand(4, 1, 8, 8), torch.arange(4) + 1, "a label is 4, and labels are 0 to 3"),
    (torch.rand(4, 1, 8, 8), torch.arange(4) - 1, "a label is -1, and labels are 0 to 3"),
    (torch.rand(4, 1, 8, 8), torch.rand(4), "labels are float32"),
], ids=["channels", "size", "one sample", "bytes", "few labels", "class too many", "no class", "floats"])  # fmt: skip
def test_a_batch_that_was_not_planned_for_is_refused(images: Tensor, labels: Tensor, said: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
    local = runtime.wrap(net, {"data": {"batch_size": 4}, "split": {"blocks": 1}}, example=(1, 8, 8))
    before = [each.clone() for each in net.parameters()]
    with pytest.raises(RunError) as caught:
        local.training_step(images, labels)
    assert said in str(caught.value)
    assert all(map(torch.equal, net.parameters(), before))


def test_what_cannot_be_wrapped_is_said_to_be_that() -> None:
    with pytest.raises(TypeError, match="not a `function`"):
        runtime.wrap(lambda: None, {}, example=(1, 8, 8))  # type: ignore[arg-type]
