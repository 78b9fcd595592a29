"""``python -m specc.docs [--check]``."""

from __future__ import annotations

import sys

from specc.docs import ROOT, stale, write

folder = ROOT / "docs"
if "--check" in sys.argv[1:]:
    old = stale(folder)
    print("\n".join(f"not current: docs/{name} (run `python -m specc.docs`)" for name in old) or "docs are current")
    sys.exit(bool(old))
print("\n".join(f"wrote docs/{name}" for name in write(folder)) or "docs are current")
