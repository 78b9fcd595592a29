"""Mutations of the code: single mistakes as small patches, each with the tests that have to notice it.

`tests/mutations.py` damages specs, to see what the compiler says; this damages the compiler and the runtime, to see
what the tests say. `make mutants` makes each mistake in a copy of the code and runs its tests; `tests/test_mutants.py`
sees to it that every patch still applies.
"""
