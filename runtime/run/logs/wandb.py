"""Weights & Biases: online, offline or not at all, as `WANDB_MODE` says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from secrets import token_hex

import wandb

from .protocol import LoggedRun

PATIENCE = 60.0  # seconds that the end of a run waits for the network


class Adapter:
    """A run of wandb with the id that it had before; its own files under the run directory."""

    def begin(self, run: LoggedRun) -> str:
        """`WANDB_PROJECT` and `WANDB_ENTITY` are wandb's own; the project is called as the spec where there is none."""
        run.folder.mkdir(exist_ok=True)
        wandb.setup(wandb.Settings(silent=True))  # before it asks for a key, in the middle of a run's picture
        settings = wandb.Settings(silent=True, console="off", finish_timeout=PATIENCE)  # the terminal is ours
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or run.name,
            name=run.directory.name,
            id=run.id or token_hex(4),
            resume="allow",
            dir=str(run.folder),
            config={**run.config, "plan_fingerprint": run.fingerprint, "device": run.device},
            settings=settings,
        )
        return str(self.run.id)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """One step of wandb's."""
        self.run.log(dict(figures), step=number)

    def end(self, status: str, figures: Mapping[str, float]) -> None:
        """The figures of the end as its summary."""
        self.run.summary.update({"status": status, **figures})
        self.run.finish(exit_code=0 if status == "completed" else 1)
