"""What the compiler accepts of `data:` can be opened; what has no effect is said to have none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specc
from runtime.run.trainer import open_data
from specc.checking import check_text

from . import small_data as small
from .documents import document, spec_of

OPTIONS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["digits", "mnist", "synthetic", "image_folder"]),
        "image_size": st.none() | st.integers(1, 12),
    },
    optional={
        "channels": st.integers(1, 4),
        "classes": st.sampled_from([2, 10]),
        "samples": st.sampled_from([1, 24, 1437, 60_000]),
        "resplit": st.booleans(),
        "augment": st.sampled_from(["none", "paper"]),
        "mean": st.lists(st.floats(0, 1), min_size=1, max_size=3),
        "std": st.lists(st.floats(0.1, 1), min_size=1, max_size=3),
    },
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    return small.put(path, small.mnist() | small.image_folder())


def spec(data: dict[str, Any]) -> dict[str, Any]:
    layers = [{"name": "mean", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 10}]
    layers[1]["out"] = 2 if data.get("classes") == 2 else 10
    return document(data=data, backbone={"layers": layers}, split={"blocks": 1})


@settings(max_examples=80)
@given(options=OPTIONS)
def test_what_is_valid_can_be_opened(root: Path, options: dict[str, Any]) -> None:
    whole = spec({key: value for key, value in options.items() if value is not None} | {"root": str(root)})
    if any(found.is_error for found in check_text(json.dumps(whole)).diagnostics):
        return
    splits = open_data(specc.compile(spec_of(whole)))
    for half in (splits.train, splits.test):
        ((images, _),) = half.batches([np.arange(min(3, len(half)))], None)
        assert images.shape[1:] == splits.info.shape
        assert len(splits.info.mean) == len(splits.info.std) == images.shape[1]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"workers": 2}, "SPC108"),
        ({"download": True}, "SPC108"),
        ({"mean": [125.3]}, "SPC104"),  # of pixels, not of images in [0, 1]
        ({"std": [1e-300]}, "SPC104"),  # infinite in single precision
    ],
)
def test_options_that_do_not_mean_what_they_say_are_spoken_of(data: dict[str, Any], code: str) -> None:
    report = check_text(json.dumps(spec({"dataset": "digits"} | data)))
    assert [found.code for found in report.diagnostics] == [code]
