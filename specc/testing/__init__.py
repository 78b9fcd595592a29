"""For people who extend specc: random valid specs to test an op, a head or a pass with (`specc.testing.strategies`)."""
