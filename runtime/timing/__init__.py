"""How long ops take on a device: each by itself, on random numbers. Nothing of plans, and nothing is trained."""
