"""A module with a plan for its training, one step a call: for a loop that specc does not own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

import specc
from specc.checking import sample_of
from specc.plan import Plan
from specc.spec.load import Spec
from specc.spec.models import SpecModel
from specc.system.devices import Device

from .engine.inputs import Inputs
from .engine.optimizers import parameter_groups
from .engine.session import Session, Step
from .errors import RunError
from .trace.example import Example, like

Described = Spec | str | os.PathLike[str] | Mapping[str, Any]


def wrap(
    module: nn.Module,
    spec: Plan | Described,
    overrides: Sequence[str] = (),
    *,
    example: Example | None = None,
    leaf: Sequence[str] = (),
) -> Wrapped:
    """Train a module as a spec says, from a loop of one's own: its parameters in place, on the device that it is on.

    `spec` is a file, a mapping of its keys, what `specc.load` or `specc.compile` returned. `example` is a batch, or the
    shape of one sample, or several of these for a module of several inputs, as `specc.trace` takes them: only needed
    where the spec names no data. `leaf` is for `specc.trace`. Raises `RunError` where it cannot be trained in place.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"what is wrapped is a torch.nn.Module, and not a `{type(module).__name__}`")
    first = next(module.parameters(), None)
    if first is None:
        raise RunError("the module has no parameters, so there is nothing to train")
    _require_numbers(module)
    if not isinstance(spec, Plan):
        shape = example if example is not None else _example(spec, overrides)
        device: Device = "cpu" if first.device.type == "cpu" else "cuda"
        spec = specc.compile(spec, overrides, device, backbone=specc.trace(module, shape, leaf=leaf))
    _require_alone(spec)
    if kept := list(_of_the_loop(spec.config)):
        text = f"the spec says {', '.join(kept)}, which the loop decides and a wrapped module does not"
        warnings.warn(text, stacklevel=2)
    return Wrapped(module, Session(spec, first.device, first.dtype, module=module))


