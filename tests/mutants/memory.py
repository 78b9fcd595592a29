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
    mutant("specc/spec/sections/optimizers.py", "8 * numbers(parameters) + 4 * len(parameters)", "8 * numbers(parameters)",
           "AdamW counts no steps", RUN + "[adamw, recompute]"),
    mutant("specc/spec/sections/optimizers.py", "4 * numbers(parameters) if self.momentum else 0", "4 * numbers(parameters)",
           "SGD always has momentum", "test_optimizer_memory.py"),
    mutant("specc/memory/simulation.py", "if shape else 8", "if shape else 4", "counters are int32", ALL),
    mutant("specc/memory/simulation.py", 'return found | {"EMA copies": size}', "return found", "averages take nothing", AVERAGES),
    mutant("specc/tasks/task.py", "self.input.bytes(data) + self.target.bytes(data)", "self.input.bytes(data)",
           "labels take nothing", ALL),
    mutant("specc/memory/simulation.py", "self.memory.drop(*self.grads.pop(i.group, {}).values())", "self.grads.pop(i.group, {})",
           "gradients outlive their step", TWO),
    mutant("specc/memory/simulation.py", "            retain=i.retain, input_grad=i.start < i.block,\n",
           "            retain=False, input_grad=i.start < i.block,\n", "the first of two backwards lets go of the tape", TWO),
    mutant("specc/memory/simulation.py", 'traced = step.device == "cpu"', "traced = False",
           "a CPU has a GPU's rules", JOIN),
    mutant("specc/memory/simulation.py", "    if plan.memory.device == device:\n", "    if plan.memory.device != device:\n",
           "a plan for another device keeps its figures", "test_device_rules.py::test_a_resumed_run_is_predicted_for_its_new_device"),
    mutant("specc/memory/tape.py", "if old.holders > 1 or costs.traced or old.numbers != count:",
           "if old.holders > 1 or old.numbers != count:", "gradients meet in place on a CPU",
           "test_single_rules.py::test_gradients_that_meet_take_more_on_a_cpu"),
    mutant("specc/memory/tape.py", "elements, others = elements + saved.cpu_elements, 0",
           "elements, others = elements + saved.cpu_elements, others", "a mask is there twice", JOIN),
    mutant("specc/memory/tape.py", "            memory.drop(wide)  # added to", "            pass  # added to",
           "a second gradient stays beside the first", TWO),
    mutant("specc/memory/head_memory.py", "        if target is not None:\n            self.memory.drop(target)\n",
           "", "an image that was restored stays", TWO),
    mutant("specc/memory/head_memory.py", "            self.memory.drop(*self.losses)\n            self.losses = [total]\n",
           "            self.losses = [total]\n", "the losses of patches stay beside their sum", TWO),
    mutant("specc/memory/loss_memory.py", "        first = self._new(self.full, GRADIENT)\n        gradient = self._new(self.full, GRADIENT)\n        self.memory.drop(first, *kept)\n",
           "        gradient = self._new(self.full, GRADIENT)\n        self.memory.drop(*kept)\n",
           "cross-entropy's backward takes half", "test_loss_memory.py::test_a_loss_takes_what_its_rule_says"),
    mutant("specc/memory/loss_memory.py", "self._pass(3 * self.full, GRADIENT)", "self._pass(self.full, GRADIENT)",
           "a square's backward is too cheap", "test_loss_memory.py::test_a_loss_takes_what_its_rule_says"),
    mutant("specc/memory/allocator.py", "if storage.holders == 0:", "if storage.holders <= 1:",
           "a storage dies while somebody holds it", ALL),
    mutant("specc/graph/ops/pooling.py", "bytes=8 * numel(output)", "bytes=4 * numel(output)", "indices are int32",
           "test_ops.py::test_autograd_keeps_what_the_op_says[max_pool]"),
    mutant("specc/graph/ops/opaque.py", "if each.low == low]", "if not each.low]", "a part takes the same in every precision",
           "test_torchvision.py::test_a_plan_survives_json_and_its_memory_is_that_of_the_trace[swin_t]"),
]  # fmt: skip
