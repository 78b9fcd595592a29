"""``python -m specc.docs [--check] [--examples [PAGE...]]``."""

from __future__ import annotations

import os
import sys

from specc.docs import PAGES, PARTLY, ROOT, is_checkout, stale, write
from specc.docs.examples.pages import pages, refresh
from specc.system.plugins import OFF, offers

if offers():  # the pages are the same whatever is installed: anew, without it
    os.execve(sys.executable, [sys.executable, "-m", "specc.docs", *sys.argv[1:]], {**os.environ, OFF: "none"})
folder = ROOT / "docs"
if not is_checkout():
    print(
        f"error: the documentation is written in a checkout of specc's repository, and {ROOT} is none", file=sys.stderr
    )
    print("  = help: an installed specc says the same: `specc schema`, `specc explain`", file=sys.stderr)
    sys.exit(2)
if "--check" in sys.argv[1:]:
    old = stale(folder)
    print("\n".join(f"not current: docs/{name} (run `python -m specc.docs`)" for name in old) or "docs are current")
    sys.exit(bool(old))
print("\n".join(f"wrote docs/{name}" for name in write(folder)) or "docs are current")
if "--examples" in sys.argv[1:]:  # follow the pages written by hand, and show what the commands say now
    named = sys.argv[sys.argv.index("--examples") + 1 :]
    generated = [name for name in PAGES if name not in PARTLY]
    for line in refresh(ROOT, [page for page in pages(ROOT, generated) if not named or page.name in named]):
        print(line, flush=True)
