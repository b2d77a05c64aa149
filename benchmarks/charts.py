"""`charts`: what a chart costs to draw once the rows are there."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measure import Row, check
from scale import _fill

from llmkit import Ledger

if TYPE_CHECKING:
    from llmkit.costs.ledger import Ledger as LedgerType

ROUNDS = 3
GOAL = 1000.0
"""Milliseconds of CPU."""


def charts(*, quick: bool) -> list[Row]:
    """Measure every kind of chart on a generated ledger, on Axes of their own, without saving them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from llmkit.costs.charts import KINDS

    rows = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        _fill(path, rows)
        with closing(Ledger(path)) as ledger:
            check(len(ledger.df), rows, "Ledger.df")
            return [_row(rows, kind, [_drawn(ledger, kind) for _ in range(ROUNDS + 1)][1:]) for kind in KINDS]


def _drawn(ledger: LedgerType, kind: str) -> float:
    """Return the milliseconds of CPU that a chart and its picture take."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
    start = time.process_time()
    ledger.plot(kind, ax=ax)
    figure.canvas.draw()
    spent = time.process_time() - start
    plt.close(figure)
    return spent * 1e3


def _row(rows: int, kind: str, each: list[float]) -> Row:
    return Row(benchmark="charts", case=f"{rows:,} rows", name=kind, value=median(each), unit="ms", goal=GOAL)
