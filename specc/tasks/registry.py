"""All tasks by name. One more is a file of this room and its name here."""

from __future__ import annotations

from ..system.plugins import Registry
from .classification import CLASSIFICATION
from .multi_label import MULTI_LABEL
from .segmentation import SEGMENTATION
from .task import Task
from .text_classification import TEXT_CLASSIFICATION

_OWN = (CLASSIFICATION, MULTI_LABEL, SEGMENTATION, TEXT_CLASSIFICATION)
TASKS = Registry("task", Task, {task.name: task for task in _OWN})
