"""Small specs for tests: one to vary by hand, and a strategy for all combinations, valid by construction."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

import specc
from specc.plan import Plan
from specc.spec.load import Spec, loads

Document = dict[str, Any]

CUTS = ("stem", "stage1.0", "stage1.1", "stage2.0", "stage2.1", "stage3.0")  # not before the head, which no link copies

MAN: Document = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "branch"}]}
PATCHES: Document = {"grid": [2, 2], "weights": "separate", "fuse": "losses", "execution": "joint"}
HPFF: Document = {
    "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 8}},
    "levels": [
        {"name": "independent", "window": 1, "weight": 0.25},
        {
            "name": "cascade",
            "window": 2,
            "weight": 0.75,
            "auxiliary": {"reconstruction": {"weight": {"first": 2.0, "last": 0.5}, "patches": PATCHES}},
        },
    ],
}


def document(**parts: Any) -> Document:
    """A ResNet-14 with a handful of channels on 8×8 noise, in four blocks."""
    return {
        "specc": 1,
        "name": "tiny",
        "data": {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 24, "batch_size": 6},
        "backbone": {"family": "resnet_cifar", "depth": 14, "widths": [4, 4, 6, 8]},
        "split": {"after": ["stage1.0", "stage2.0", "stage3.0"]},
    } | parts


def spec_of(document: Document) -> Spec:
    return loads(json.dumps(document))


def compiled(**parts: Any) -> Plan:
    return specc.compile(spec_of(document(**parts)))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Any cuts × levels × skipped units × links × heads × patches; the simplest first, so that failures shrink well."""
    after = sorted(draw(st.sets(st.sampled_from(CUTS), max_size=4)), key=CUTS.index)
    blocks = len(after) + 1
    windows = draw(st.lists(st.integers(1, blocks), min_size=1, max_size=3))
    names = [f"level{i}" for i in range(len(windows))]
    links = draw(st.lists(link(names), max_size=2))
    return document(
        split={"after": after} if after else {"blocks": 1},
        auxiliary=draw(auxiliary()),
        levels=[draw(level(i, window, blocks)) for i, window in enumerate(windows)],
        ema_links=links,
        train={"zero_weight_heads": draw(st.sampled_from(["remove", "keep"]))},
    )


@st.composite
def auxiliary(draw: st.DrawFn) -> Document:
    heads: Document = {"classifier": {"layers": draw(st.sampled_from(["0c1f", "1c2f"])), "hidden": 4}}
    if draw(st.booleans()):
        patches = draw(st.none() | patch_grids())
        weight = draw(st.sampled_from([1.0, 0.0, {"first": 1.0, "last": 0.0}]))
        heads["reconstruction"] = {"channels": 3, "weight": weight, "patches": patches}
    return heads


def patch_grids() -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {
            "grid": st.sampled_from([[1, 2], [2, 2]]),
            "weights": st.sampled_from(["shared", "separate"]),
            "fuse": st.sampled_from(["losses", "outputs"]),
            "execution": st.sampled_from(["joint", "sequential"]),
        }
    )


@st.composite
def level(draw: st.DrawFn, number: int, window: int, blocks: int) -> Document:
    """The first level trains every block; the others may leave units out and drop a head."""
    found: Document = {"name": f"level{number}", "window": window, "weight": 1.0}
    if number:
        found["skip"] = sorted(draw(st.sets(st.integers(window - 1, blocks - 1))))
        found["weight"] = draw(st.sampled_from([0.5, 0.0]))
        if draw(st.booleans()):
            found["auxiliary"] = {"reconstruction": None}
    return found


def link(levels: list[str]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {"from": st.just("next"), "bias": st.sampled_from(["branch", "none"])},
        optional={"levels": st.sets(st.sampled_from(levels), min_size=1).map(sorted)},
    )
