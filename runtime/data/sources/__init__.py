"""One file a data set, named as in the spec; each has `load(config, info) -> Splits`."""
