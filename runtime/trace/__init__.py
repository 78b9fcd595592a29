"""From somebody else's network, as torch runs it, to a backbone of ops and layers; not what ops are."""
