"""Mistakes in networks, data and code of the user's own: how they are traced, known again, estimated, and what heads read."""

from __future__ import annotations

from .mutant import mutant

TOKENS = "test_tokens_of_traced_networks.py"
SIGNALS = "test_signals_and_volumes.py"
ESTIMATE = "test_estimate.py"
CODE = "test_own_code.py"

MUTANTS = [
    # what a module is
    mutant("runtime/trace/given.py", "for tensor in laboratory.constants.values():", "for tensor in ():",
           "constants are nothing of a module", "test_given.py::test_a_constant_of_the_module_is_what_it_does"),
    mutant("specc/system/own_code.py", "            waiting += _imported(", "            _imported(",
           "what is imported may change", f"{CODE}::test_a_change_counts_in_what_is_imported_alone"),
    mutant("specc/system/own_code.py", "above[: len(above) - node.level + 1] if node.level else ()", "()",
           "packages import from the folder alone", f"{CODE}::test_a_change_counts_in_what_is_imported_alone"),
    mutant("specc/plan/fingerprint.py", "path: os.path.basename(path)", "path: path", "a fingerprint knows a folder",
           f"{CODE}::test_plans_of_the_same_code_are_alike_wherever_it_lies"),
    mutant("runtime/own_code.py", "        with beside(path):\n            return call()", "        return call()",
           "a function finds nothing beside it", f"{CODE}::test_a_function_may_import_what_lies_beside_it_when_it_is_called"),
    mutant("runtime/trace/records.py", "type(module).__name__ in HELD or ", "", "a loop's modules are one layer",
           "test_foreign.py::test_blocks_of_an_own_network_learn_as_in_a_loop_with_detach_at_the_cut"),
    # what heads read
    mutant("specc/graph/layout.py", "replace(first, skip=first.skip + part.ahead)", "first", "a class token is a place",
           f"{TOKENS}::test_where_tokens_stand_after_attention"),
    mutant("runtime/trace/positions.py", "return found if keeps else NOWHERE", "return found", "mixed tokens keep places",
           f"{TOKENS}::test_where_tokens_stand_after_attention"),
    mutant("runtime/engine/losses.py", "if x.dim() > 3 and", "if x.dim() == 4 and", "volumes are no maps",
           "test_heads_and_shapes.py::test_a_head_runs_as_predicted_or_says_why_not"),
    mutant("runtime/trace/vocabulary.py", "return ops.Concat(0 if axis == 1 else 2)", "return ops.Concat(2)",
           "channels are put together along another axis", f"{SIGNALS}::test_heads_on_them_take_what_is_predicted"),
    mutant("specc/learning/heads/similarity.py", "b.add(SelectToken())", "b.add(GlobalAvgPool())",
           "the class token is the mean", f"{TOKENS}::test_similarity_compares_what_it_says_of_tokens"),
    # estimates
    mutant("specc/estimating/estimate.py", "self.peak_bytes <= self.budget]", "self.peak_bytes < self.budget]",
           "what fits to the byte does not", ESTIMATE),
    mutant("specc/estimating/estimate.py", "return all(held) if held else None", "return any(held) if held else None",
           "a device is not held to", ESTIMATE),
    mutant("specc/commands/estimating.py", "if found.fits is False:", "if not found.fits:", "no budget is too small", ESTIMATE),
]  # fmt: skip
