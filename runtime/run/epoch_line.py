"""An epoch in one line."""

from __future__ import annotations

from typing import Any


def epoch_line(row: dict[str, Any], epochs: int, *, units: bool = True) -> str:
    """``epoch 3/24  lr 0.1  train 95.10%  test 96.40%  loss 0.1200  1.9 s``: of each half the metric that comes first.

    At its end what every unit reaches by itself, as parts of a hundred, from the first to the last.
    """
    whole = [name for name in row if "." not in name]  # and no unit's loss
    half = next(name.partition("_")[0] for name in whole if name.startswith(("val_", "test_")))
    train, found = (row[next(name for name in whole if name.startswith(f"{part}_"))] for part in ("train", half))
    own = [f"{value:.0%}"[:-1] for name, value in row.items() if name.startswith(f"{half}_") and "." in name]
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  lr {row['lr']:.4g}  train {train:.2%}  "
        f"{half} {found:.2%}  loss {row[f'{half}_loss']:.4f}  {row['seconds']:.1f} s"
        + (f"  units {' '.join(own)}" if units and len(own) > 1 else "")
    )
