"""From the calls of somebody else's model, as torch traced them, to a backbone of ops and layers; not what ops are."""
