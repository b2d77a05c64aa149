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

from ledger_rows import BATCH, _record
from measure import Row, check

from llmkit.core.sqlite import transaction
from llmkit.costs.store.rows import encode
from llmkit.costs.store.sqlite import database, rollups, schema

SUMS = ("total", "by model", "by month and model", "by notebook", "by month and notebook")
"""What the kept sums answer, in at most 50 ms of CPU."""

SAMPLE = 1_000_000
"""Rows that pandas reads at most: ten million would take it 15 GB."""

MEMORY = 2_500.0
"""Megabytes that ten million rows may take."""

_OURS = """
    from llmkit.costs.ledger import Ledger
    import llmkit.costs.frame.frame, llmkit.costs.frame.summary, llmkit.costs.store.sqlite.sqlite_store
    ledger = Ledger(path)
    measure("open", lambda: len(ledger.df))
    ledger.record(record).result()
    measure("refresh, 1 row", lambda: len(ledger.df))
    warm = ledger.total()
    measure("total", lambda: ledger.total().calls)
    def calls(*by):
        return int(ledger.summary(by)["calls"].sum())
    measure("by model", lambda: calls("model"))
    measure("by month and model", lambda: calls("month", "model"))
    measure("by notebook", lambda: calls("notebook"))
    measure("by month and notebook", lambda: calls("month", "notebook"))
    measure("by surface", lambda: calls("surface"))
    found["exact"] = round(ledger.summary("surface")["cost_usd"].sum() * 1e6) == round(warm.usd * 1e6)
    ledger.close()
"""

_PANDAS = """
    import contextlib, sqlite3
    import pandas as pd
    with contextlib.closing(sqlite3.connect(path)) as connection:
        def load():
            global frame
            frame = pd.read_sql(f"SELECT * FROM calls LIMIT {sys.argv[3]}", connection)
            return len(frame)
        measure("open", load)
        def calls(*by):
            return int(frame.groupby(list(by))["cost_nanos"].agg(["size", "sum"])["size"].sum())
        measure("by model", lambda: calls("model"))
        measure("by notebook", lambda: calls("notebook"))
        measure("by surface", lambda: calls("surface"))
"""

_HEAD = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[2])
path, found = sys.argv[1], {}
def measure(name, work):
    start = time.process_time()
    rows = work()
    found[name] = [time.process_time() - start, rows]
from ledger_rows import _record
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
        theirs = _run(_PANDAS, path, min(rows, SAMPLE))
        first = _run(_OURS, path, rows)  # reads the rows, and leaves their copy in columns
        ours = _run(_OURS, path, rows)
    check(ours.pop("exact"), True, "summary")  # noqa: FBT003 - what it must be
    for name in ("open", *SUMS, "by surface"):
        check(ours[name][1] - rows, 1 if name == "open" else 2, name)  # each run of ours adds a row
    return _rows(rows, first, ours, theirs)


def _rows(rows: int, first: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> list[Row]:
    case, sample = f"{rows:,} rows", min(rows, SAMPLE)
    opened = theirs["open"][0] * rows / sample
    found = [
        _row(case, "first open", first["open"][0], opened),
        _row(case, "open", ours["open"][0], opened, goal=1 / 3.5),
        _row(case, "refresh, 1 row", ours["refresh, 1 row"][0] * 1e3, unit="ms"),
    ]
    found += [_row(case, name, ours[name][0] * 1e3, unit="ms", goal=50.0) for name in SUMS]
    found.append(_row(case, "by surface, without kept sums", ours["by surface"][0] * 1e3, unit="ms"))
    goal = MEMORY if rows <= 10_000_000 else None
    found.append(_row(case, "peak memory, first open", first["peak"], unit="MB", goal=goal))
    found.append(_row(case, "peak memory", ours["peak"], unit="MB", goal=goal))
    case = f"pandas.read_sql, {sample:,}"
    found.append(_row(case, "open", theirs["open"][0], theirs["open"][0]))
    for name in ("by model", "by notebook", "by surface"):
        found.append(_row(case, name, theirs[name][0] * 1e3, unit="ms"))
    found.append(_row(case, "peak memory", theirs["peak"], unit="MB"))
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
    return Row(benchmark="scale", case=case, name=name, value=value, unit=unit, ratio=ratio, goal=goal)


def _run(code: str, path: Path, rows: int) -> dict[str, Any]:
    script = _HEAD + textwrap.dedent(code) + _TAIL
    arguments = [sys.executable, "-c", script, str(path), str(Path(__file__).parent), str(rows)]
    return dict(json.loads(subprocess.check_output(arguments, text=True)))


def _fill(path: Path, rows: int) -> None:
    """Write the rows as the ledger's writer does, but without a caller for each."""
    with closing(database.open_file(path, timeout=5)) as connection:
        for first in range(0, rows, BATCH):
            with transaction(connection):
                records = map(_record, range(first, min(first + BATCH, rows)))
                connection.executemany(schema.INSERT, map(encode, records))
                rollups.roll(connection)
