"""A training run from its first file to its last: trainer, checkpoints, endings, the run directory."""
