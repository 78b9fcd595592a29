"""``python -m tests.screens [NAME...]``: store what commands show now; look at every difference."""

from __future__ import annotations

import os
import sys

os.environ["SPECC_PLUGINS"] = "none"

from tests.screens import SCREENS

for screen in SCREENS:
    if not sys.argv[1:] or screen.name in sys.argv[1:]:
        before = screen.path.read_text(encoding="utf-8") if screen.path.exists() else ""
        text = screen.text()
        screen.path.write_text(text, encoding="utf-8")
        print(f"{'as before' if text == before else 'wrote':10}{screen.path.name}")
