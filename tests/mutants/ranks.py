"""Mistakes in what several devices do, send and agree on."""

from __future__ import annotations

from .mutant import mutant

EXACT = "test_ranks_exact.py"
STAGES = f"{EXACT}::test_stages_are_one_device_to_the_bit[HPFF-2]"
COPIES = f"{EXACT}::test_copies_are_one_device[MAN + HPFF-group norm]"
SLICES = f"{EXACT}::test_stages_with_slices_links_clipping_and_averages_are_one_device_to_the_bit[branch]"
UNEVEN = f"{EXACT}::test_copies_with_slices_links_clipping_and_averages_are_one_device[2]"
MEMORY = "test_ranks_memory.py::test_what_each_rank_takes_is_traced_to_the_byte"
LATE = "test_decoupled.py::test_averages_follow_weights_that_are_so_many_steps_old"
SIXTY_FOUR = "test_sixty_four_ranks.py::test_what_the_runtime_asks_of_every_rank_is_what_is_simulated"
PACKAGES = "test_packages_on_ranks.py"
SOUND = "test_sound_ranks.py"
TRAINING = "test_ranks_training.py"
WITNESS = "test_witness.py"

MUTANTS = [
    # what a rank does
    mutant("specc/plan/layout.py", "[(self.copy + i) % self.copies]", "[self.copy]", "the first copy has the most of every slice",
           "test_what_moves.py::test_what_one_copy_has_less_of_a_slice_it_has_more_of_the_next"),
    mutant("specc/plan/layout.py", "bisect_right(self.stages, block) - 1", "bisect_right(self.stages, block - 1) - 1",
           "a stage begins a block late", STAGES),
    mutant("specc/plan/buckets.py", "total + size(each) > most", "size(each) > most", "a message grows without an end",
           "test_what_moves.py::test_a_message_is_of_as_many_gradients_as_there_is_room_for"),
    mutant("specc/plan/lifetimes.py", "retain=i < last[one.block, one.slice]", "retain=True",
           "the last backward keeps its graph", "test_verify.py::test_whatever_is_compiled_is_sound"),
    mutant("specc/plan/lifetimes.py", "if not given and value not in logits", "if not given", "the network's output is freed",
           "test_verify.py::test_whatever_is_compiled_is_sound"),
    mutant("specc/layout/ranks.py", "made = (i for i, each in enumerate(ordered) if f\"grads:{group}\" in each.writes and not isinstance(each, Step))",
           "made = (i for i, each in enumerate(ordered) if f\"grads:{group}\" in each.writes)", "sums begin when their steps could be made",
           "test_what_moves.py::test_a_sum_begins_with_the_last_of_its_gradients"),
    mutant("specc/layout/ranks.py", "for group in begun[:-1] if group in due", "for group in begun[:-1]",
           "copies step weights that others read", WITNESS + "::test_copies_do_not_step_weights_before_they_are_averaged"),
    mutant("specc/layout/ranks.py", "soonest = min(soonest, move.read)", "soonest = move.read",
           "values are waited for in another order than they were sent in",
           WITNESS + "::test_what_ranks_do_is_the_plan_and_each_part_of_it_holds_together"),
    mutant("specc/layout/ranks.py", "soonest[channel] = max(lent.made, soonest.get(channel, -1))", "soonest[channel] = lent.made",
           "weights are lent in another order than they are averaged in", "test_what_moves.py::test_weights_are_lent_in_the_order_in_which_they_are_averaged"),
    mutant("specc/layout/ranks.py", "if weights.issuperset(tensors):\n            return -1", "return -1",
           "statistics are lent before their forward", WITNESS + "::test_statistics_that_are_lent_before_a_forward_are_noticed"),
    mutant("specc/layout/owners.py", "layout.stage_of(unit.end))", "layout.stage_of(unit.start))", "heads are where windows begin",
           STAGES),
    mutant("specc/layout/stages.py", "max(best[-1][first], sums[end] - sums[first])", "best[-1][first] + sums[end] - sums[first]",
           "the sum of stages is made least", "test_stages.py"),
    mutant("specc/layout/stages.py", "unit.start < stage <= unit.end", "unit.start <= stage <= unit.end",
           "a window may not begin a stage", "test_layout_checks.py::test_decoupled_stages_between_windows"),
    # what packages add
    mutant("specc/layout/packages.py", "yield from readers if len(readers) == 1 else makers", "yield from makers",
           "a gradient is changed before all of it is there", PACKAGES),
    mutant("specc/layout/packages.py", "return each.reads if isinstance(each, Extension) else each.reads - each.writes",
           "return each.reads - each.writes", "what a package changes is not sent to it", PACKAGES),
    mutant("specc/compiler/checks/stages.py", "if len(parted) > 1:", "if False:", "what is in two stages is done in the first",
           PACKAGES + "::test_what_is_in_two_stages_is_said_where_it_is_asked_for"),
    mutant("specc/compiler/checks/stages.py", "if devices.data_parallel > 1 and gradients:", "if False:",
           "a package sees gradients of a part of the batch", PACKAGES + "::test_gradients_that_are_not_summed_yet_are_seen_by_nobody"),
    mutant("specc/compiler/checks/stages.py", "if wrong := witness(plan, every_rank(plan, stages)):", "if wrong := ():",
           "weights are lent and changed then", PACKAGES + "::test_weights_that_are_changed_after_they_were_lent_are_noticed"),
    # soundness
    mutant("specc/plan/sound.py", '"it is one device\'s part of a plan" if plan.layout is not None else next(', "next(",
           "a rank's plan is taken for a run's", SOUND + "::test_a_part_of_a_plan_is_no_runs_plan"),
    mutant("specc/plan/sound.py", "return plan.layout is not None and _is_to_somebody", "return plan.layout is None or _is_to_somebody",
           "one device may send", SOUND + "::test_nothing_moves_in_a_plan_for_one_device"),
    mutant("specc/plan/sound.py", "return {instruction.value} if instruction.adds else set()", "return set()",
           "a gradient may be added to nothing", SOUND),
    # the simulation
    mutant("specc/layout/simulate.py", "max(step - ahead, 0)", "step", "a simulated stage is lent this step's weights",
           SIXTY_FOUR + "[decoupled]"),
    mutant("specc/layout/simulate.py", "arrived = step - self.layout.ahead", "arrived = step", "a simulated stage waits for all it sent",
           SIXTY_FOUR + "[decoupled]"),
    mutant("specc/layout/volume.py", "rows = plan.layout.rows(plan.config.data.batch_size)[each.slice]",
           "rows = plan.layout.rows(plan.config.data.batch_size)[0]", "all slices are as large as the first", SIXTY_FOUR),
    mutant("specc/layout/volume.py", "return 2 * (copies - 1) / copies * self.bytes", "return (copies - 1) / copies * self.bytes", "a sum goes round once",
           SIXTY_FOUR + "[64 ranks, 16 stages of 4 copies]"),
    mutant("specc/timing/events.py", "self._free[port] = start + moving", "self._free[port] = start", "links have no end of room",
           "test_simulation.py::test_messages_wait_for_a_link_in_turn_but_not_for_a_latency"),
    # what moves
    mutant("runtime/engine/wire.py", "1 < self._borrowed[unit] <= self.layout.ahead + 1", "1 < self._borrowed[unit] <= self.layout.ahead",
           "weights are a step too young", LATE + "[1]"),
    mutant("runtime/engine/wire.py", "            self.receive(x, source, \"sources\")\n\n", "            pass\n\n", "nobody takes what is lent",
           LATE + "[1]"),
    mutant("runtime/engine/wire.py", "while len(self._earlier) > self.layout.ahead:", "while self._earlier:",
           "a decoupled stage keeps less on its way than it may", MEMORY + "[decoupled stages]"),
    mutant("runtime/engine/wire.py", "parameter.grad = message.as_strided(each.size(), each.stride(), first)", "pass",
           "sums stay in their messages", COPIES),
    mutant("runtime/engine/wire.py", "            begun.wait()\n\n\ndef _group", "            pass\n\n\ndef _group",
           "nobody waits for what was sent", SIXTY_FOUR + "[8 stages]"),
    mutant("runtime/engine/wire.py", "        for each in self._pending.pop(group, ()):\n            each.wait()", "        self._pending.pop(group, ())",
           "a step does not wait for its sums", SIXTY_FOUR + "[64 ranks, 16 stages of 4 copies]"),
    mutant("runtime/engine/wire.py", "last + 1 == x.numel() and 0 not in x.stride()", "True",
           "a gradient that lies in gaps is sent with what lies between", "test_what_moves.py::test_a_gradient_goes_without_what_lies_between_and_once"),
    mutant("runtime/engine/borrowed.py", "initialise(name, whole, op.initial(kind), seed)", "whole.zero_()",
           "the first average is of nothing", "test_what_moves.py::test_what_is_lent_first_is_what_the_other_stage_would_draw"),
    mutant("runtime/engine/groups.py", "timeout=patience(), ", "", "groups wait half an hour", "test_what_moves.py::test_groups_wait_as_long_as_the_default_one"),
    mutant("runtime/engine/modules/synchronised.py", "mean = (means * shares).sum(0)", "mean = means.mean(0)",
           "copies with fewer samples count as much", "test_synchronised_norms.py"),
    mutant("runtime/engine/modules/synchronised.py", ".add_(variances)", "", "a norm leaves out the spread within a copy",
           "test_synchronised_norms.py"),
    # what all decide together
    mutant("runtime/run/ranks.py", "if int(said[GO_ON]) == self.count:", "if True:", "steps that nobody looked at lose nothing",
           TRAINING + "::test_the_first_rank_shows_the_losses_of_all_units_some_steps_late"),
    mutant("runtime/run/ranks.py", "self._kept = STOP if self._heard() == STOP else self._kept", "self._heard()",
           "a wish to stop is forgotten when the run is saved", "test_what_moves.py::test_a_wish_to_stop_outlives_a_checkpoint"),
    mutant("runtime/run/ranks.py", "len(self._pending) > self._ahead", "self._pending", "every step waits for all ranks",
           "test_what_moves.py::test_all_ranks_hear_of_a_wish_after_the_same_step_and_stopping_is_not_forgotten"),
    mutant("runtime/run/endings.py", 'return what if run.team.alone else f"rank {run.team.rank}: {what}"', "return what",
           "a loss that is no number is nobody's", TRAINING + "::test_a_loss_that_is_no_number_on_one_rank_ends_all_and_names_it"),
    mutant("runtime/run/averages.py", "if not team.speaks:", "if False:", "copies that go on count what was there twice",
           "test_ranks_run.py::test_a_checkpoint_of_one_layout_goes_on_in_any_other"),
    mutant("runtime/run/averages.py", "part = len(step.labels) / samples", "part = 1.0", "every copy's accuracy is the whole's",
           "test_ranks_run.py::test_a_run_on_several_ranks_is_the_run_on_one[copies-1e-05]"),
    mutant("runtime/run/evaluation.py", "return samples if plan.layout is None else len(plan.layout.share(samples))", "return samples", "a copy looks at no sample",
           TRAINING + "::test_when_to_stop_and_what_is_best_is_decided_as_on_one_device[copies]"),
    mutant("runtime/run/ranks.py", "        if int(said[GO_ON]) == self.count:  # copies have parts of a loss, which add up\n            self._known",
           "        if False:\n            self._known", "the first rank shows nothing of others",
           TRAINING + "::test_the_first_rank_shows_the_losses_of_all_units_some_steps_late"),
    mutant("runtime/distributed/agreement.py", 'for name in ("root", "workers"):', 'for name in ("root", "workers", "batch_size"):',
           "ranks may have another batch", "test_what_moves.py::test_ranks_agree_on_all_that_decides_numbers_and_on_nothing_else"),
    mutant("runtime/distributed/world.py", "return RankLost(said if said.startswith(own) else f\"rank {rank} has ended: {said}\", rank)",
           "return RankLost(f\"rank {rank} has ended: {said}\", rank)", "a rank is named twice", "test_what_moves.py::test_what_another_rank_ended_of_is_told_with_its_number_once"),
    mutant("runtime/distributed/pulse.py", "found = next(stopped, next(busy, None))", "found = next(busy, next(stopped, None))",
           "who waits is blamed before who is gone", "test_what_moves.py::test_who_says_nothing_is_blamed_and_else_who_waits_for_nobody"),
]  # fmt: skip
