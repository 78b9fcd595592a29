"""How long a step takes whose parameters come and go: moves and the host's steps beside what the device computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import specc
from runtime.engine.offload import Streams
from runtime.timing import host
from runtime.timing.clock import Clock
from specc.layout import every_rank, stages_of
from specc.layout.simulate import simulate
from specc.layout.timed import ranks_on
from specc.plan import Evict, Load, Plan
from specc.plan.offloading import moved_bytes
from specc.profiles import find
from specc.timing import step_time
from specc.timing.beside import LEAVING, Beside
from specc.timing.events import Action, Events, Links

from .documents import MAN, Document, compiled, documents, spec_of
from .test_offload import ADAMW, BOTH, NETWORK, OPTIMIZER, SGD

H100 = find("h100")
THREE: Document = {**NETWORK, "train": {"optimizer": SGD, "offload": BOTH}}


def by_hand(plan: Plan, compute: float, load: float, leave: float, make: float) -> tuple[float, list[str]]:
    """When a step ends that takes so long for every forward and backward, load, evict, and step on the host."""
    coming, leaving, made, here = {}, {}, {}, set[str]()
    for i, each in enumerate(plan.instructions):
        if isinstance(each, Load):
            states = [s for s in (each.state, each.then) if s and s not in here]
            here |= set(states)
            coming[i] = tuple((state, load) for state in states)
        leaving |= {i: leave} if isinstance(each, Evict) else {}
        made |= {i: make} if each.kind == "step" else {}
    beside = Beside(plan, coming, leaving, made)
    took = [compute * (each.kind in ("forward", "backward")) for each in plan.instructions]
    own = [beside.around(Action(str(each), took[i]), i, 0, 0) for i, each in enumerate(plan.instructions)]
    own.append(Action("end", awaits=beside.all_made(0, 0), ends=True))
    went = Events([own, [*beside.actions(0, 1)]], beside.transfers(0, 1), Links(1.0)).run()
    starts = sorted((span.start, span.label) for span in went.spans if span.rank == 1)
    return went.ends[0][0], [label for _, label in starts]


def turns(plan: Plan) -> int:
    return sum(isinstance(each, Load) for each in plan.instructions)


def test_moves_that_are_faster_than_the_work_are_hidden_but_for_the_first_and_the_last() -> None:
    plan = compiled(**THREE, levels=[{"name": "all", "window": 3}])
    assert turns(plan) == 4 or turns(plan) == 3
    free, _ = by_hand(plan, 1.0, 0.0, 0.0, 0.0)
    end, steps = by_hand(plan, 1.0, 0.001, 0.002, 0.003)
    assert free == 6.0
    assert 6.0 < end < 6.05
    assert len(steps) == sum(each.kind == "step" for each in plan.instructions)


def test_the_slowest_of_four_decides() -> None:
    """Computing, coming, leaving, and what the host makes: all at once, each in turn."""
    plan = compiled(**THREE)
    moves, steps = turns(plan), sum(each.kind == "step" for each in plan.instructions)
    work = sum(each.kind in ("forward", "backward") for each in plan.instructions)
    for slow, count in (
        ((1.0, 0, 0, 0), work),
        ((0, 1.0, 0, 0), moves),
        ((0, 0, 1.0, 0), steps),
        ((0, 0, 0, 1.0), steps),
    ):
        assert by_hand(plan, *slow)[0] == count
    assert max(work, moves, steps) < by_hand(plan, 1.0, 1.0, 1.0, 1.0)[0] < work + moves + 2 * steps


def test_a_step_on_the_host_begins_when_its_gradients_have_come_and_the_next_block_computes_meanwhile() -> None:
    plan = compiled(**THREE)
    late, steps = by_hand(plan, 1.0, 0.0, 0.0, 0.9)
    assert late < by_hand(plan, 1.0, 0.0, 0.0, 0.0)[0] + 2  # not three steps more
    assert steps == [str(each) for each in plan.instructions if each.kind == "step"]


def test_the_device_is_no_further_ahead_than_two_blocks_gradients() -> None:
    """As the host holds itself back, which asks for them: `runtime.engine.offload.Streams`."""
    plan = compiled(**THREE)
    assert LEAVING == Streams.LEAVING
    evicts = [i for i, each in enumerate(plan.instructions) if isinstance(each, Evict)]
    beside = Beside(plan, leaving=dict.fromkeys(evicts, 1.0))
    waits = [beside.around(Action("evict"), i, 0, 0).awaits for i in evicts]
    assert waits == [(), (), *((("evict", 0, i, 0),) for i in evicts[:-2])]


@pytest.mark.parametrize("offload", [OPTIMIZER, BOTH], ids=["optimizer", "both"])
def test_a_step_is_its_work_and_what_of_moves_and_steps_is_not_hidden(offload: list[str]) -> None:
    parts: Document = {**NETWORK, **MAN}
    train: Document = {"optimizer": ADAMW, "weight_average": {}, "offload": offload}
    plan, on_device = compiled(**parts, train=train), compiled(**parts, train=train | {"offload": []})
    found, plain = step_time(plan, H100), step_time(on_device, H100)
    assert found.beside is not None
    assert (
        found.seconds
        == pytest.approx(sum(found.by_kind.values()))
        == pytest.approx(sum(found.instructions) + found.after)
    )
    steps = {kind: s for kind, s in plain.by_kind.items() if kind.startswith(("step/", "average"))}
    assert found.seconds - found.waits == pytest.approx(plain.seconds - sum(steps.values()), rel=0.1)
    assert 0 < found.waits < found.beside.inwards + found.beside.outwards + found.beside.work
    slower = step_time(plan, replace(H100, host_bandwidth=H100.host_bandwidth / 2))
    assert slower.beside is not None
    more = slower.beside.inwards + slower.beside.outwards - found.beside.inwards - found.beside.outwards
    assert more == pytest.approx(sum(moved_bytes(plan)) / H100.from_the_host)
    assert step_time(plan, replace(H100, host_memory_bandwidth=1e9)).seconds > found.seconds


@settings(max_examples=15)
@given(
    document=documents(), offload=st.sampled_from([OPTIMIZER, BOTH]), stages=st.integers(1, 2), copies=st.integers(1, 2)
)
def test_no_layout_waits_for_its_hosts_forever(
    document: Document, offload: list[str], stages: int, copies: int
) -> None:  # fmt: skip
    """And one device takes what is predicted for it."""
    blocks = len(document["split"].get("after", ())) + 1
    document["train"]["offload"] = offload
    document["devices"] = {"data_parallel": copies, "block_parallel": min(stages, blocks)}
    plan = specc.compile(spec_of(document))
    went = simulate(ranks_on(every_rank(plan, stages_of(plan)), H100), Links(50e9, 5e-6), steps=2)
    assert all(idle < 1 for idle in went.idle)
    if plan.config.devices.count == 1:
        assert went.step_seconds == pytest.approx(step_time(plan, H100).seconds)


def test_a_calibration_measures_the_ways_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower one counts; a processor has none."""
    cpu = torch.device("cpu")
    found = host.ways(cpu, Clock(cpu), 1 << 12)
    assert min(found.inwards, found.outwards, found.steps) > 0
    assert host.with_host(H100, cpu, Clock(cpu)) is H100
    monkeypatch.setattr(host, "ways", lambda device, clock: host.Ways(20e9, 30e9, 12.3456e9))
    measured = host.with_host(replace(H100, efficiency={}), torch.device("cuda"), Clock(cpu))
    assert (measured.from_the_host, measured.of_the_host) == (20e9, 12.35e9)
