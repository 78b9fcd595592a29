"""``python -m specc``."""

from .cli import main

main()
