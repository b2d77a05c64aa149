"""`ledger`: what a row costs to write, and what a ledger costs to load."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tempfile
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING

from frames import MODELS
from measure import Row, check, ratio

from llmkit import CallRecord, Ledger
from llmkit.core.sqlite import transaction
from llmkit.costs.store.rows import COLUMNS, encode
from llmkit.costs.store.sqlite import schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from llmkit.costs.store import rows

    Append: TypeAlias = Callable[[CallRecord], Future[bool]]

ROUNDS = 7
THREADS = 16
BATCH = 10_000
APPEND_GOAL = 1.3
"""What a row may cost, in rows of a bare group commit."""

START = datetime(2026, 1, 1, tzinfo=UTC)


def ledger(*, quick: bool) -> list[Row]:
    """Measure appending, acknowledged row by row, and loading."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_appends(Path(folder), 1_600 if quick else 4_800), *_loads(Path(folder), quick=quick)]


def _appends(folder: Path, rows: int) -> list[Row]:
    records = [_record(number) for number in range(1, rows + 1)]  # whoever asks makes them anyway
    ways = {"1 awaiting caller": _one_by_one, f"{THREADS} threads": _on_threads}
    bare = f"{THREADS} threads, bare sqlite3"
    seconds: dict[str, list[float]] = {name: [] for name in [*ways, bare]}
    for turn in range(ROUNDS + 1):
        spent = {bare: _cpu_bare(folder / f"{turn} bare.sqlite", records)}
        for name, append in ways.items():
            with closing(Ledger(folder / f"{turn} {name}.sqlite")) as ledger:
                ledger.record(_record(0)).result()
                spent[name] = _cpu(lambda: append(ledger.record, records))  # noqa: B023 - called at once
                check(ledger.total().calls, rows + 1, name)
        for name, cpu in spent.items() if turn else ():
            seconds[name].append(cpu / rows)
    goals = {f"{THREADS} threads": APPEND_GOAL}
    return [
        Row(
            benchmark="ledger",
            case="append a row",
            name=name,
            value=median(each) * 1e6,
            unit="µs",
            ratio=ratio(each, seconds[bare]) if name.startswith(f"{THREADS} threads") else None,
            goal=goals.get(name),
        )
        for name, each in seconds.items()
    ]


def _one_by_one(append: Append, records: list[CallRecord]) -> None:
    async def caller() -> None:
        for record in records:
            await asyncio.wrap_future(append(record))

    asyncio.run(caller())


def _on_threads(append: Append, records: list[CallRecord]) -> None:
    def caller(first: int) -> None:
        for record in records[first::THREADS]:
            append(record).result()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(caller, range(THREADS)))


def _cpu_bare(path: Path, records: list[CallRecord]) -> float:
    """Measure the least that acknowledges rows after a common commit: no budget, no sums, no second try."""
    queue: SimpleQueue[tuple[rows.Row, Future[bool]] | None] = SimpleQueue()

    def append(record: CallRecord) -> Future[bool]:
        queue.put((encode(record), future := Future()))
        return future

    with closing(_bare(path)) as connection, ThreadPoolExecutor(1) as writer:
        work = writer.submit(_write_bare, connection, queue)
        spent = _cpu(lambda: _on_threads(append, records))
        queue.put(None)
        work.result()
        check(connection.execute("SELECT count(*) FROM calls").fetchone(), (len(records),), "bare sqlite3")
    return spent


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"CREATE TABLE calls (id INTEGER PRIMARY KEY, {', '.join(COLUMNS)})")
    connection.execute("CREATE UNIQUE INDEX calls_time_uid ON calls (time, uid)")
    return connection


def _write_bare(
    connection: sqlite3.Connection, queue: SimpleQueue[tuple[rows.Row, Future[bool]] | None]
) -> None:
    while (first := queue.get()) is not None:
        taken = [first]
        while not queue.empty() and (item := queue.get()) is not None:
            taken.append(item)
        with transaction(connection):
            connection.executemany(schema.INSERT, [row for row, _ in taken])
        for _, future in taken:
            future.set_result(True)


def _loads(folder: Path, *, quick: bool) -> list[Row]:
    import pandas as pd

    rows, path = 100_000 if quick else 1_000_000, folder / "large.sqlite"
    _fill(path, rows)

    def frame() -> None:
        with closing(Ledger(path)) as ledger:
            check(len(ledger.df), rows, "Ledger.df")

    def read_sql() -> None:
        with closing(sqlite3.connect(path)) as connection:
            check(len(pd.read_sql("SELECT * FROM calls", connection)), rows, "read_sql")

    ways = {"llmkit.ledger.df": frame, "pandas.read_sql": read_sql}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range((ROUNDS if quick else 3) + 1):
        for name, way in ways.items():
            spent = _cpu(way)
            if turn:
                seconds[name].append(spent)
    return [
        Row(
            benchmark="ledger",
            case=f"load {rows:,} rows",
            name=name,
            value=median(each),
            unit="s",
            ratio=ratio(each, seconds["pandas.read_sql"]),
        )
        for name, each in seconds.items()
    ]


def _fill(path: Path, rows: int) -> None:
    with closing(Ledger(path)) as ledger:
        for first in range(0, rows, BATCH):
            for number in range(first, first + BATCH):
                ledger.record(_record(number))
            check(ledger.flush(), True, "Ledger.flush")  # noqa: FBT003 - what it must return


def _cpu(work: Callable[[], None]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def _record(number: int) -> CallRecord:
    """Return a record such as calls leave, a different one for each number."""
    provider = list(MODELS)[number % len(MODELS)]
    return CallRecord(
        time=START + timedelta(seconds=7 * number),
        uid=uuid.uuid4().hex,
        status="error" if number % 50 == 0 else "ok",
        surface="magic" if number % 3 else "api",
        provider=provider,
        model=MODELS[provider],
        model_served=MODELS[provider],
        input_tokens=None if number % 50 == 0 else 100 + number % 4_000,
        output_tokens=None if number % 50 == 0 else 10 + number % 900,
        cache_read_tokens=0,
        cost_nanos=None if number % 50 == 0 else 1_000 * (number % 90_000),
        price_source="genai-prices",
        price_date="2026-01-01",
        usage_source="reported",
        first_token_s=0.25 + number % 100 / 100,
        duration_s=1.0 + number % 1_000 / 100,
        finish_reason="stop",
        notebook=f"notebook-{number % 40}.ipynb",
        cell_id=f"cell-{number % 900}",
        execution_count=number % 200,
        session=f"{number // 5_000:012x}",
        tags={"project": f"p{number % 12}"},
    )
