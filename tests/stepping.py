"""One of several processes that takes steps of a tiny spec: `python -m tests.stepping SPEC STEPS TIMEOUT [WHAT]`.

After a step rank 1 stands in for one that nccl aborts (`WHAT` is `nccl`), or that a library does (`abort`).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

from runtime.distributed.agreement import facts
from runtime.distributed.world import joined
from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.errors import Interrupted
from specc import compile
from specc.commands.program import in_words
from specc.commands.shared import failures_shown
from specc.layout import laid_out, stages_of
from specc.system import ranks


def main(spec: str, steps: int, timeout: float, what: str = "") -> None:
    place = ranks.placed()
    assert place is not None
    ranks.tied(place)
    ranks.leave(place, ranks.RUN, str(Path("run").resolve()))
    with in_words(), failures_shown(), joined(place, "cpu", timeout) as world:
        plan = compile(spec)
        world.agree(facts(plan, "cpu"))
        world.begin()
        plan = laid_out(plan, world.rank, world.shared(list(stages_of(plan)) if world.rank == 0 else None))
        session = Session(plan, "cpu", wire=Wire(plan))
        world.pulse.running = lambda: session.executor.running
        try:
            for step in range(steps):
                first = plan.layout is not None and plan.layout.stage == 0
                images = torch.zeros(plan.batch, 1, 8, 8) if first else None
                labels = torch.zeros(plan.batch, dtype=torch.int64) if first else None
                session.train_step(images, labels, samples=plan.config.data.batch_size)
                Path(f"at{world.rank}").write_text(str(step))
                if world.rank == 1:
                    aborts(what)
                time.sleep(0.02)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; checkpoint saved") from None


SAID = """\
[rank1]:[E ProcessGroupNCCL.cpp:616] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7, \
OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600013 milliseconds before timing out.
terminate called after throwing an instance of 'c10::DistBackendError'
"""


def aborts(what: str) -> None:
    """What a C++ library does that cannot go on."""
    if what == "nccl":
        sys.stderr.write(SAID)
    elif what == "abort":
        sys.stderr.write("free(): invalid pointer\n")
    else:
        return
    sys.stderr.flush()
    os.abort()


if __name__ == "__main__":
    import signal

    torch.set_num_threads(1)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.default_int_handler)
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
