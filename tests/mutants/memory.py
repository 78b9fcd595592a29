"""Mistakes in the prediction of memory."""

from __future__ import annotations

from .mutant import mutant

RUN = "test_device_rules.py::test_a_run_on_a_cpu_takes_what_was_predicted"
STEP = "test_single_rules.py::test_a_recomputed_step_takes_what_was_predicted_to_the_byte"
JOIN = RUN + "[dropout and a join]"
ALL, TWO, AVERAGES = (f"{STEP}[{name}]" for name in ("one block", "two levels", "averages"))

MUTANTS = [
    mutant("specc/graph/ops/normalization.py", "again=2 * inputs[0][0])", "again=0)",
           "no copies of running statistics in a recomputation", ALL),
    mutant("specc/spec/sections/optimizer.py", " | dict.fromkeys(self.single, ())", "",
           "AdamW counts no steps", RUN + "[adamw, recompute]"),
    mutant("specc/spec/sections/optimizers.py", 'return ("momentum_buffer",) if self.momentum else ()', 'return ("momentum_buffer",)',
           "SGD always has momentum", "test_optimizer_memory.py"),
    mutant("specc/graph/ops/base.py", "if shape else 8", "if shape else 4", "counters are int32", ALL),
    mutant("specc/memory/prediction.py", 'return found | {"EMA copies": throughout}', "return found", "averages take nothing", AVERAGES),
    mutant("specc/memory/prediction.py", "for n in (task.input, task.target))", "for n in (task.input, task.input))",
           "labels take as much as images", ALL),
    mutant("specc/memory/machine.py", "            leaf.gradient = None\n", "            pass\n",
           "gradients outlive their step", TWO),
    mutant("specc/step/step.py", "retain=i.retain", "retain=False", "the first of two backwards lets go of the graph", TWO),
    mutant("specc/memory/prediction.py", 'traced=device == "cpu"', "traced=False",
           "a CPU has a GPU's rules", JOIN),
    mutant("specc/memory/prediction.py", "    if plan.memory.device == device:\n", "    if plan.memory.device != device:\n",
           "a plan for another device keeps its figures", "test_device_rules.py::test_a_resumed_run_is_predicted_for_its_new_device"),
    mutant("specc/memory/autograd.py", "if traced or self.references != ALONE or", "if self.references != ALONE or", "gradients meet in place on a CPU",
           "test_single_rules.py::test_gradients_that_meet_take_more_on_a_cpu"),
    mutant("specc/memory/autograd.py", "if traced or self.references != ALONE or", "if traced or", "a gradient that two hold is added to in place",
           "test_memory.py::test_a_gradient_is_added_to_in_place_where_nobody_else_holds_it"),
    mutant("specc/memory/operations.py", "elements, others = elements + saved.cpu_elements, 0",
           "elements, others = elements + saved.cpu_elements, others", "a mask is there twice", JOIN),
    mutant("specc/memory/autograd.py", "        if not self.retain:\n            function.saved.clear()\n", "        pass\n",
           "what was used for a backward stays", TWO),
    mutant("specc/memory/autograd.py", "            if not self.coming[to]:\n", "            if True:\n",
           "gradients of shared patches never meet", "test_micro_batches.py::test_the_prediction_is_the_trace"),
    mutant("specc/graph/node.py", "if norm or not name", "if not name", "the bias of a layer norm is not kept",
           "test_memory.py::test_sums_of_averages_and_casts_are_exact_in_every_instruction"),
    mutant("specc/memory/operations.py", "[self._copy(value, width) for value in reversed((*inputs, *parameters))][::-1]",
           "[self._copy(value, width) for value in (*inputs, *parameters)]", "casts go back in the other order",
           "test_memory_generated.py"),
    mutant("specc/learning/losses.py", "kept=(s.full,), backward=((2 * s.full, 1),))", "kept=(s.full,), backward=((s.full, 1),))",
           "cross-entropy's backward takes half", "test_loss_memory.py::test_a_loss_takes_what_it_says"),
    mutant("specc/learning/losses.py", "backward=((4 * s.full, 1),))", "backward=((2 * s.full, 1),))",
           "a square's backward is too cheap", "test_loss_memory.py::test_a_loss_takes_what_it_says"),
    mutant("specc/memory/storage.py", "        self.allocator.give(self.bytes, self.category)\n", "        pass\n",
           "nothing ever dies", ALL),
    mutant("specc/graph/ops/pooling.py", "bytes=8 * numel(output)", "bytes=4 * numel(output)", "indices are int32",
           "test_ops.py::test_autograd_keeps_what_the_op_says[max_pool]"),
    mutant("specc/graph/ops/opaque.py", "if f.low == low and", "if not f.low and", "a part takes the same in every precision",
           "test_memory_of_parts.py::test_a_part_is_predicted_to_the_byte[Soft-bf16]"),
    mutant("specc/graph/ops/opaque.py", "sum(a != b for a, b in others), ", "", "a frozen part takes what a trained one does",
           "test_memory_of_parts.py::test_a_part_is_predicted_to_the_byte[Gathered-frozen]"),
    mutant("specc/graph/ops/opaque.py", "return not (self.shares or self.viewed)", "return not self.shares",
           "what is overwritten through a view is copied", "test_memory_of_parts.py::test_a_part_is_predicted_to_the_byte[Signal-plainly]"),
    mutant("specc/memory/operation.py", "e._replace(to=None) if i in node.op.held_back else e", "e", "parts hold no gradient back",
           "test_memory_of_parts.py::test_a_part_is_predicted_to_the_byte[Held-plainly]"),
    mutant("specc/memory/measured.py", "                kept[storage - 1] = None\n", "                pass\n",
           "a part keeps all until its backward ends", "test_memory_of_parts.py::test_a_part_is_predicted_to_the_byte[WrittenOut-plainly]"),
    mutant("specc/memory/measured.py", "events[: footprint.until] if stops else events", "events",
           "a part that is computed again is computed to its end", "test_memory_of_parts.py::test_what_is_computed_again_ends_where_all_is_there_that_is_kept"),
]  # fmt: skip
