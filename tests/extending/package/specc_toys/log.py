"""A log: where the figures of every epoch are written besides."""

from specc.extending import Log

NOTEBOOK = Log("notebook", "a line an epoch in `logs/notebook` of the run directory", "specc_toys.log_written:Notebook")
