"""A plan on a device: modules, the torch machine, sessions; no files, no epochs."""
