"""A data set: what is known of it without reading it."""

from specc.extending import DatasetInfo

STRIPES = DatasetInfo(
    "stripes", shape=(1, 8, 8), classes=4, mean=(0.5,), std=(0.5,), train_size=32, test_size=16,
    torch="specc_toys.dataset_torch:load",
)  # fmt: skip
