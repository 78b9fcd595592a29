"""A training run from its first file to its last: trainer, checkpoints, endings, its folder; not what a step does."""
