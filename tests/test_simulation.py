"""Steps of several devices in time: by hand where the times are plain, then plans of random specs and layouts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specc
from specc.layout import every_rank, laid_out, stages_of
from specc.layout.simulate import Simulation, simulate
from specc.layout.timed import Rank, ranks_on
from specc.layout.volume import Volume, volumes
from specc.plan import Plan
from specc.plan.shards import Deal
from specc.profiles import find
from specc.timing import step_time
from specc.timing.events import Action, Events, Links, Stuck, Transfer, Went

from .documents import HPFF, MAN, Document, compiled, document, documents, spec_of

H100 = find("h100")
FAST, PLAIN = Links(50e9, 5e-6), Links(10.0, 0.5)


def went(*programs: list[Action], transfers: dict[str, Transfer]) -> Went:
    return Events(programs, transfers, PLAIN).run()


def ends(*programs: list[Action], transfers: dict[str, Transfer]) -> list[float]:
    return [found[-1] for found in went(*programs, transfers=transfers).ends]


def sends(seconds: float, *keys: str) -> list[Action]:
    return [Action(key, seconds, gives=(key,)) for key in keys]


def receives(seconds: float, *keys: str) -> list[Action]:
    return [Action(key, seconds, asks=(key,), awaits=(key,)) for key in keys]


END = Action("end", ends=True)


def test_a_message_takes_its_latency_and_its_bytes() -> None:
    source, to = [*sends(1.0, "m"), END], [*receives(0.25, "m"), END]
    assert ends(source, to, transfers={"m": Transfer((0, 1), 20)}) == [1.0, 1.0 + 0.5 + 2.0 + 0.25]


def test_processes_that_share_cores_take_turns_on_them() -> None:
    """Three of them work three times, each for a second, on two cores: who asks first, and of those the first one."""
    programs = [[Action("work", 1.0)] * 3 + [END] for _ in range(3)]
    assert [found[-1] for found in Events(programs, {}, PLAIN, cores=2).run().ends] == [3.0, 4.0, 5.0]
    assert [found[-1] for found in Events(programs, {}, PLAIN, cores=3).run().ends] == [3.0, 3.0, 3.0]


def test_a_core_is_free_for_others_while_a_process_waits() -> None:
    source, to = [*sends(1.0, "m"), Action("work", 4.0), END], [*receives(1.0, "m"), END]
    transfers = {"m": Transfer((0, 1), 20)}
    assert [found[-1] for found in Events([source, to], transfers, PLAIN, cores=1).run().ends] == [5.0, 6.0]


def test_who_sends_goes_on_at_once() -> None:
    source, to = [*sends(1.0, "m"), Action("work", 3.0), END], [*receives(0.0, "m"), END]
    assert ends(source, to, transfers={"m": Transfer((0, 1), 20)}) == [4.0, 3.5]


def test_nothing_is_sent_before_it_is_asked_for() -> None:
    source = [*sends(1.0, "m"), Action("end", awaits=("m",), ends=True)]
    to = [Action("work", 5.0), *receives(0.0, "m"), END]
    assert ends(source, to, transfers={"m": Transfer((0, 1), 20)}) == [7.5, 7.5]


def test_messages_wait_for_a_link_in_turn_but_not_for_a_latency() -> None:
    source, to = [*sends(0.0, "a", "b"), END], [Action("", asks=("a", "b")), Action("w", awaits=("a", "b")), END]
    assert ends(source, to, transfers={name: Transfer((0, 1), 20) for name in "ab"})[1] == 4.5


def test_a_device_sends_and_receives_at_the_same_time() -> None:
    both = {"a": Transfer((0, 1), 20), "b": Transfer((1, 0), 20)}
    first = [Action("", gives=("a",)), *receives(0.0, "b"), END]
    other = [Action("", gives=("b",)), *receives(0.0, "a"), END]
    assert ends(first, other, transfers=both) == [2.5, 2.5]


def test_a_device_receives_from_two_others_in_turn() -> None:
    both = {"a": Transfer((0, 2), 20), "b": Transfer((1, 2), 20)}
    to = [Action("", asks=("a", "b")), Action("w", awaits=("a", "b")), END]
    assert ends([*sends(0.0, "a"), END], [*sends(0.0, "b"), END], to, transfers=both)[2] == 4.5


def test_a_sum_begins_with_the_last_of_its_members_and_overlaps_with_work() -> None:
    ring = {"sum": Transfer((0, 1), 20, hops=2, ring=True)}
    programs = [[Action("w", late), Action("", gives=("sum",)), Action("more", 2.0), Action("s", 1.0, awaits=("sum",)),
                 END] for late in (1.0, 4.0)]  # fmt: skip
    assert ends(*programs, transfers=ring) == [8.0, 8.0]  # begun at 4, done at 4 + 2 * 0.5 + 2


def test_devices_that_wait_for_one_another_are_told_of() -> None:
    first = [*receives(0.0, "b"), *sends(0.0, "a")]
    other = [*receives(0.0, "a"), *sends(0.0, "b")]
    with pytest.raises(Stuck, match="rank 0 waits at `b`; rank 1 waits at `a`"):
        ends(first, other, transfers={"a": Transfer((0, 1), 1), "b": Transfer((1, 0), 1)})


# -- plans ------------------------------------------------------------------------------------------------------------


def over(found: Document, **devices: object) -> Plan:
    return specc.compile(spec_of({**found, "devices": devices}))


def moved(plan: Plan) -> tuple[Volume, ...]:
    return volumes(ranks_on(every_rank(plan, stages_of(plan)), None))


def simulated(plan: Plan, links: Links = FAST, steps: int | None = None) -> Simulation:
    return simulate(ranks_on(every_rank(plan, stages_of(plan)), H100), links, steps)


def test_one_rank_takes_the_predicted_time_of_a_step() -> None:
    plan = compiled(**HPFF)
    assert simulated(plan).step_seconds == pytest.approx(step_time(plan, H100).seconds, rel=1e-12)


@st.composite
def layouts(draw: st.DrawFn) -> Plan:
    found = draw(documents())
    blocks = len(found["split"].get("after", ())) + 1
    found["train"]["micro_batches"] = draw(st.integers(1, 2))
    alone = all(level["window"] == 1 for level in found["levels"])  # else stages cannot be decoupled
    mode, staleness = draw(st.sampled_from(["synchronous", "decoupled"][: 1 + alone])), draw(st.integers(1, 3))
    stages, copies = draw(st.integers(1, blocks)), draw(st.integers(1, 3))
    return over(found, block_parallel=stages, data_parallel=copies, mode=mode, staleness=staleness)


@settings(max_examples=25)
@given(plan=layouts(), bandwidth=st.sampled_from([1e6, 1e9, 1e12]), latency=st.sampled_from([0.0, 1e-4]))
def test_no_layout_waits_forever_nor_takes_less_time_than_its_busiest_rank(
    plan: Plan, bandwidth: float, latency: float
) -> None:
    links = Links(bandwidth, latency)
    found = simulated(plan, links)
    assert found.step_seconds >= max(found.work) * (1 - 1e-9)
    assert found.spans == simulated(plan, links).spans
    for rank in range(len(found.work)):
        own = sorted((s.start, s.end) for s in found.spans if s.rank == rank and not s.moves)
        assert all(one[1] <= other[0] for one, other in pairwise(own))


def test_every_rank_has_the_plan_that_is_made_for_it_alone() -> None:
    plan = over(document(**HPFF, ema_links=MAN["ema_links"]), block_parallel=3, data_parallel=4)
    stages = stages_of(plan)
    assert list(every_rank(plan, stages)) == [laid_out(plan, rank, stages) for rank in range(12)]


def test_bytes_that_arrive_were_sent_and_sums_go_round_a_ring() -> None:
    plan = over(document(), data_parallel=3, sync_batch_norm=False)
    parameters = sum(network.graph.parameter_count for network in plan.networks.values())
    assert [v.sent for v in moved(plan)] == pytest.approx([4 * parameters * 2 * 2 / 3] * 3)
    found = moved(over(document(**HPFF), block_parallel=4))
    assert sum(v.sent for v in found) == sum(v.received for v in found) > 0


def test_batch_norms_of_all_copies_are_waited_for() -> None:
    together, apart = (over(document(), data_parallel=4, sync_batch_norm=sync) for sync in (True, False))
    late = Links(1e30, 1e-3)
    norms = [node for network in together.networks.values() for node in network.graph.nodes
             if node.op.name == "batch_norm"]  # fmt: skip
    channels = sum(node.parameter_count for node in norms)  # each twice
    # gathered from three others, and summed round a ring of four, there and back
    waited = simulated(together, late).step_seconds - simulated(apart, late).step_seconds
    assert (
        waited > 0.8 * len(norms) * (3 + 6) * late.latency
    )  # what sums of gradients hide of it is not waited for twice
    assert moved(together)[0].sent - moved(apart)[0].sent == pytest.approx(
        4 * (3 * (channels + len(norms)) + 2 * 3 / 4 * channels)
    )


def test_state_in_parts_is_gathered_for_its_turn_and_its_gradients_go_round_once() -> None:
    """A part is sent to three others by whoever gathers, and three parts of a sum by whoever deals."""
    whole, parts = (over(document(), data_parallel=4, sync_batch_norm=False, shard=shard) for shard in (False, True))
    size = sum(4 * n.graph.parameter_count for n in whole.networks.values())
    assert moved(whole)[0].sent == pytest.approx(2 * 3 / 4 * size)
    assert moved(parts)[0].sent == 2 * 3 * sum(in_parts(parts))  # a block goes back at once
    end_to_end = over(document(levels=[{"name": "all", "window": 4}]), data_parallel=4, sync_batch_norm=False,
                      shard=True)  # fmt: skip
    backbone = in_parts(end_to_end)[:4]
    assert moved(end_to_end)[0].sent == 3 * (3 * sum(in_parts(end_to_end)) - backbone[3])  # the last turns once


def in_parts(plan: Plan) -> list[int]:
    """Bytes of a quarter of every network, whose last rows are padded."""
    return [Deal(4, 0).part_bytes(network.parameters.values()) for network in plan.networks.values()]


def test_parts_are_waited_for_round_the_ring() -> None:
    late = Links(1e30, 1e-3)
    whole, parts = (over(document(), data_parallel=4, sync_batch_norm=False, shard=shard) for shard in (False, True))
    networks = sum(1 for network in parts.networks.values() if network.parameters)
    assert simulated(parts, late).step_seconds > 2 * 3 * networks * late.latency
    assert simulated(whole, late).step_seconds < 2 * 3 * networks * late.latency, "other sums move while it computes"


def slow_second(plan: Plan) -> tuple[Rank, ...]:
    """The second stage takes ten times as long as the first one."""
    ranks = ranks_on(every_rank(plan, stages_of(plan)), H100)
    unit = 1.0 / len(ranks[0].seconds)
    return tuple(replace(rank, seconds=tuple(unit * (1 + 9 * i) for _ in rank.seconds)) for i, rank in enumerate(ranks))


@pytest.mark.parametrize("staleness", [1, 2, 4])
def test_a_decoupled_stage_is_so_many_steps_ahead_and_no_more(staleness: int) -> None:
    plan = over(document(**MAN), block_parallel=2, mode="decoupled", staleness=staleness)
    found = simulate(slow_second(plan), FAST, 12).went.ends
    ahead = [step - sum(end <= begun + 1e-9 for end in found[1]) for step, begun in enumerate((0.0, *found[0][:-1]))]
    assert max(ahead) == staleness + 1  # the step in which the other one is, and so many more


def test_decoupled_stages_wait_less_where_messages_take_long() -> None:
    late = Links(50e9, 1e-3)
    together, apart = (
        simulated(over(document(**MAN), block_parallel=4, mode=mode), late) for mode in ("synchronous", "decoupled")
    )
    assert apart.step_seconds < 0.8 * together.step_seconds


def test_weights_are_lent_first_and_then_from_so_many_steps_ago() -> None:
    plan = over(document(**MAN), block_parallel=2, mode="decoupled", staleness=2)
    spans = simulated(plan, FAST, 6).spans
    begun = [span.start for span in spans if span.rank == 1 and span.label.startswith("send_sources")]
    lent = [span.end for span in spans if span.moves and span.label.startswith("(1, 0, True")]
    assert len(begun) == 6
    assert len(lent) == 4  # of steps 0, 1, 2 and 3: read in steps 0, 3, 4 and 5


def test_a_slow_link_is_what_a_step_takes() -> None:
    plan = over(document(), block_parallel=2, mode="decoupled")
    slow = Links(1e5)
    most = max(v.sent for v in moved(plan))
    assert simulated(plan, slow).step_seconds == pytest.approx(most / slow.bandwidth, rel=0.05)


def test_sixty_four_ranks_are_simulated() -> None:
    data = document()["data"] | {"samples": 64, "batch_size": 64}
    plan = over(document(**MAN, data=data), block_parallel=4, data_parallel=16)
    found = simulated(plan)
    assert len(found.work) == 64
    assert found.step_seconds > max(found.work)
