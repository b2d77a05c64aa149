"""`postgres`: a ledger in PostgreSQL: CPU of a row's caller, round trips, and sums of a million rows."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ledger_rows import BATCH, _record
from measure import Row, check

from llmkit import Ledger
from llmkit.core.postgres import Address, Database
from llmkit.costs.store.postgres import writes
from llmkit.costs.store.rows import encode
from llmkit.records import CostReservation

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 16
RESERVATIONS = 50


def postgres(*, quick: bool) -> list[Row]:
    """Measure a server of our own; without PostgreSQL's programs there is nothing to measure."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.support import postgres as server

    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        print("PostgreSQL is not installed")
        return []
    rows = 50_000 if quick else 1_000_000
    try:
        with server.fresh_database() as url, closing(Ledger(url)) as ledger:
            appended = _append(ledger, 1_600 if quick else 4_800)
            with closing(Database(Address(url))) as database:
                _fill(database, rows)
                return [*appended, *_reserve(ledger, database), *_sums(ledger, rows)]
    finally:
        server.remove_server()


def _append(ledger: Ledger, rows: int) -> list[Row]:
    records = [_record(number) for number in range(1, rows + 1)]
    ledger.record(_record(0)).result()
    start = time.process_time()
    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(lambda record: ledger.record(record).result(), records))
    spent = (time.process_time() - start) / rows
    check(all(done), True, "record")  # noqa: FBT003 - what it must be
    return [_row(f"{THREADS} threads", "append a row, CPU", spent * 1e6, "µs", 150.0)]


def _fill(database: Database, rows: int) -> None:
    """Write rows as the writing thread does, but without a caller for each."""
    for first in range(10_000, 10_000 + rows, BATCH):
        some = [encode(_record(number)) for number in range(first, first + BATCH)]
        database.run(lambda connection, some=some: writes.append(connection, some))
    database.run(lambda connection: connection.execute("ANALYZE"))


def _reserve(ledger: Ledger, database: Database) -> list[Row]:
    ledger.budget(daily=10**6)
    store = ledger.flushed_store()
    seen: list[float] = []
    for number in range(RESERVATIONS):
        now = datetime.now(UTC)
        plan = CostReservation(
            uid=f"{number:032x}", time=now, provider="openai", model="m", nanos=1, input_tokens=1,
            output_tokens=1, lease_s=60,
        )  # fmt: skip
        start = time.perf_counter()
        store.reserve(plan).result()
        seen.append(time.perf_counter() - start)
    trips = database.run(_trips)
    return [
        _row("a reservation", "round trips", trips, "", 3.0),
        _row("a reservation", "time on this machine", median(seen) * 1e3, "ms"),
    ]


def _trips(connection: object) -> float:
    """Count the statements of a reservation; in autocommit mode each is a round trip."""
    sent: list[str] = []

    class Counting:
        def execute(self, query: str, values: object) -> object:
            sent.append(query)
            return connection.execute(query, values)  # type: ignore[attr-defined]  # psycopg's

    plan = CostReservation(
        uid="f" * 32, time=datetime.now(UTC), provider="openai", model="m", nanos=1, input_tokens=1,
        output_tokens=1, lease_s=60,
    )  # fmt: skip
    writes.reserve(Counting(), plan)  # type: ignore[arg-type]  # what it needs of a connection
    return float(len(sent))


def _sums(ledger: Ledger, rows: int) -> list[Row]:
    ledger.total()
    looks: dict[str, Callable[[], int]] = {
        "total()": lambda: ledger.total().calls,
        'summary("model")': lambda: int(ledger.summary("model")["calls"].sum()),
        'summary(["month", "notebook"])': lambda: int(ledger.summary(["month", "notebook"])["calls"].sum()),
    }
    found = []
    for name, look in looks.items():
        times = []
        for _ in range(7):
            start = time.perf_counter()
            check(look() >= rows, True, name)  # noqa: FBT003 - what it must be
            times.append(time.perf_counter() - start)
        goal = 100.0 if "month" not in name else None
        found.append(_row(f"{rows:,} rows", name, median(times) * 1e3, "ms", goal))
    return found


def _row(case: str, name: str, value: float, unit: str, goal: float | None = None) -> Row:
    return Row(benchmark="postgres", case=case, name=name, value=value, unit=unit, goal=goal)
