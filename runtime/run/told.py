"""What a network told of every class, counted while it is evaluated, so that a confusion costs no second look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from specc.tasks.datasets import TargetKind

from .metrics import confusion


@dataclass
class Told:
    """Counts over a set of samples; of samples of one class a pair each is kept, which makes no device wait."""

    kind: TargetKind
    held: list[Tensor] = field(default_factory=list)
    classes: int = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """One batch more; of a task without classes nothing is counted."""
        self.classes = outputs.shape[1] if outputs.dim() > 1 else 0
        if self.kind == "class":
            self.held.append(targets * self.classes + outputs.argmax(1))
        elif self.kind == "map":
            self._sum(confusion(outputs, targets))
        elif self.kind == "multi_label":
            said, there = outputs > 0, targets > 0.5
            self._sum(torch.stack([(said & there).sum(0), said.sum(0), there.sum(0)], 1))

    def tensors(self) -> dict[str, Tensor]:
        """What was counted so far."""
        if not self.held:
            return {}
        held = torch.cat(self.held) if self.kind == "class" else self.held[0]
        return {"held": held, "classes": torch.tensor(self.classes)}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Count what another one has counted."""
        if tensors:
            self.classes = int(tensors["classes"])
            if self.kind == "class":
                self.held.append(tensors["held"])
            else:
                self._sum(tensors["held"])

    def _sum(self, found: Tensor) -> None:
        self.held = [self.held[0] + found] if self.held else [found]

    def document(self) -> dict[str, Any] | None:
        """The counts, zeros left out: [class, what it was told to be, how often], in pixels where a sample is a map.

        A sample of several labels has no one class to be taken for: of each label there is how often it was told
        rightly, how often at all, and how often it was there.
        """
        if not self.held:
            return None
        if self.kind == "multi_label":
            return {"kind": self.kind, "labels": self.held[0].tolist()}
        matrix = self._matrix()
        pairs = matrix.nonzero().tolist()
        return {"kind": self.kind, "classes": self.classes, "told": [[*at, int(matrix[*at])] for at in pairs]}

    def _matrix(self) -> Tensor:
        if self.kind == "map":
            return self.held[0].cpu()
        found = torch.bincount(torch.cat(self.held).cpu(), minlength=self.classes**2)
        return found.view(self.classes, self.classes)
