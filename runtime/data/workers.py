"""Worker processes that make samples: started for an epoch, quiet when they are stopped, and named when they fail."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from runtime.data.decoding import warm_up
from runtime.data.draws import Indices
from runtime.data.errors import DataError, described

Sample = tuple[Tensor, Any]
Batch = tuple[Tensor, Tensor]


def batched(sample: Callable[[int], Sample], batches: Iterable[Indices], workers: int) -> Iterator[Batch]:
    """The batches of these samples, made by whichever process is free; `DataError` for one that cannot be."""
    order = [batch.tolist() for batch in batches]
    with worker_failures(workers):
        for batch in loading(_Samples(sample), workers, batch_sampler=order, collate_fn=_collated):
            if isinstance(batch, DataError):
                raise batch
            yield batch


def loading(data: Dataset[Any], workers: int, **options: Any) -> Iterator[Any]:
    """What a data set of torch gives, read by so many processes."""
    if workers:
        warm_up()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # `crowded` says so, and once
        own = torch.Generator()  # or it would take a draw from the global one every epoch
        with _no_sudden_errors():
            return iter(DataLoader(data, num_workers=workers, generator=own, worker_init_fn=_take_no_part, **options))


@contextmanager
def _no_sudden_errors() -> Iterator[None]:
    """Leave SIGCHLD as it was.

    Torch would raise an error for a dead worker in the middle of whatever the run does just then, be it the writing of
    a checkpoint. It also notices one when it waits for a batch, a few seconds later, and that is soon enough.
    """
    if threading.current_thread() is not threading.main_thread():  # torch does nothing about it there
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextmanager
def worker_failures(workers: int) -> Iterator[None]:
    """What torch says where a process cannot be started, or was killed, as a `DataError`."""
    try:
        yield
    except (OSError, RuntimeError, EOFError) as error:
        help = ["fewer `data.workers` take less memory; 0 decodes without other processes"]
        cut_off = isinstance(error, (ConnectionError, EOFError, FileNotFoundError))  # in the middle of a batch
        cause = "one has died" if cut_off else described(error)
        raise DataError(f"the {workers} worker processes failed: {cause}", help=help) from error


def _take_no_part(worker: int) -> None:
    """Ignore Ctrl-C, which a terminal sends to them too; leave without a word on SIGTERM, which also ends an epoch.

    The run decides when it stops, not the processes that decode images: one that dies of a signal is an error in the
    middle of whatever the run does just then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))


class _Samples(Dataset[Sample | DataError]):
    """Samples as torch's loader wants them.

    What is wrong with one is a result like another: an exception would come out of a worker process as the text of its
    traceback.
    """

    def __init__(self, sample: Callable[[int], Sample]) -> None:
        self.sample = sample

    def __getitem__(self, index: int) -> Sample | DataError:
        try:
            return self.sample(index)
        except DataError as error:
            return error


def _collated(samples: list[Sample | DataError]) -> Batch | DataError:
    """The samples as a batch, or what is wrong with the first that is none."""
    if error := next((sample for sample in samples if isinstance(sample, DataError)), None):
        return error
    images, labels = default_collate(_alike([sample for sample in samples if not isinstance(sample, DataError)]))
    return images, labels


def _alike(samples: list[Sample]) -> list[Sample]:
    """Samples whose images can be put together, where some have more bits than others."""
    if not any(image.is_floating_point() for image, _ in samples):
        return samples
    return [(image if image.is_floating_point() else image / 255, truth) for image, truth in samples]


def crowded(workers: int) -> tuple[str, ...]:
    """A remark on more worker processes than can run at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (f"{workers} worker processes share {cores} cores (`data.workers`)",) if workers > cores else ()
