"""One part, in a process of its own: `python -m benchmarks.gpu.work PART DEVICE SECONDS FOLDER`.

Its module's `run` is handed a `Work`, tells it a row a case, and leaves out what is there. Every row is written at
once, so that a process that is ended for its time leaves what it has.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from runtime.engine.device import choose

from . import documents
from .documents import DONE, UNFINISHED, Document
from .machine import machine


class Work:
    """What a part is to do, and what it has done."""

    def __init__(self, part: str, device: torch.device, seconds: float, folder: Path) -> None:
        self.device, self.folder = device, folder
        self.small = device.type != "cuda"  # stand-ins
        self._began, self._seconds = time.monotonic(), seconds
        there, here = documents.read(folder, part), machine(device)
        command = f"python -m benchmarks.gpu --device {device} --only {part}"
        again = there is None or there["status"] == DONE or not documents.same_machine(there, here)
        fresh = documents.begun(part, here, command, datetime.now(UTC).isoformat(timespec="seconds"))
        self.document: Document = (
            fresh if again or there is None else there | {"status": UNFINISHED, "error": None, "said": ""}
        )
        self._before: float = self.document["seconds"]
        self.document["rows"] = [row for row in self.document["rows"] if not row.get("error")]
        self.left_out = 0

    @property
    def rows(self) -> list[Document]:
        """All cases so far."""
        return self.document["rows"]

    def left(self) -> float:
        """Seconds until this process is ended."""
        return self._seconds - (time.monotonic() - self._began)

    def has(self, name: str, needs: float = 0.0) -> bool:
        """Whether there is a row already, or no time for one that takes so many seconds: then nothing is to be done."""
        if any(row["name"] == name for row in self.rows):
            return True
        late = self.left() < needs
        self.left_out += late
        return late

    def row(self, name: str, said: str, **figures: Any) -> None:
        """One case is done; `said` is for whoever watches."""
        self.rows.append({"name": name, **figures})
        self.keep()
        print(f"  {name}: {said}", flush=True)

    def facts(self, **facts: Any) -> None:
        """What holds for all cases."""
        self.document["facts"] |= facts
        self.keep()

    def keep(self) -> None:
        """Write what there is."""
        self.document["seconds"] = round(self._before + time.monotonic() - self._began, 1)
        documents.write(self.folder, self.document)

    def end(self) -> None:
        """Everything was tried: the part is done unless time was too short for some cases."""
        self.document["status"] = UNFINISHED if self.left_out else DONE
        if self.left_out:
            self.document["error"] = f"no time was left for {self.left_out} of the cases"
        self.keep()


def main() -> None:
    """Do one part; what goes wrong ends the process, and is told by the one that began it."""
    part, device, seconds, folder = sys.argv[1:]
    work = Work(part, choose(device, None), float(seconds), Path(folder))
    work.keep()
    import_module(f"benchmarks.gpu.{part}").run(work)
    work.end()


if __name__ == "__main__":
    main()
