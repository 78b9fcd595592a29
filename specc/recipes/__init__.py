"""The shipped specs as somebody finds, reads and adapts them; no spec is written by hand here but the two templates."""
