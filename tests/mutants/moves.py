"""Mistakes in what is gathered and dealt, lent to ranks that are told a plan, and moved to the host and back."""

from __future__ import annotations

from .mutant import mutant

PARTS = "test_shards.py"
PARTS_RUN = "test_shards_run.py"
PARTS_MEMORY = "test_memory_of_shards.py"
STREAMS = "test_offload_streams.py"
HOST_TIME = "test_offload_time.py"

MUTANTS = [
    # parts of networks
    mutant("specc/plan/shards.py",
           "ends = isinstance(block, Backward) and (block.block, block.slice) == (each.block, each.slice)", "ends = True",
           "every network stays gathered", f"{PARTS}::test_a_network_is_gathered_once_where_its_backward_is_next"),
    mutant("specc/plan/layout.py", "return own if own or not self.sharded else range(1)", "return own",
           "a copy without a sample lets the others wait",
           f"{PARTS_RUN}::test_a_copy_without_a_share_looks_at_a_sample_where_others_wait_for_its_parts"),
    mutant("specc/layout/timed.py", "dealt = [each.written * others", "dealt = [each.read * others",
           "as much is dealt as is read",
           "test_simulation.py::test_state_in_parts_is_gathered_for_its_turn_and_its_gradients_go_round_once"),
    mutant("specc/layout/replay.py", "self.shared.copies > 1 and not self.layout.sharded", "self.shared.copies > 1",
           "parts are asked for sums", f"{PARTS}::test_a_witness_knows_that_parts_are_sums"),
    mutant("runtime/engine/sharding.py", "reshard_after_forward=not stays", "reshard_after_forward=True",
           "what stays gathered is dealt", PARTS_MEMORY),
    mutant("runtime/run/saving.py", "sorted(own.items())", "own.items()",
           "copies gather their state in different orders", PARTS_RUN),
    # weights that are lent
    mutant("specc/layout/ranks.py", "tuple(sorted(set(tensors)))", "tuple(dict.fromkeys(tensors))",
           "who is told a plan reads what is lent in another order than it was sent in",
           "test_witness.py::test_what_ranks_do_is_the_plan_and_each_part_of_it_holds_together"),
    # the host
    mutant("runtime/engine/offload.py", "while pairs and len(self._leaving) >= self.LEAVING:", "while False:",
           "what leaves piles up", STREAMS),
    mutant("runtime/engine/session.py", "self.scaler.scale(torch.zeros(()))", "pass",
           "the host reads a scale that has not arrived", STREAMS),
    mutant("specc/timing/beside.py", 'gone = [("evict", device, other, step) for other in self._gone_before(i)]',
           "gone = list[Key]()", "nobody waits for what leaves", HOST_TIME),
]  # fmt: skip
