"""The RTX 3090's table: how fast each model was trained, against the time model with the data sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import spearmanr

from specc.profiles import Profile
from specc.timing import step_time
from specc.timing.roofline import groups_of, rate_of
from specc.timing.workbook import works

from .tables import AMP, Trained, folds, plan, quantile

FITTED = ("matmul", "conv", "grouped", "odd groups", "depthwise", "bandwidth", "launch")
START = (0.6, 0.7, 0.4, 0.06, 0.3, 0.8, 5e-6)
PULL = 0.02  # towards the start, where the table says nothing


@dataclass(frozen=True)
class Case:
    """A row with the work of its step: of every kind of op FLOPs and bytes of each call, and how many calls."""

    row: Trained
    work: dict[str, tuple[np.ndarray, np.ndarray, int]]

    def rate(self, constants: Sequence[float], sheet: Profile) -> float:
        """Images a second."""
        shares = dict(zip(FITTED, constants, strict=True))
        seconds = 0.0
        for kind, (flops, moved, calls) in self.work.items():
            peak = sheet.rates["matmul" if kind == "matmul" else "other" if kind == "other" else "conv"]["fp16"]
            speed = peak * shares.get("conv" if kind == "depthwise" else kind, 1.0)
            moving = sheet.bandwidth * shares["depthwise" if kind == "depthwise" else "bandwidth"]
            seconds += np.maximum(flops / speed, moved / moving).sum() + calls * shares["launch"]
        return self.row.batch / seconds


def cases(rows: Sequence[Trained]) -> list[Case]:
    """Every row with its work."""
    return [Case(row, _work(row)) for row in rows]


def _work(row: Trained) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    found: dict[str, tuple[list[int], list[int], list[int]]] = defaultdict(lambda: ([], [], []))
    for instruction in works(plan(row.twin, row.size, row.batch, **AMP), "cuda"):
        for work in instruction:
            own = found[groups_of(work) or rate_of(work)]
            for column, value in zip(own, (work.flops, work.moved, work.calls), strict=True):
                column.append(value)
    return {k: (np.array(f, float), np.array(m, float), sum(c)) for k, (f, m, c) in found.items()}


def fitted(found: Sequence[Case], sheet: Profile) -> tuple[float, ...]:
    """The constants of the least mean log error."""
    start = np.log(START)

    def loss(x: np.ndarray) -> float:
        error = sum(abs(log(case.rate(np.exp(x), sheet) / case.row.rate)) for case in found) / len(found)
        return error + PULL * float(np.mean((x - start) ** 2))

    best = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 1200, "xatol": 1e-3, "fatol": 1e-5})
    return tuple(exp(x) for x in best.x)


def left_out(found: Sequence[Case], sheet: Profile) -> list[float]:
    """The rate of every case by constants that were fitted on other models."""
    rates = [0.0] * len(found)
    for fit_on, test_on in folds([case.row.twin for case in found]):
        constants = fitted([found[i] for i in fit_on], sheet)
        for i in test_on:
            rates[i] = found[i].rate(constants, sheet)
    return rates


def shipped(rows: Sequence[Trained], sheet: Profile) -> list[float]:
    """The rate of every row as `specc plan --device-profile` says it."""
    return [step_time(plan(row.twin, row.size, row.batch, **AMP), sheet).images_per_second for row in rows]


def summary(rows: Sequence[Trained], rates: Sequence[float]) -> dict[str, Any]:
    """The figures of merit."""
    measured = [row.rate for row in rows]
    errors = [abs(rate / true - 1) for rate, true in zip(rates, measured, strict=True)]
    worst = sorted(zip(errors, rows, rates, strict=True), key=lambda each: -each[0])[:5]
    return {
        "models": len(rows), "rank_correlation": float(spearmanr(rates, measured)[0]),
        "median_error": quantile(errors, 0.5), "ninetieth_percentile": quantile(errors, 0.9),
        "worst_rows": [f"{row.model}: {rate:.0f} for {row.rate:.0f}" for _, row, rate in worst],
    }  # fmt: skip
