"""The tests that need a GPU, which are skipped everywhere else: `pytest -m cuda`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from .work import Work

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "test_on_a_gpu.py"
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
STAND_IN = "dropout"
PLAIN = ("-p", "no:cacheprovider", "-W", "default", "-m", "cuda", "-q")


def run(work: Work) -> None:
    """A row a test; plugins that somebody installed have no say."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        some = ["-k", STAND_IN] if work.small else []
        command = [sys.executable, "-m", "pytest", *PLAIN, *some, f"--junit-xml={report}", str(TESTS)]
        env = os.environ | ALONE | {"SPECC_TEST_DEVICE": str(work.device)}
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=False)
        cases = [*ElementTree.parse(report).iter("testcase")] if report.is_file() else []
    if not cases:
        raise SystemExit(done.stdout)
    for case in cases:
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped") is not None
        error = None if wrong is None else (wrong.get("message") or wrong.text or "failed")[:500]
        result = "skipped" if skipped else "failed" if error else "passed"
        work.row(case.get("name", ""), result, result=result, error=error, seconds=float(case.get("time", 0)))
