"""Which losses can compare with what is known of a sample; those that are not here compare with the images."""

from __future__ import annotations

from ..tasks.datasets import TargetKind

COMPARES: dict[str, TargetKind] = {
    "cross_entropy": "class", "contrastive": "class", "similarity": "class", "goodness": "class",
    "goodness_pairs": "class", "bce_with_logits": "multi_label", "pixel_cross_entropy": "map",
}  # fmt: skip
