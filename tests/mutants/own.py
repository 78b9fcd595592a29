"""Mistakes in networks, data and code of the user's own: how they are traced, known again, estimated, and what heads read."""

from __future__ import annotations

from .mutant import mutant

TOKENS = "test_tokens_of_traced_networks.py"
SIGNALS = "test_signals_and_volumes.py"
ESTIMATE = "test_estimate.py"
CODE = "test_own_code.py"
LAYERS = "test_layers_of_modules.py"
WEIGHTS = "test_weights.py"
HANDED = "test_data_handed_over.py"

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
           "what imports by a name finds nothing", f"{CODE}::test_files_of_the_same_names_in_two_folders_are_each_their_own"),
    mutant("runtime/trace/records.py", "type(module).__name__ in HELD or ", "", "a loop's modules are one layer",
           "test_foreign.py::test_blocks_of_an_own_network_learn_as_in_a_loop_with_detach_at_the_cut"),
    # what heads read
    mutant("runtime/trace/origins.py", "skip = int(y.isnan().cumprod(0).sum())", "skip = 0", "a class token is a place",
           f"{TOKENS}::test_where_tokens_stand_after_attention"),
    mutant("runtime/trace/following.py", "return tuple(asked or averaged)", "return tuple(averaged or asked)",
           "a query stands where what it asks for stands",
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
    # the door: a module is traced, known again, and trained as it stands
    mutant("runtime/trace/given.py", "if found != source:", "if found.kind != source.kind:", "any module is the one that was traced",
           "test_given.py::test_a_module_that_does_something_else_is_refused"),
    mutant("runtime/trace/recorder.py", 'self.recording.trail.append(("", self.recording.graph.output(self._read(main(result)))))',
           "self.recording.graph.output(self._read(main(result)))", "an answer may be another one in evaluation",
           f"{LAYERS}::test_a_network_that_answers_otherwise_in_evaluation_is_refused"),
    mutant("runtime/trace/recorder.py", 'self.recording.trail.append((self.scope, f"calls {path}"))', "pass",
           "what is called in training only decides",
           f"{LAYERS}::test_what_is_called_in_training_only_is_taken_apart_where_it_is_always_called"),
    mutant("runtime/trace/recorder.py", '        self.recording.trail.append((path, "is done"))\n', "",
           "whoever calls what is done in evaluation only decides",
           f"{LAYERS}::test_what_is_something_else_in_training_is_one_node_and_whoever_calls_it_is_taken_apart"),
    mutant("runtime/trace/lowering.py", "(each.region.learns and reader.region.learns)", "False", "all that is opaque is one",
           f"{LAYERS}::test_whoever_calls_something_in_training_only_is_one_node"),
    mutant("runtime/trace/channels.py", "seen = {name: {True} for name in _seen_as_tokens(calls, maps)}",
           "seen: dict[str, set[bool]] = {}", "maps of tokens have their channels first",
           f"{LAYERS}::test_maps_that_tokens_are_seen_as_have_their_channels_last"),
    mutant("runtime/wrapping.py", "if not update and self.session.scaler.is_enabled():", "if False:",
           "scaled gradients are handed over", "test_wrapping.py::test_gradients_that_fp16_scales_are_not_left_to_anybody"),
    mutant("runtime/neighbours.py", "        sys.modules.setdefault(name, module)", "        pass", "neighbours are lost",
           f"{CODE}::test_files_of_the_same_names_in_two_folders_are_each_their_own"),
    mutant("runtime/own_code.py", "        importing(made, path)", "        pass", "a forward imports nothing",
           f"{CODE}::test_a_function_imports_what_lies_beside_its_own_file_whoever_calls_it"),
    mutant("runtime/neighbours.py", "        importing(module, os.path.join(self.folder, \"any.py\"))", "        pass",
           "what a neighbour calls imports nothing",
           f"{CODE}::test_a_function_imports_what_lies_beside_its_own_file_whoever_calls_it"),
    mutant("runtime/own_code.py", "            forget(path)", "            pass", "neighbours stay what they were",
           f"{CODE}::test_what_lies_beside_a_file_that_has_changed_is_imported_anew"),
    # weights
    mutant("runtime/engine/weights.py", "(digest := digest_of(asked.file)) != asked.sha256", "not (digest := asked.file)",
           "any file is the one that was planned", f"{WEIGHTS}::test_a_backbone_begins_with_all_files_of_an_index"),
    mutant("specc/weights/shards.py", "[own, *map(sha256_of, shards)]", "[own]", "files of an index may change",
           f"{WEIGHTS}::test_a_backbone_begins_with_all_files_of_an_index"),
    mutant("specc/weights/matching.py", 'STATISTICS = ("running_mean", "running_var")', "STATISTICS = ()",
           "statistics may be missing", f"{WEIGHTS}::test_running_statistics_are_needed_and_counters_are_not"),
    mutant("specc/weights/matching.py", " or (found.whole and tensor.needed)", "", "integers are weights",
           f"{WEIGHTS}::test_integers_are_no_weights"),
    # data of one's own
    mutant("runtime/data/own/sets.py", '3: ("train", "validation", "test")', '3: ("train", "test", "validation")',
           "the second of three data sets tests", f"{HANDED}::test_three_data_sets_are_to_train_to_validate_and_to_test"),
    mutant("runtime/data/own/split.py", "    np.random.seed(seed % (1 << 32))", "    pass", "numpy draws by chance",
           f"{HANDED}::test_draws_follow_from_the_seed_and_leave_all_others_draws_alone"),
    mutant("runtime/data/own/split.py", "        random.setstate(before[2])", "        pass", "a sample draws for others",
           f"{HANDED}::test_draws_follow_from_the_seed_and_leave_all_others_draws_alone"),
    mutant("runtime/data/own/split.py", "if has and not bool(image.isfinite().all()):", "if False:", "infinity is an image",
           f"{HANDED}::test_numbers_that_are_infinite_end_the_run"),
    # cuts
    mutant("specc/compiler/partition.py", "gives = {end, *_crossing(graph, networks[ends[end].name].graph)}", "gives = {end}",
           "heads read the main tensor alone", "test_read.py"),
    mutant("specc/compiler/partition.py", "        elif position < last:", "        elif False:", "cuts may be out of order",
           "test_compile.py::test_what_cannot_be_compiled_is_a_diagnostic"),
    mutant("specc/compiler/cuts.py", "if count <= len(cuts) + 1)", "if count <= len(cuts))", "good places are too few",
           "test_cuts_people_mean.py"),
]  # fmt: skip
