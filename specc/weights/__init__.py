"""Files of weights that a backbone begins with: where they are, what is in them, what of it fits. No torch."""
