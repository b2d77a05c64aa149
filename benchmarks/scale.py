"""`scale`: a ledger of a million rows and more: to open, to refresh, to add up; and what memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

from books import BATCH, _record
from measure import Row, check

from llmkit.costs.store import database, rollups, schema
from llmkit.sqlite import transaction

GOALS = {"summary": 50.0, "month and model": 50.0, "total": 50.0}
"""Milliseconds of CPU."""

_OURS = """
    from llmkit.costs.ledger import Ledger
    import llmkit.costs.frame.frame, llmkit.costs.frame.summary, llmkit.costs.store.sqlite
    books = Ledger(path)
    measure("open", lambda: len(books.df))
    books.record(record).result()
    measure("refresh, 1 row", lambda: len(books.df))
    warm = books.total()
    measure("total", lambda: books.total().calls)
    measure("summary", lambda: int(books.summary()["calls"].sum()))
    measure("month and model", lambda: int(books.summary(["month", "model"])["calls"].sum()))
    measure("surface", lambda: int(books.summary("surface")["calls"].sum()))
    found["exact"] = round(books.summary("surface")["cost_usd"].sum() * 1e6) == round(warm.usd * 1e6)
    books.close()
"""

_PANDAS = """
    import contextlib, sqlite3
    import pandas as pd
    with contextlib.closing(sqlite3.connect(path)) as connection:
        def load():
            global frame
            frame = pd.read_sql("SELECT * FROM calls", connection)
            return len(frame)
        measure("open", load)
        def summary():
            return int(frame.groupby("model")["cost_nanos"].agg(["size", "sum"])["size"].sum())
        measure("summary", summary)
"""

_HEAD = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[2])
path, found = sys.argv[1], {}
def measure(name, work):
    start = time.process_time()
    rows = work()
    found[name] = [time.process_time() - start, rows]
from books import _record
record = _record(1)
"""

_TAIL = """
found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(found))
"""


def scale(*, quick: bool, rows: int | None = None) -> list[Row]:
    """Measure a generated ledger, each contestant in a process of its own."""
    rows = rows or (100_000 if quick else 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        _fill(path, rows)
        theirs = _run(_PANDAS, path) if rows <= 1_000_000 else {}
        first = _run(_OURS, path)  # reads the rows, and leaves their copy in columns
        ours = _run(_OURS, path)
    check(ours.pop("exact"), True, "summary")  # noqa: FBT003 - what it must be
    for name in ("open", "total", "summary", "month and model", "surface"):
        check(ours[name][1] - rows, 1 if name == "open" else 2, name)  # each run of ours adds a row
    return _rows(rows, first, ours, theirs)


def _rows(rows: int, first: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> list[Row]:
    case, opened = f"{rows:,} rows", theirs.get("open", [None])[0]
    found = [
        _row(case, "first open", first["open"][0], opened),
        _row(case, "open", ours["open"][0], opened, goal=1 / 3.5),
    ]
    for name in ("refresh, 1 row", "total", "summary", "month and model", "surface"):
        found.append(_row(case, name, ours[name][0] * 1e3, unit="ms", goal=GOALS.get(name)))
    found.append(_row(case, "peak memory, first open", first["peak"], unit="MB"))
    found.append(_row(case, "peak memory", ours["peak"], unit="MB"))
    if theirs:
        found.append(_row(case, "pandas.read_sql: open", theirs["open"][0], opened))
        found.append(_row(case, "pandas.read_sql: by model", theirs["summary"][0] * 1e3, unit="ms"))
        found.append(_row(case, "pandas.read_sql: peak memory", theirs["peak"], unit="MB"))
    return found


def _row(
    case: str,
    name: str,
    value: float,
    base: float | None = None,
    *,
    unit: str = "s",
    goal: float | None = None,
) -> Row:
    ratio = None if base is None else value / base
    if unit == "s" and base is None:
        goal = None
    return Row(benchmark="scale", case=case, name=name, value=value, unit=unit, ratio=ratio, goal=goal)


def _run(code: str, path: Path) -> dict[str, Any]:
    script = _HEAD + textwrap.dedent(code) + _TAIL
    arguments = [sys.executable, "-c", script, str(path), str(Path(__file__).parent)]
    return dict(json.loads(subprocess.check_output(arguments, text=True)))


def _fill(path: Path, rows: int) -> None:
    """Write the rows as the ledger's writer does, but without a caller for each."""
    with closing(database.open_file(path, timeout=5)) as connection:
        for first in range(0, rows, BATCH):
            with transaction(connection):
                records = map(_record, range(first, min(first + BATCH, rows)))
                connection.executemany(schema.INSERT, map(schema.encode, records))
                rollups.roll(connection)
