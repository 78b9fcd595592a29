"""Mistakes in the language: reading, merging, telling, writing."""

from __future__ import annotations

from .mutant import mutant

MUTANTS = [
    mutant("specc/plan/fingerprint.py", 'for key in ("root", "workers", "download", "on_bad_image"):', 'for key in ("root", "download", "on_bad_image"):',
           "who reads with more workers may not resume", "test_fingerprint.py::test_what_decides_no_number_leaves_the_fingerprint_alone[workers]"),
    mutant("specc/plan/fingerprint.py", 'del document["memory"], document["layout"]', 'del document["layout"]', "a better prediction is another plan",
           "test_fingerprint.py::test_a_better_prediction_leaves_the_fingerprint_alone"),
    mutant("specc/spec/dump.py", "by_alias=True, exclude_unset=True)", "by_alias=True)", "overrides are written with their defaults",
           "test_fine_points.py::test_the_override_of_a_unit_is_written_out_as_it_was_given"),
    mutant("specc/spec/sections/levels.py", "else end - self.window + 1", "else end - self.window", "windows are one block too wide",
           "test_compile.py::test_a_level_has_a_unit_for_every_window"),
    mutant("specc/spec/extend.py", "before != after", "before == after", "a kind of its own keeps the parent's keys",
           "test_extends.py::test_what_a_child_says_and_what_it_leaves"),
    mutant("specc/spec/extend.py", "map(_without_extends, reversed(line.trees))", "map(_without_extends, line.trees)", "the eldest has its way",
           "test_extends.py::test_a_line_of_parents_each_relative_to_its_own_file"),
    mutant("specc/diagnostics/values.py", "sorted(dict.fromkeys(diagnostics), key=_position)", "sorted(diagnostics, key=_position)",
           "a mistake is told twice", "test_diagnostics.py::test_sort_is_file_order_without_duplicates"),
    mutant("specc/diagnostics/values.py", "super().__init__(self.diagnostics, sources)", "super().__init__(self.diagnostics)",
           "an error does not survive pickling", "test_diagnostics.py::test_spec_error_reads_like_the_concise_format_and_survives_pickling"),
    mutant("specc/diagnostics/values.py", '"", name).casefold()', '"", name)', "capitals are another word", "test_diagnostics.py::test_suggest"),
    mutant("specc/language/schema.py", '(("iB", 1024), ("B", 1000))', '(("iB", 1000), ("B", 1024))', "MiB and MB are swapped",
           "test_single_rules.py::test_a_memory_size_in_bytes"),
    mutant("specc/plan/model.py", "if version != FORMAT_VERSION:", "if version is None:", "a plan of another version is read",
           "test_compile.py::test_a_plan_of_another_version_is_refused"),
    mutant("specc/system/devices.py", 'return first != "" and not first.startswith("-")', 'return first != ""', "hidden GPUs are seen",
           "test_device_rules.py::test_a_gpu_is_found_without_torch"),
    mutant("specc/commands/runs.py", "    if kind is not None and kind != loaded.device:", "    if kind is None and kind != loaded.device:",
           "a run keeps the plan for a device that was guessed",
           "test_device_rules.py::test_the_rule_is_that_of_the_device_that_torch_finds"),
]  # fmt: skip
