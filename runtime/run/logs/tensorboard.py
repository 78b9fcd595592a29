"""TensorBoard: event files in the run directory."""

from __future__ import annotations

from collections.abc import Mapping

from torch.utils.tensorboard import SummaryWriter

from .protocol import LoggedRun


class Adapter:
    """Scalars by epoch, and the spec as a text."""

    def begin(self, run: LoggedRun) -> str:
        """A new file in the same folder; what an earlier one has beyond the epochs that are kept does not count."""
        self.writer = SummaryWriter(str(run.folder), purge_step=run.epochs + 1 if run.epochs else None)
        if not run.epochs:
            self.writer.add_text("spec", "".join(f"    {line}\n" for line in run.spec.splitlines()))  # as it is
            self.writer.flush()
        return run.name

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """One scalar a figure."""
        for name, value in figures.items():
            self.writer.add_scalar(name, value, number)
        self.writer.flush()

    def end(self, status: str, figures: Mapping[str, float]) -> None:
        """Nothing that the last epoch has not told."""
        self.writer.close()
