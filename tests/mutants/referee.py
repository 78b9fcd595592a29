"""Mistakes in what a device takes, in how long a step takes, and in who is said to be the fastest."""

from __future__ import annotations

from .mutant import mutant

CACHING, DEVICE, TIMES = "test_caching.py", "test_device.py", "test_calibrated_times.py"
RULES, LEAST = "test_referee_rules.py", "test_least_recomputation.py"

MUTANTS = [
    mutant("specc/memory/caching.py", "    if block <= SMALL:\n", "    if block < SMALL:\n",
           "a block of 1 MiB is a large one", CACHING),
    mutant("specc/memory/caching.py", "if left < SMALLEST if block.small else left <= SMALL:", "if left < SMALLEST:",
           "large blocks are split for any rest", CACHING),
    mutant("specc/memory/caching.py", "if block.before is not None and block.before.free:", "if False:",
           "free blocks grow upwards only", CACHING),
    mutant("specc/memory/caching.py", "in pool.blocks.values() if block.whole]", "in pool.blocks.values()]",
           "parts of segments are given back", CACHING),
    mutant("specc/device/estimate.py", "plain + measured.margin if measured", "plain if measured",
           "a measured margin is forgotten", DEVICE),
    mutant("specc/device/answer.py", "limit = (profile.memory_bytes or 0) - context", "limit = (profile.memory_bytes or 0)",
           "the context takes nothing of the device", DEVICE),
    mutant("specc/profiles/finding.py", "(kind == \"cpu\" or profile.device == device)", "True",
           "the margin of another GPU is taken", "test_calibration.py"),
    mutant("specc/profiles/finding.py", "_public(profile.versions.get(\"torch\", \"\")) == installed", "True",
           "a margin of another torch is taken", "test_calibration.py"),
    mutant("specc/profiles/margin.py", "max(0, *(s.excess - math.ceil(slope * s.predicted_bytes) for s in samples))",
           "max(0, *(s.excess - math.ceil(slope * s.predicted_bytes) for s in samples[:1]))",
           "a margin is too little on some of its samples", "test_calibration.py"),
    mutant("specc/timing/roofline.py", "max(work.flops / rate, work.moved / moving)", "work.flops / rate + work.moved / moving",
           "arithmetic and memory do not overlap", RULES),
    mutant("specc/timing/roofline.py", "moving) + work.calls * profile.launch_seconds", "moving) + profile.launch_seconds",
           "many calls take the overhead of one", RULES),
    mutant("specc/timing/roofline.py", "if channels & (channels - 1) == 0 else", "if channels else",
           "groups of any width are fast", RULES),
    mutant("specc/timing/measured.py", "(1 if is_together(work) else work.calls)", "1",
           "many calls take as long as one", RULES),
    mutant("specc/timing/step.py", "[beside.factor * seconds for seconds in", "[seconds for seconds in",
           "steps are as fast as their works alone", TIMES),
    mutant("specc/fit/crossing.py", "ours < theirs * (1 - ALIKE)", "ours < theirs",
           "local learning wins by a hair", RULES),
    mutant("specc/fit/crossing.py", "key=lambda run: (known.budget in run, len(run))", "key=len",
           "the range leaves out the budget that was compiled", RULES),
    mutant("specc/fit/crossing.py", "if again is None or again.peak > budget:", "if again is None:",
           "what does not fit has a cost", RULES),
    mutant("specc/fit/verdict.py", "local.ratio < exact.ratio * (1 - ALIKE)):", "local.ratio < exact.ratio):",
           "a tie is local learning's", RULES),
    mutant("specc/fit/labels.py", "+ table[first, last] <= self.limit\n", "+ table[first, last] <= 2 * self.limit\n",
           "what is chosen does not fit", LEAST),
    mutant("specc/fit/labels.py", "np.maximum(cells[:, at], there + table[first, last])", "there + table[first, last]",
           "the highest point of a pass is its last one", LEAST),
    mutant("specc/report/clock.py", "self.measured * found.found.flops / step_flops(self.lab.plan)", "self.measured",
           "everything takes as long as the run", "test_report_rivals.py"),
]  # fmt: skip
