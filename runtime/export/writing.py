"""`specc export`: a run's network into a file, compared with the run before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from specc.diagnostics.notices import doing

from ..engine.session import Session
from ..errors import RunError
from ..run.checkpoint import load_weights
from ..run.durable import write_file, writing
from ..run.rundir import RunDir
from ..run.saving import load_model
from ..run.trained import chosen, explained
from .facts import facts
from .formats import FORMATS, Format
from .trained import Trained, in_full_precision, unit_of

TOLERANCE = 1e-4  # of the largest logit: sums in another order differ by less, a norm with another epsilon by more


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and by how much its logits differ from the run's."""

    path: Path
    network: str
    trained: str
    difference: float


def export(folder: Path, to: str, target: Path | None = None, unit: str | None = None,
           checkpoint: str = "last") -> Exported:  # fmt: skip
    """Write the network of a run's checkpoint, by default into the run directory; `unit` says where it ends early."""
    ending, form = _format(to, target)
    run = RunDir(folder)
    plan = run.plan()
    leaves = unit_of(plan, unit) if unit is not None else None
    found = chosen(run, plan, checkpoint)
    at = str(found.position)
    with explained():
        with doing("building the network"):
            session = Session(in_full_precision(plan), initialise=False)
            load_model(session, load_weights(found.path), found.path)
            trained = Trained(session, leaves, facts(plan, leaves, at))
        with doing(f"writing {to}"):
            content = form.write(trained)
        with doing("comparing what is written with the run"):
            difference = compared(form, trained, content)
    path = target or folder / f"{trained.name}-{to}{ending}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)
    return Exported(path, trained.name, at, difference)


def _format(to: str, target: Path | None) -> tuple[str, Format]:
    """The ending of the file and how it is written."""
    endings = FORMATS[to]
    ending = target.suffix if target else next(iter(endings))
    if ending not in endings:
        raise RunError(f"{target} is no name for `--to {to}`", (f"let it end in {' or '.join(endings)}",))
    return ending, endings[ending]


@torch.no_grad()
def compared(form: Format, trained: Trained, content: bytes) -> float:
    """The largest difference between the logits of what was written and the run's; `RunError` where it is no rounding.

    What the file says of itself is held against what it should say, too.
    """
    run, said = form.read(trained, content)
    if said is not None and (wrong := [name for name, value in trained.facts.items() if said.get(name) != value]):
        raise RunError(f"the exported file does not say its {wrong[0]} as it should: nothing was written")
    largest = 0.0
    for images in trained.batches():
        own, other = trained.logits(images), run(images)
        _check_finite(trained, own)
        difference = float((own - other).abs().max()) if own.shape == other.shape else torch.inf
        if not difference <= TOLERANCE * float(own.abs().max()):
            message = f"the exported network gives other logits than the run: they differ by {difference:.3g}"
            raise RunError(
                f"{message}, where the largest is {float(own.abs().max()):.3g}; nothing was written", _REPORT
            )
        largest = max(largest, difference)
    return largest


_REPORT = ("another format may do: `--to safetensors` writes the weights alone", "please report this as a bug in specc")


def _check_finite(trained: Trained, logits: Tensor) -> None:
    if not logits.isfinite().all():
        help = ("its training diverged: take an earlier checkpoint with --checkpoint, where there is one",)
        raise RunError(f"the network of `{trained.plan.name}` gives logits that are no numbers", help)
