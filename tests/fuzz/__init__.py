"""Thousands of damaged specs and overrides: no exception but `SpecError`, and an answer in a few seconds.

`python -m tests.fuzz 50000` (or `make fuzz`) splits the cases over processes; a case is a function of the seed and its
number alone. A failure is made smaller and printed as a document and overrides, ready for a test.
"""
