"""The end of a training: what its network is worth, and the best one that it had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..data import Loader
from ..engine.sharding import own_part
from . import checkpoint, endings
from .checkpoint import Best
from .evaluation import NOTHING, Findings
from .saving import load_model
from .state import RunState


@dataclass(frozen=True, slots=True)
class Results:
    """What is said of a run when it ends: on the test set, on the validation set, and of its best checkpoint."""

    test: Findings = NOTHING
    validation: Findings = NOTHING
    best: Best | None = None
    best_on_test: Findings = NOTHING


def results(run: RunState, judged: Findings, test_data: Loader | None, look: Callable[[Loader], Findings]) -> Results:
    """`judged` are the figures of the last epoch. With a validation set the test set is looked at now, for once."""
    _check(run, judged)
    if not run.validated:
        return Results(test=judged, best=run.best)
    test = look(test_data) if test_data else NOTHING
    _check(run, test)
    if run.best is None or test_data is None:
        return Results(test, judged, run.best)
    return Results(test, judged, run.best, _of_best(run, run.best, test, lambda: look(test_data)))


def _of_best(run: RunState, best: Best, test: Findings, look: Callable[[], Findings]) -> Findings:
    """The test of the best checkpoint, as it was evaluated; afterwards the network is the last one again."""
    folder, team, session = run.run_dir.path, run.team, run.session
    if team.by_first(lambda: best.checkpoint == checkpoint.newest(folder).path.name):
        return test
    path = Path(team.by_first(lambda: str(checkpoint.best(folder).path)))
    own = [own_part(tensor.detach()) for tensor in session.model.tensors().values()]
    kept = [tensor.to("cpu", copy=True) for tensor in own]
    average, session.average = session.average, None  # the weights of a checkpoint are averages where there are any
    try:
        load_model(session, team.read_by_first(lambda: checkpoint.load_weights(path)), path)
        return look()
    finally:
        session.average = average
        for tensor, before in zip(own, kept, strict=True):
            tensor.copy_(before)


def _check(run: RunState, found: Findings) -> None:
    """Figures of the end are numbers."""
    if wrong := endings.not_finite(found.whole):
        raise endings.diverged(run, f"the training ended, but of its test {wrong}")
