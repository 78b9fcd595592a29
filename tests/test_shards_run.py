"""A training whose copies keep a part of the network each: rows, checkpoints and end are those of one device."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runtime.run.rundir import RunDir
from specc.layout import laid_out
from specc.memory.prediction import as_traced
from specc.plan import Layout

from .documents import Document
from .ranks import in_ranks
from .test_ranks_run import DATA, PLAIN, asked_to_stop, assert_near, finished, plan_of, trained

# The last of every evaluation is a batch of one sample, of which one of two copies has none. The best checkpoint is not
# the last one: the learning rate is too high for that.
PARTS: Document = {
    "data": DATA | {"samples": 26, "batch_size": 5, "validation": 0.25},
    "split": {"after": ["r", "s"]}, "ema_links": [{"from": "next", "momentum": 0.9, "bias": "branch"}],
    "train": PLAIN["train"] | {"optimizer": {"name": "adamw", "lr": 0.05},
                               "checkpoint": {"keep_best": {"metric": "accuracy"}}, "epochs": 3},
}  # fmt: skip


def test_a_sharded_run_is_the_run_on_one_and_goes_on_in_any_layout(tmp_path: Path) -> None:
    """Some steps of copies of stages, some of one device, the rest of two copies."""
    one, folder = tmp_path / "one", tmp_path / "run"
    finished(one, "one", **PARTS)
    found = in_ranks(asked_to_stop, 4, folder, "shards of stages", False, signal.SIGTERM, PARTS)
    assert len(set(found)) == 1
    assert "checkpoint saved" in found[0][0]
    asked_to_stop(0, folder, "one", True, signal.SIGINT, PARTS)
    summary, _ = in_ranks(trained, 2, folder, "shards", PARTS, True)
    assert_near(folder, one, 1e-5)
    wanted = RunDir(one).summary()
    assert summary["test"] == pytest.approx(wanted["test"], abs=1e-5)
    assert summary["best"]["epoch"] == wanted["best"]["epoch"] < 3, "it was put in place of the last one, and back"
    assert summary["best"]["test"] == pytest.approx(wanted["best"]["test"], abs=1e-5)
    assert summary["devices"]["shard"]
    plan = plan_of("shards", **PARTS)
    for rank, each in enumerate(summary["devices"]["ranks"]):
        predicted = as_traced(
            laid_out(plan, rank)
        ).peak_bytes  # a thread of gloo's may hold a message for a moment more
        assert predicted <= each["measured_peak_bytes"] <= 1.1 * predicted


def test_a_copy_without_a_share_looks_at_a_sample_where_others_wait_for_its_parts() -> None:
    first, second = (Layout(2, (0,), rank, "0" * 64, sharded=True) for rank in range(2))
    assert (list(first.shown(5)), list(second.shown(5))) == ([0, 1], [2, 3, 4])
    assert (list(first.share(1)), list(first.shown(1)), list(second.shown(1))) == ([], [0], [0])
    assert not list(Layout(2, (0,), 0, "0" * 64).shown(1)), "where nobody waits it looks at none"
