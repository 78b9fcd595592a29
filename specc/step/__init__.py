"""The training step, written once for every machine: no torch, no bytes; what is computed and who holds it."""
