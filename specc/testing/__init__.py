"""Random valid specs for tests of an op, a head or a pass (`specc.testing.strategies`); nothing that a run needs."""
