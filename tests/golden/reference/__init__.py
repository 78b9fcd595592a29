"""A second implementation of every traced method, in plain torch, from METHODS.md and the traces' README alone.

It shares no line with `specc` or `runtime`: no plan, no early step, no shared forward; the loops are written down as
the released code runs them. First it has to reproduce the traces of the authors' own code; then it writes traces of
configurations that nobody traced, and the runtime has to pass those as well.

    python -m tests.golden.reference DIR        # write them; then: pytest tests/golden --golden-dir DIR
"""