class Wrapped:
    """A module, the heads that it learns by, and an optimizer for each of its blocks: a step of all a call.

    `optimizers` are torch's, by the names of the groups of parameters that each steps, which it does as soon as their
    gradients are there. A schedule of torch's works on each of them; whatever wraps one may stand in its place.
    """

    def __init__(self, module: nn.Module, session: Session) -> None:
        self.module, self.session, self.plan = module, session, session.plan
        self.optimizers: dict[str, Any] = session.optimizers
        self._made = dict(session.optimizers)  # whatever stands in their place

    def training_step(self, images: Inputs, labels: Tensor, *, update: bool = True) -> Step:
        """Forward, backward and optimizer steps of all blocks on a batch, and what the losses were.

        A module of several inputs is given them as a tuple, or as a mapping of their names.

        Without `update` the gradients are left to an optimizer of one's own over `parameters()`, to be stepped and
        cleared as in any loop; all blocks then have gradients at once, which the predicted memory does not count.
        """
        if not update and self.session.scaler.is_enabled():
            raise RunError("in fp16 gradients are scaled, so specc's own optimizers have to step", ("bf16, or fp32",))
        return self.session.train_step(images, labels, update=update)

    def predict(self, images: Inputs) -> Tensor:
        """What the module makes of a batch in evaluation, in the precision of the plan; without gradients."""
        return self.session.predict(images)

    def evaluate(self, batches: Iterable[tuple[Inputs, Tensor]], *, units: bool = False) -> dict[str, float]:
        """The task's metrics and the loss over batches of (images, labels), in evaluation: of a loader, say.

        With `units` also the first metric of every unit that answers by itself. Raises `RunError` where there are none.
        """
        evaluation: Any = import_module("runtime.run.evaluation")  # which a loop of one's own may do without
        rest = iter(batches)
        if (first := next(rest, None)) is None:
            help = ("a loader can be gone through once more, a generator not",)
            raise RunError("there are no batches to evaluate on", help)
        pairs = ((batch, len(batch[1])) for batch in chain((first,), rest))
        found: Any = evaluation.evaluated(self.session, pairs, units=units)
        return {**found.whole, **found.units}

    def parameters(self) -> list[dict[str, Any]]:
        """All that is trained, heads included, as groups for an optimizer: by name, biases apart where none decay."""
        config = self.plan.config.train.optimizer
        return [
            {"name": name, **group}
            for name in self.optimizers
            for group in parameter_groups(config, self.session.model, name)
        ]

    def stepped_by(self, optimizers: Any) -> None:
        """From now on have these step, one in place of each of `optimizers`: what a framework has made of them.

        A framework may give a single one as it is, and not in a list.
        """
        given = optimizers if isinstance(optimizers, list | tuple) else [optimizers]
        self.optimizers.update(zip(tuple(self.optimizers), given, strict=True))

    def set_lr(self, lr: float) -> None:
        """The learning rate of all optimizers from the next step on."""
        self.session.set_lr(lr)

    def averaged(self) -> AbstractContextManager[None]:
        """For as long as this lasts the module's weights are their average, where the spec asks for one."""
        return self.session.averaged()

    def state_dict(self) -> dict[str, Any]:
        """All that the module's own `state_dict` has not: heads, averaged copies, optimizers and the fp16 scaler."""
        average = self.session.average
        return {
            "tensors": {name: tensor.detach().clone() for name, tensor in self._beside()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._made.items()},
            "scaler": self.session.scaler.state_dict(),
            "average": {} if average is None else {"steps": average.steps, "tensors": dict(average.tensors)},
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave, of a module that was wrapped with the same spec. The module is loaded by itself."""
        own = dict(self._beside())
        self._require_same(*({name: t.shape for name, t in each.items()} for each in (own, state["tensors"])))
        self._require_same(*(dict.fromkeys(each, "") for each in (self._made, state["optimizers"])))
        for name, tensor in own.items():
            tensor.copy_(state["tensors"][name])
        for name, optimizer in self._made.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.session.scaler.load_state_dict(state["scaler"])
        if (average := self.session.average) is not None:
            average.steps = state["average"]["steps"]
            average.tensors = {
                name: average.followed[name].detach().clone().copy_(tensor)
                for name, tensor in state["average"]["tensors"].items()
            }

    def _beside(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors of the session that are none of the module's."""
        own = {id(tensor) for tensor in (*self.module.parameters(), *self.module.buffers())}
        return ((name, each) for name, each in self.session.model.tensors().items() if id(each) not in own)

    @staticmethod
    def _require_same(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        """The same names, and of tensors the same shapes."""
        other = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        if other:
            raise RunError(f"the state is one of another spec: `{other[0]}` is another there, or missing")


def _example(spec: Described, overrides: Sequence[str]) -> Example:
    """Of a sample of the data set that a spec names."""
    data = sample_of(spec, overrides)
    if data is None:
        raise RunError("the spec names no data set, so what the module reads is not known",
                       ("give an `example`: a batch, or the shape of one sample, like `(3, 32, 32)`",))  # fmt: skip
    return like(data.parts) if data.parts else data.shape


def _require_numbers(module: nn.Module) -> None:
    """A module is trained where it is, and as it is."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise RunError(f"`{name}` of the module has no shape yet", ("call the module once on a batch before",))
        if tensor.is_meta:
            help = ("`module.to_empty(device=...)`, and load its numbers",)
            raise RunError(f"`{name}` of the module is on meta, where there are no numbers to train", help)
    if len(devices := {p.device for p in module.parameters()}) > 1:
        text = f"the module is on several devices: {', '.join(sorted(map(str, devices)))}"
        raise RunError(text, ("a wrapped module is on one: `.to(device)` it before",))


def _require_alone(plan: Plan) -> None:
    """A wrapped module is trained by one process, on one device."""
    help = ("`specc run` with `devices:` spreads a run over several",)
    if plan.config.devices.count > 1:
        raise RunError(f"the spec is for {plan.config.devices.count} devices, and a wrapped module is on one", help)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise RunError("gradients of a wrapped module are not summed over processes, and there are several", help)


def _of_the_loop(config: SpecModel) -> Iterator[str]:
    """What a spec says of epochs and data, which nobody follows where the loop is somebody else's."""
    if not config.train.schedule.constant:
        yield f"`train.schedule: {config.train.schedule.name}`"
    if config.train.early_stopping is not None:
        yield "`train.early_stopping`"
    if config.train.deterministic:
        yield "`train.deterministic`"
    if config.data.augment != "none":
        yield "`data.augment`"
