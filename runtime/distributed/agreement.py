"""What all ranks of a run have to have in common, told before anything is built."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch

from specc import __version__
from specc.plan import Plan

# A difference in the first makes one in those after it, so the first is the cause.
WORDS = {
    "specc": "specc {}", "torch": "torch {}", "device": "a device of kind {}", "spec": "another spec",
    "plan": "another plan of the same spec", "asked": "other options on its command line",
}  # fmt: skip
HELP = {
    "specc": "install one version on all machines", "torch": "install one version on all machines",
    "device": "give all the same `--device`", "spec": "give all of them the same file and the same KEY=VALUE",
    "plan": "the same packages have to be installed on all machines", "asked": "give all the same words",
}  # fmt: skip
Facts = Mapping[str, str]


def facts(plan: Plan | None, device: str, asked: str = "") -> Facts:
    """What this rank has; where its data lie and how they are read is its own affair. A run that goes on has a plan."""
    found = {"specc": __version__, "torch": str(torch.__version__), "device": torch.device(device).type, "asked": asked}
    if plan is None:
        return found
    config = plan.config.model_dump(mode="json", by_alias=True)
    for name in ("root", "workers"):
        config["data"].pop(name, None)
    spec = json.dumps(config, sort_keys=True, allow_nan=False)
    return found | {"spec": hashlib.sha256(spec.encode()).hexdigest(), "plan": plan.fingerprint}


def difference(rank: int, own: Facts, first: Facts) -> tuple[str, str] | None:
    """What a rank has that rank 0 has not, and what to do about it; None where they agree.

    >>> difference(1, {"specc": "1"}, {"specc": "2"})[0]
    'rank 1 has specc 1, and rank 0 has specc 2'
    >>> difference(1, {"spec": "a"}, {"spec": "b"})[0]
    'rank 1 has another spec than rank 0'
    """
    for name, words in WORDS.items():
        if own.get(name) != first.get(name):
            if "{}" not in words:
                return f"rank {rank} has {words} than rank 0", HELP[name]
            one, other = (words.format(each.get(name)) for each in (own, first))
            return f"rank {rank} has {one}, and rank 0 has {other}", HELP[name]
    return None
