"""What can be learnt, and from which data: shapes, targets, losses and metrics as facts; no network and no torch."""
