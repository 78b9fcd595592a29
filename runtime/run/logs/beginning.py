"""The logs of a run before its first step: whether they can be written, and how they are opened."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from specc.diagnostics import Diagnostic
from specc.spec.dump import plain
from specc.spec.load import Spec
from specc.spec.sections.log import LOGS

from ...errors import FoundInSpec
from ..state import RunState
from .keeping import Logs
from .protocol import LoggedRun


def check_logs(spec: Spec) -> None:
    """Raise `FoundInSpec` where the package of a log is not installed, at its place in the spec."""
    if found := list(_missing(spec)):
        raise FoundInSpec(found, spec.sources)


def _missing(spec: Spec) -> Iterator[Diagnostic]:
    for place, name in enumerate(spec.config.train.log):
        log = LOGS[name]
        if log.needs and find_spec(log.needs) is None:
            message = f"the log `{name}` needs the package `{log.needs}`, which is not installed"
            help = (f"pip install '{log.install or log.needs}'", "or train without it: train.log=[csv]")
            yield spec.error("SPC617", message, "train", "log", place, label="cannot be written", help=help)


def tell(logs: Logs, run: RunState) -> None:
    """Open the logs with what is known of a run before its first step."""
    plan, folder = run.plan, run.run_dir.path.resolve()
    told = LoggedRun(
        plan.name, folder, folder, run.spec_text, plain(plan.config), plan.fingerprint, str(run.device)
    )  # fmt: skip
    logs.begin(told)
