"""Several ranks of a process group on this machine: one function in a process each, gloo over a file.

    def work(rank: int, plan: Plan) -> dict[str, Tensor]: ...

    first, second = in_ranks(work, 2, plan)

The function is one of a module, and its arguments and results are pickled. Processes are forked from one that has
torch and little else, begun with the first of them: an import takes seconds, and none inherits a thread of the tests.
"""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds; a rank that takes longer says where it is, and ends
GRACE = 3.0  # for the others, once one has failed: to say what they know of it
ONCE = (
    "torch._dynamo",
    "torch.distributed",
    "runtime",
    "specc.layout",
    "pytest",
    "hypothesis",
    "specc.cli",
    "networkx",
    "ruamel.yaml",
    "runtime.run.launch",
    "runtime.distributed.launcher",
)  # optimizers ask for dynamo
LOUDNESS = "TORCH_CPP_LOG_LEVEL"
END_WITH_PARENT = 1


def in_ranks(function: Callable[..., Any], count: int, *args: Any, timeout: float = PATIENCE) -> list[Any]:
    """What `function(rank, *args)` gives in each of `count` ranks, whose default process group is up.

    Where one fails or hangs all are ended, and what each of them said is in the error.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ranks = [
            server().Process(target=_rank, args=(function, rank, count, folder, timeout, args), daemon=True)
            for rank in range(count)
        ]
        try:
            for rank in ranks:
                rank.start()
            _wait(ranks, timeout)
        finally:
            codes = [_end(rank) for rank in ranks]
        if any(codes):
            raise AssertionError("\n".join(_said(folder, rank, code) for rank, code in enumerate(codes)))
        return [pickle.loads(_result(folder, rank).read_bytes()) for rank in range(count)]


@cache
def server() -> ForkServerContext:
    """What processes are forked from, `tests.forked`'s too."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(ONCE))
    before = os.environ.get(LOUDNESS)
    os.environ[LOUDNESS] = "ERROR"  # as specc sets it before torch is loaded, which looks once
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop(LOUDNESS)
        os.environ.update({LOUDNESS: before} if before else {})
    return found


def _wait(ranks: Sequence[ForkServerProcess], timeout: float) -> None:
    """Until all have ended, or one has failed and the others had their time."""
    given_up = time.monotonic() + timeout + GRACE
    running = list(ranks)
    while running and time.monotonic() < given_up:
        wait([rank.sentinel for rank in running], given_up - time.monotonic())
        if any(rank.exitcode for rank in running):
            given_up = min(given_up, time.monotonic() + GRACE)
        running = [rank for rank in running if rank.exitcode is None]


def _end(rank: ForkServerProcess) -> int | None:
    """Its exit code; of one that has not ended that of a killed one."""
    if rank.pid is None:
        return None
    rank.kill()
    rank.join()
    code = rank.exitcode
    rank.close()
    return code


def _result(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.result"


def _said(folder: Path, rank: int, code: int | None) -> str:
    said = folder / f"{rank}.said"
    return f"--- rank {rank} (exit code {code})\n" + (said.read_text(errors="replace") if said.exists() else "")


def _rank(
    function: Callable[..., Any], rank: int, count: int, folder: Path, timeout: float, args: Sequence[Any]
) -> None:
    """What a rank does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # whatever this machine thinks that it is called
    with (folder / f"{rank}.said").open("w") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        faulthandler.dump_traceback_later(timeout, exit=True, file=said)
        found = _in_group(function, rank, count, folder, timeout, args)
        _result(folder, rank).write_bytes(pickle.dumps(found))
        faulthandler.cancel_dump_traceback_later()


def _in_group(
    function: Callable[..., Any], rank: int, count: int, folder: Path, timeout: float, args: Sequence[Any]
) -> Any:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    store, limit = dist.FileStore(str(folder / "store"), count), timedelta(seconds=2 * timeout)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=limit)
    found = function(rank, *args)
    if dist.is_initialized():  # the function may have ended it
        dist.barrier()
        dist.destroy_process_group()
    return found
