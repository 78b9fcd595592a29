"""What the files of a run directory are called, and how long one may be."""

from __future__ import annotations

SPEC, RESOLVED, PLAN, ENVIRONMENT = "spec.yaml", "spec.resolved.yaml", "plan.json", "env.json"
SUMMARY, METRICS, LOCK, CHECKPOINTS = "summary.json", "metrics.csv", "run.lock", "checkpoints"
MOST = 1 << 28  # bytes of a text in a run directory: hundreds of times what any run writes
