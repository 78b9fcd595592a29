"""specc against GPU measurements that others published.

    python -m benchmarks.gpu_tables [--tables DIR] [--json FILE] [--fit]

The tables: `a100_40gb_timm_224.csv` (model, batch_size, device_mib; of itu-rad/GPUMemNet, 2602.17817) and
`rtx3090_24gb_timm_amp_channels_last.csv` (model, image_size, largest_batch_size, images_per_second; of timm's own
benchmark). No GPU is needed: models are planned, nothing is trained. What a constant was fitted on is never what it is
tested on: figures are of models left out of the fit, in ten folds. `--fit` writes the constants that are fitted on all
rows into specc/device/model.json and into the sheets of specc/profiles/sheets.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import specc.profiles
from specc.device.model import FILE, MODEL, Model
from specc.profiles import find

from . import batches, memory, rates
from .tables import taken, trained

TABLES = Path(__file__).parents[3] / "shared" / "gpu_tables"
SHEETS = Path(specc.profiles.__file__).parent / "sheets"
DIGITS = 2


def of_memory(folder: Path) -> tuple[dict[str, Any], Model]:
    """What a process takes, by the optimizer that the table does not name; the model is that of the likely one."""
    results, models = {}, {}
    for optimizer in memory.OPTIMIZERS:
        found = memory.cases(taken(folder), MODEL, optimizer)
        errors = memory.left_out(found)
        models[optimizer] = memory.refitted(found, errors, MODEL)
        results[optimizer] = memory.summary(found, errors, models[optimizer])
        print(
            f"A100, device memory, if the optimizer was {optimizer}:", shown(results[optimizer]), sep="\n", flush=True
        )
    return results, models[memory.LIKELY]


def of_rates(folder: Path, *, fit: bool) -> tuple[dict[str, Any], dict[str, float]]:
    """Rates and largest batches."""
    rows, sheet = trained(folder), find("rtx3090")
    found = rates.cases(rows)
    results = {"left_out": rates.summary(rows, rates.left_out(found, sheet))}
    results["shipped"] = rates.summary(rows, rates.shipped(rows, sheet))
    for name, result in results.items():
        print(f"RTX 3090, training rates, {name.replace('_', ' ')}:", shown(result), sep="\n", flush=True)
    results["batches"] = batches.summary(rows, [batches.largest(row, sheet) for row in rows])
    print("RTX 3090, largest batch:", shown(results["batches"]), sep="\n", flush=True)
    return results, dict(zip(rates.FITTED, rates.fitted(found, sheet), strict=True)) if fit else {}


def shown(result: dict[str, Any]) -> str:
    return "\n".join(f"  {name.replace('_', ' ')}: {_shown(value)}" for name, value in result.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "; ".join(value) if isinstance(value, list) else str(value)


def write_model(model: Model) -> None:
    FILE.write_text(json.dumps(asdict(model), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_sheets(constants: dict[str, float]) -> None:
    """The same constants into every sheet: there is no other table."""
    shares = {name: round(value, DIGITS) for name, value in constants.items() if name != "launch"}
    block = json.dumps(shares, indent=1, allow_nan=False).replace("\n", "\n ")
    launch = float(f"{constants['launch']:.1e}")
    for path in sorted(SHEETS.glob("*.json")):
        text = re.sub(r'"efficiency": \{[^}]*\}', f'"efficiency": {block}', path.read_text(encoding="utf-8"))
        path.write_text(re.sub(r'"launch_seconds": [0-9.e+-]+', f'"launch_seconds": {launch}', text), encoding="utf-8")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=TABLES, metavar="DIR", help="the folder of the two tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON as well")
    parser.add_argument("--fit", action="store_true", help="fit the constants on all rows, and write them into specc")
    arguments = parser.parse_args(words)
    if not arguments.tables.is_dir():
        print(f"error: no tables in {arguments.tables}: name their folder with --tables", file=sys.stderr)
        return 1
    device, model = of_memory(arguments.tables)
    speed, constants = of_rates(arguments.tables, fit=arguments.fit)
    if arguments.fit:
        write_model(model)
        write_sheets(constants)
        print("written:", asdict(model), constants)
    if arguments.json:
        document = {"format_version": 1, "a100": device, "rtx3090": speed}
        arguments.json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
