"""What every store behind the ledger keeps to; another one needs a line in `BACKENDS`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys
import threading
import uuid
import warnings
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.content.usage_bound import UsageBound
from llmkit.core.errors import BudgetExceededError, ConfigurationError
from llmkit.core.processes import Process
from llmkit.core.timestamps import micros
from llmkit.costs.budgets.rules import Amounts, BudgetRules
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.filters import Filters
from llmkit.costs.store.groups import COUNTER_KEYS, COUNTERS, KEYS, MEASURES
from llmkit.costs.store.protocol import NOTES, Change, Store
from llmkit.costs.store.rows import COLUMNS, UID, encode
from llmkit.costs.store.sqlite.location import MEMORY
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.costs.store.writer import LedgerWarning
from llmkit.costs.sums import NOTHING, Tally
from llmkit.records import CallContext, CallIntent, CallRecord, CostReservation
from tests.support import postgres_ledger
from tests.support.reference_store import ReferenceStore, places

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 20, 9, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A kind of store, and what is in its nature.

    Attributes:
        open: Opens a store for a folder and a clock; each call another one.
        shared: Whether the stores of one folder have their rows in common, and keep them when all are closed.
        processes: Whether that holds for other processes, too.
        adds_up: Whether it answers `groups`.
        full: Context manager: nothing can be written to the folder's place.
        damage: Makes the folder's place unreadable.
        empty: Deletes the rows that are not in the folder.
        slow: Whether its tests run in full only.
        user: Whose rows they are, if it knows users.
    """

    open: Callable[[Path, Callable[[], datetime]], Store]
    shared: bool = True
    processes: bool = True
    adds_up: bool = True
    full: Callable[[Path], Any] | None = None
    damage: Callable[[Path], object] | None = None
    empty: Callable[[Path], object] = lambda _: None
    slow: bool = False
    user: str | None = None

    def encode(self, record: CallRecord) -> tuple[Any, ...]:
        """Return the row that comes back for a record: a store that knows users names the user."""
        return encode(replace(record, user=self.user))


def _file(folder):
    return folder / "ledger.sqlite"


@contextlib.contextmanager
def _locked(folder):
    with closing(sqlite3.connect(_file(folder), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def _full(folder):
    places[folder].full = True
    yield
    places[folder].full = False


BACKENDS = {
    "file": Backend(
        open=lambda folder, clock: SQLiteStore(_file(folder), busy_timeout=0.3, clock=clock),
        full=_locked,
        damage=lambda folder: _file(folder).write_bytes(b"\xff" * 5000),
    ),
    "memory": Backend(
        open=lambda folder, clock: SQLiteStore(MEMORY, clock=clock), shared=False, processes=False
    ),
    "reference": Backend(
        open=ReferenceStore,
        processes=False,
        adds_up=False,
        full=_full,
        damage=lambda folder: setattr(places[folder], "damaged", True),
    ),
    "postgres": Backend(
        open=postgres_ledger.open_store,
        full=postgres_ledger.locked,
        damage=postgres_ledger.damage,
        empty=postgres_ledger.empty,
        slow=True,
        user=postgres_ledger.postgres.ADMIN,
    ),
}


def params(fits):
    """Return the backends to run a test with."""
    return [
        pytest.param(name, marks=[pytest.mark.full] if backend.slow else [])
        for name, backend in BACKENDS.items()
        if fits(backend)
    ]


class Clock:
    """Time as the test wants it."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Bench:
    """Opens stores of one kind on one folder."""

    def __init__(self, backend, folder):
        self.backend, self.folder, self.clock, self.stores = backend, folder, Clock(), []

    def open(self):
        self.stores.append(self.backend.open(self.folder, self.clock))
        return self.stores[-1]

    def several(self, count):
        """Return stores that share their rows: where none do, one for all."""
        return [self.open() for _ in range(count)] if self.backend.shared else [self.open()] * count


@pytest.fixture(params=params(lambda _: True))
def bench(request, tmp_path):
    bench = Bench(BACKENDS[request.param], tmp_path)
    yield bench
    for store in bench.stores:
        store.close()
    bench.backend.empty(tmp_path)


@pytest.fixture
def store(bench):
    return bench.open()


# Stores that can be kept from writing and reading; a place in memory cannot.
fallible = pytest.mark.parametrize("bench", params(lambda each: each.full), indirect=True)


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "time": START}
    return CallRecord(**fields | changes)


def reservation(nanos, **changes):
    fields = {"uid": uuid.uuid4().hex, "time": START, "provider": "openai", "model": "m", "lease_s": 60}
    return CostReservation(**fields | {"nanos": nanos, "input_tokens": 1, "output_tokens": 1} | changes)


def write(store, *records):
    futures = [store.append(record) for record in records]
    assert all(future.result(10) for future in futures)


def everything(store, limit=None):
    """Page through all rows."""
    rows, page = [], store.read(0, limit)
    while page.rows:
        rows += page.rows
        page = store.read(page.rows[-1][0], limit)
    return rows


def uids(rows):
    return [row[1 + UID] for row in rows]


def used(store, notebook="other.ipynb", time=START):
    return store.amounts(micros(time), notebook)


@contextlib.contextmanager
def outage(bench):
    """Nothing can be written; whether a warning is due, and when, is another matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LedgerWarning)
        with bench.backend.full(bench.folder):
            yield


MIXED = [
    call(
        time=START + timedelta(hours=7 * number),
        provider="openai" if number % 2 else "google",
        model=f"m{number % 3}",
        notebook=None if number % 4 == 0 else f"{number % 2}.ipynb",
        status=("ok", "error", "replayed", "interrupted")[number % 4],
        input_tokens=None if number % 5 == 0 else number,
        output_tokens=number if number % 3 else None,
        cost_nanos=None if number % 3 == 0 else 10**9 * number + 1,
        saved_nanos=number if number % 4 == 2 else None,
        session="ab"[number % 2],
        tags={"project": f"p{number % 2}", "n": "ü"} if number % 3 else {},
        simulated=number % 5 == 1,
    )
    for number in range(24)
]
"""Calls of every kind, over a week."""


class TestInterface:
    def test_a_store_has_all_that_the_ledger_asks_for(self, store):
        asked = {name for name in vars(Store) if not name.startswith("_")}
        assert asked
        assert {name for name in asked if not hasattr(store, name)} == set()

    def test_it_says_where_its_rows_are_and_makes_nothing_before_it_has_to(self, bench, store):
        assert isinstance(store.name, str)
        assert store.snapshot is None or isinstance(store.snapshot, Path)
        assert store.rules() == BudgetRules()
        assert (everything(store), store.sums(), store.is_failing) == ([], {}, False)
        assert store.select(Filters(words={})) in ([], [[]])
        assert used(store) == Amounts()
        assert store.flush() is True
        assert list(bench.folder.iterdir()) == []


class TestRows:
    def test_a_row_is_what_the_record_says_with_a_number_in_front(self, bench, store):
        write(store, *MIXED)
        rows = everything(store)
        assert [row[1:] for row in rows] == [bench.backend.encode(record) for record in MIXED]
        numbers = [row[0] for row in rows]
        assert numbers == sorted(set(numbers))
        assert numbers[0] > 0

    @pytest.mark.parametrize("limit", [1, 5, 24, 25, None])
    def test_rows_are_read_page_by_page(self, store, limit):
        write(store, *MIXED)
        assert uids(everything(store, limit)) == [record.uid for record in MIXED]
        first = store.read(0, limit)
        assert len(first.rows) <= (limit or 24)
        assert first.more or len(first.rows) == 24

    def test_behind_the_last_row_there_is_nothing_until_another_comes(self, store):
        write(store, *MIXED[:3])
        page = store.read()
        last = page.rows[-1][0]
        assert store.read(last).rows == []
        assert store.read(last).more is False
        write(store, MIXED[3])
        behind = store.read(last)
        assert uids(behind.rows) == [MIXED[3].uid]
        assert behind.epoch == page.epoch

    def test_a_record_that_comes_twice_is_one_row_and_is_paid_once(self, store):
        record = call(cost_nanos=7)
        write(store, record, record)
        write(store, record)
        assert uids(everything(store)) == [record.uid]
        assert used(store).spent == 7
        assert store.sums()[False].calls == 1

    def test_whatever_is_appended_nothing_is_raised_and_no_other_row_is_lost(self, store, caplog):
        odd = call(cost_nanos=2**70, attempts=10**30, duration_s="soon", model="\ud800", input_tokens=5)
        good = call()
        futures = [store.append(record) for record in (None, odd, good)]
        assert [future.result(10) for future in futures] == [False, True, True]
        rows = everything(store)
        assert uids(rows) == [odd.uid, good.uid]
        values = dict(zip(COLUMNS, rows[0][1:], strict=True))
        assert [values[name] for name in ("cost_nanos", "attempts", "duration_s")] == [None] * 3
        assert values["input_tokens"] == 5

    def test_a_row_cannot_be_cancelled(self, store):
        assert store.append(call()).cancel() is False
        assert store.flush(10)
        assert len(everything(store)) == 1

    def test_a_reader_misses_no_row_while_many_write(self, bench):
        """Numbers must be given in the order of the commits, or a reader passes by the slower one."""
        stores = bench.several(5)
        reader, *writers = stores
        records = [[call() for _ in range(50)] for _ in writers]
        threads = [
            threading.Thread(target=lambda s=s, mine=mine: [s.append(record).result(10) for record in mine])
            for s, mine in zip(writers, records, strict=True)
        ]
        for thread in threads:
            thread.start()
        seen, last = [], 0
        while any(thread.is_alive() for thread in threads) or store_has_more(reader, last):
            for row in reader.read(last, 7).rows:
                last = row[0]
                seen.append(row[1 + UID])
        for thread in threads:
            thread.join()
        assert sorted(seen) == sorted(record.uid for mine in records for record in mine)
        for mine in records:
            known = {record.uid for record in mine}
            assert [uid for uid in seen if uid in known] == [record.uid for record in mine], "each in order"

    def test_what_one_store_wrote_another_one_sees_if_they_share_a_place(self, bench):
        one, other = bench.open(), bench.open()
        write(one, *MIXED[:2])
        one.change_rules({"daily": 5})
        both = (uids(everything(other)), other.rules().daily, other.sums() == one.sums())
        shared = ([MIXED[0].uid, MIXED[1].uid], 5, True)
        assert both == (shared if bench.backend.shared else ([], None, False))

    def test_closing_loses_nothing_and_the_next_use_opens_it_again(self, bench):
        store = bench.open()
        store.append(MIXED[0])
        store.close()
        store.close()
        assert uids(everything(store)) == [MIXED[0].uid]
        epoch = store.read().epoch
        write(store, MIXED[1])
        store.close()
        assert store.read().epoch == epoch
        again = bench.open()
        write(again, MIXED[2])
        kept = [MIXED[0].uid, MIXED[1].uid] if bench.backend.shared else []
        assert uids(everything(again)) == [*kept, MIXED[2].uid]


def store_has_more(store, last):
    return bool(store.read(last, 1).rows)


MICROS = [micros(record.time) for record in MIXED]

CHOICES = {
    "all": (Filters(words={}), lambda r: True),
    "since": (Filters(words={}, since=MICROS[5]), lambda r: r.time >= MIXED[5].time),
    "until": (Filters(words={}, until=MICROS[5]), lambda r: r.time < MIXED[5].time),
    "between": (Filters(words={}, since=MICROS[3], until=MICROS[4]), lambda r: r is MIXED[3]),
    "one word": (Filters(words={"provider": ("google",)}), lambda r: r.provider == "google"),
    "two words": (Filters(words={"model": ("m1", "m2")}), lambda r: r.model in {"m1", "m2"}),
    "no word": (Filters(words={"model": ()}), lambda r: False),
    "no notebook": (Filters(words={"notebook": ("",)}), lambda r: False),
    "two columns": (
        Filters(words={"status": ("ok", "error"), "notebook": ("1.ipynb",)}),
        lambda r: r.status in {"ok", "error"} and r.notebook == "1.ipynb",
    ),
    "a tag": (Filters(words={}, tags=(("project", None),)), lambda r: "project" in r.tags),
    "a tag's value": (Filters(words={}, tags=(("project", "p1"),)), lambda r: r.tags.get("project") == "p1"),
    "a tag's strange value": (Filters(words={}, tags=(("n", "ü"),)), lambda r: r.tags.get("n") == "ü"),
    "two tags": (Filters(tags=(("n", None), ("project", "p1"))), lambda r: r.tags.get("project") == "p1"),
    "and the other way": (Filters(tags=(("project", "p1"), ("n", "ü"))), lambda r: "p1" in r.tags.values()),
    "no such two tags": (Filters(tags=(("project", "p1"), ("n", "u"))), lambda r: False),
    "no such tag": (Filters(words={}, tags=(("p1", None),)), lambda r: False),
    "simulated": (Filters(words={}, simulated=True), lambda r: r.simulated),
    "real": (Filters(words={}, simulated=False), lambda r: not r.simulated),
    "all at once": (
        Filters(since=MICROS[2], words={"provider": ("openai",)}, tags=(("project", None),), simulated=False),
        lambda r: (
            r.time >= MIXED[2].time and r.provider == "openai" and "project" in r.tags and not r.simulated
        ),
    ),
}


class TestChoosing:
    @pytest.mark.parametrize("name", CHOICES)
    def test_the_rows_that_fit_are_returned_in_the_order_they_came(self, bench, store, name):
        write(store, *MIXED)
        choice, fits = CHOICES[name]
        found = list(itertools.chain.from_iterable(store.select(choice)))
        assert found == [bench.backend.encode(record) for record in MIXED if fits(record)]

    @pytest.mark.parametrize("name", CHOICES)
    def test_rows_that_pass_are_read_once_and_new_ones_after_them(self, bench, store, name):
        choice, fits = CHOICES[name]
        assert store.read(0, None, choice).rows == []
        seen, last = [], 0
        for some in (MIXED[:9], MIXED[9:]):
            write(store, *some)
            more = True
            while more:
                page = store.read(last, 4, choice)
                seen, last, more = [*seen, *page.rows], page.last, page.more
            assert store.read(last, 4, choice).rows == []
        assert [row[1:] for row in seen] == [bench.backend.encode(record) for record in MIXED if fits(record)]

    @pytest.mark.parametrize("name", CHOICES)
    def test_filters_apply_to_rows_that_are_not_written_yet(self, name):
        choice, fits = CHOICES[name]
        assert [choice.passes(encode(record)) for record in MIXED] == [fits(record) for record in MIXED]

    def test_every_choice_but_those_of_nothing_finds_some_and_leaves_some(self):
        some = [sum(map(fits, MIXED)) for name, (_, fits) in CHOICES.items() if not name.startswith("no ")]
        assert some[0] == 24
        assert all(0 < count < 24 for count in some[1:])

    @pytest.mark.parametrize("since", [None, START + timedelta(days=2), START + timedelta(days=300)])
    @pytest.mark.parametrize("session", [None, "a", "c"])
    def test_sums_are_those_of_the_records(self, store, since, session):
        write(store, *MIXED)
        tally = Tally()
        for record in MIXED:
            if (since is None or record.time >= since) and session in {None, record.session}:
                tally.add(record)
        expected = {key: sums for key, sums in tally.sums().items() if sums.calls}
        assert store.sums(since=since and micros(since), session=session) == expected

    @pytest.mark.parametrize(
        "by", [*([key] for key in KEYS), ["month", "model"], ["notebook", "status", "simulated"]]
    )
    def test_groups_are_those_of_the_records_or_are_left_to_the_reader(self, bench, store, by):
        write(store, *MIXED)
        found = store.groups(by)
        assert (found is not None) is bench.backend.adds_up
        if found is not None:
            assert merged(found, len(by)) == expected_groups(MIXED, by)


def key_of(record, name):
    if name in {"day", "month"}:
        return record.time.astimezone().date().isoformat()[: 10 if name == "day" else 7]
    value = getattr(record, name)
    return int(value) if name == "simulated" else b"" if value is None else value


def expected_groups(records, by):
    groups = {}
    for record in records:
        groups.setdefault(tuple(key_of(record, name) for name in by), []).append(record)
    return {key: measured(mine) for key, mine in groups.items()}


def measured(records):
    tally, times = Tally(), [micros(record.time) for record in records]
    for record in records:
        tally.add(record)
    sums = [sum(pair) for pair in zip(*map(astuple, tally.sums().values()), strict=True)]
    known = [[r.input_tokens for r in records], [r.output_tokens for r in records]]
    tokens = [sum(filter(None, c)) if any(n is not None for n in c) else None for c in known]
    errors = sum(record.status in {"error", "interrupted"} for record in records)
    values = [sums[0], errors, sums[2], sums[1], *tokens, sums[3], sums[4], min(times), max(times), sums[5]]
    return dict(zip(MEASURES, values, strict=True))


def astuple(sums):
    return (sums.calls, sums.unpriced, sums.priced, sums.nanos, sums.saved_nanos, sums.estimated)


def merged(rows, keys):
    """Put together what the store returned in parts."""
    groups = {}
    for row in rows:
        values = dict(zip(MEASURES, row[keys:], strict=True))
        before = groups.setdefault(tuple(row[:keys]), values)
        if before is not values:
            groups[tuple(row[:keys])] = {name: joined(name, before[name], values[name]) for name in values}
    return groups


def joined(name, one, other):
    known = [value for value in (one, other) if value is not None]
    if name in {"first", "last"}:
        return (min if name == "first" else max)(known)
    return sum(known) if known else None


class TestDeleting:
    def test_all_rows_go_and_a_reader_notices(self, store):
        write(store, *MIXED[:5])
        before = store.read()
        assert store.delete() == 5
        after = store.read()
        assert (after.rows, after.epoch != before.epoch) == ([], True)
        assert (store.delete(), store.sums()) == (0, {})
        write(store, MIXED[0])
        assert uids(everything(store)) == [MIXED[0].uid]

    def test_only_earlier_rows_go_if_a_time_is_given(self, store):
        write(store, *MIXED)
        epoch = store.read().epoch
        assert store.delete(MICROS[10]) == 10
        assert uids(everything(store)) == [record.uid for record in MIXED[10:]]
        assert store.read().epoch != epoch
        assert sum(sums.calls for sums in store.sums().values()) == 14
        if found := store.groups(["model"]):
            assert merged(found, 1) == expected_groups(MIXED[10:], ["model"])

    def test_rows_on_their_way_go_as_well(self, store):
        for _ in range(200):
            store.append(call())
        assert store.delete() == 200
        assert store.flush(10)
        assert everything(store) == []

    def test_what_they_spent_stays_spent(self, store):
        write(store, call(cost_nanos=7))
        store.delete()
        assert used(store).spent == 7


def change(record, nanos, what="cost_nanos"):
    expected = getattr(record, what)
    return Change(micros(record.time), record.uid, what, expected, nanos, "config", "2026-11-01")


def marked(record, source):
    values = (micros(record.time), record.uid, "usage_source", None, None, source, None)
    return Change(*values, record.usage_source)


def notes(store, *names, run=None):
    return [tuple(note[NOTES.index(name)] for name in names) for note in store.corrections(run)]


class TestCorrecting:
    def test_a_price_is_replaced_and_the_old_one_is_noted(self, bench, store):
        record = call(cost_nanos=7, price_source="genai-prices", price_date="2026-01-01", notebook="a.ipynb")
        write(store, record, call(cost_nanos=1))
        epoch = store.read().epoch
        assert store.correct([change(record, 5)], run="r", reason="new contract") == 1
        values = dict(zip(COLUMNS, everything(store)[0][1:], strict=True))
        assert [values[name] for name in ("cost_nanos", "price_source", "price_date")] == [
            5, "config", "2026-11-01",
        ]  # fmt: skip
        now = micros(bench.clock.now)
        (note,) = store.corrections()
        assert dict(zip(NOTES, note, strict=True)) == {
            "corrected": now, "time": micros(START), "uid": record.uid, "provider": "openai",
            "model": "m", "what": "cost_nanos", "old_nanos": 7, "old_source": "genai-prices",
            "old_date": "2026-01-01", "new_nanos": 5, "new_source": "config", "new_date": "2026-11-01",
            "reason": "new contract", "run": "r",
        }  # fmt: skip
        assert store.read().epoch != epoch
        assert store.sums()[False].nanos == 6
        assert used(store, "a.ipynb") == Amounts(6, 0, 5, 0), "what the day spent follows"

    def test_sums_that_were_kept_follow_too(self, store):
        write(store, *MIXED)
        store.groups(["model"])
        store.correct([change(MIXED[1], 5), change(MIXED[3], 6)], run="r", reason=None)
        corrected = [
            replace(record, cost_nanos={1: 5, 3: 6}[number]) if number in {1, 3} else record
            for number, record in enumerate(MIXED)
        ]
        assert sum(sums.nanos for sums in store.sums().values()) == sum(r.cost_nanos or 0 for r in corrected)
        if (found := store.groups(["model", "simulated"])) is not None:
            assert merged(found, 2) == expected_groups(corrected, ["model", "simulated"])

    def test_an_amount_that_is_not_what_was_expected_stays(self, store):
        record, other = call(cost_nanos=7), call(cost_nanos=7)
        write(store, record)
        epoch = store.read().epoch
        changes = [change(record, 5)._replace(expected=6), change(other, 5)]
        assert store.correct(changes, run="r", reason=None) == 0
        assert (store.corrections(), store.sums()[False].nanos) == ([], 7)
        assert store.read().epoch == epoch
        assert store.correct([], run="r", reason=None) == 0

    def test_what_was_unknown_becomes_known_and_unknown_again(self, store):
        record = call(cost_nanos=None)
        write(store, record)
        assert store.correct([change(record, 9)], run="1", reason=None) == 1
        assert (store.sums()[False].unpriced, used(store).spent) == (0, 9)
        known = replace(record, cost_nanos=9)
        assert store.correct([change(known, None)], run="2", reason=None) == 1
        assert (store.sums()[False].unpriced, used(store).spent) == (1, 0)
        assert notes(store, "run", "old_nanos", "new_nanos") == [("1", None, 9), ("2", 9, None)]
        assert notes(store, "run", run="2") == [("2",)]

    def test_what_a_replay_saved_is_corrected_and_nothing_was_spent(self, store):
        record = call(status="replayed", saved_nanos=7)
        write(store, record)
        assert store.correct([change(record, 5, "saved_nanos")], run="r", reason=None) == 1
        assert (store.sums()[False].saved_nanos, used(store)) == (5, Amounts())
        assert notes(store, "what", "old_nanos", "new_nanos") == [("saved_nanos", 7, 5)]

    def test_notes_go_with_the_calls_they_are_about(self, store):
        later = call(cost_nanos=1, time=START + timedelta(days=1))
        write(store, MIXED[1], later)
        store.correct([change(MIXED[1], 5), change(later, 6)], run="r", reason=None)
        store.delete(micros(later.time))
        assert notes(store, "uid") == [(later.uid,)]
        store.delete()
        assert store.corrections() == []

    def test_a_place_without_corrections_has_none(self, store):
        assert store.corrections() == []
        write(store, MIXED[0])
        assert store.corrections("r") == []


OPEN = call(cost_nanos=7, at_most_nanos=100, notebook="a.ipynb", status="cancelled")


class TestUncertain:
    @pytest.mark.parametrize("cost", [None, 7])
    def test_what_a_call_may_have_cost_beyond_its_price_is_uncertain(self, store, cost):
        write(store, replace(OPEN, cost_nanos=cost), call(cost_nanos=3))
        known = cost or 0
        assert used(store, "a.ipynb") == Amounts(known + 3, 0, known, 0, 100 - known, 100 - known)
        assert used(store, "b.ipynb") == Amounts(known + 3, 0, 0, 0, 100 - known, 0)
        assert store.sums()[False].nanos == known + 3, "totals show the estimate"

    @pytest.mark.parametrize("most", [None, 0, 6, 7])
    def test_a_bound_that_is_no_more_than_the_price_adds_nothing(self, store, most):
        write(store, replace(OPEN, at_most_nanos=most))
        assert used(store).uncertain == 0

    def test_simulated_calls_are_certain(self, store):
        write(store, replace(OPEN, simulated=True))
        assert used(store) == Amounts()

    def test_a_row_that_comes_twice_is_uncertain_once(self, store):
        write(store, OPEN, OPEN)
        assert used(store).uncertain == 93

    def test_the_reservation_gives_way_to_what_is_uncertain(self, store):
        store.change_rules({"daily": 100})
        plan = reservation(100)
        store.reserve(plan).result(10)
        write(store, call(uid=plan.uid, cost_nanos=7, at_most_nanos=100))
        assert used(store) == Amounts(7, 0, 0, 0, 93, 0)
        with pytest.raises(BudgetExceededError, match="for partial answers"):
            store.reserve(reservation(1)).result(10)

    def test_it_lasts_until_the_local_day_is_over(self, bench, store):
        write(store, OPEN)
        bench.clock.now += timedelta(hours=30)
        store.reserve(reservation(1, time=bench.clock.now)).result(10)  # takes away what has ended
        assert used(store).uncertain == 93
        assert used(store, time=START + timedelta(days=1)) == Amounts(reserved=1)

    def test_it_ends_with_a_correction_of_the_bound_and_follows_the_price(self, store):
        write(store, OPEN)
        store.correct([change(OPEN, 20)], run="1", reason=None)
        assert used(store) == Amounts(20, 0, 0, 0, 80, 0)
        store.correct([change(OPEN, None, "at_most_nanos")], run="2", reason=None)
        assert used(store) == Amounts(20)
        values = dict(zip(COLUMNS, everything(store)[0][1:], strict=True))
        assert (values["at_most_nanos"], values["price_source"]) == (None, "config")
        settled = replace(OPEN, at_most_nanos=None)
        store.correct([change(settled, 100, "at_most_nanos")], run="3", reason=None)
        assert used(store).uncertain == 80

    def test_prices_that_are_estimates_are_counted_until_somebody_says_otherwise(self, store):
        guess = call(cost_nanos=5, usage_source="partial", notebook="a.ipynb")
        free = call(cost_nanos=0, usage_source="estimated")
        short = call(cost_nanos=0, usage_source="incomplete")
        fake = replace(guess, uid="f" * 32, simulated=True)
        again = replace(guess, uid="e" * 32, status="replayed", cost_nanos=0)
        write(store, OPEN, guess, free, short, fake, again, call(usage_source="estimated"))
        assert {kind: sums.estimated for kind, sums in store.sums().items()} == {False: 3, True: 1}
        assert store.sums(since=micros(START) + 1) == {}
        marks = [marked(each, "settled") for each in (guess, short, free)]
        marks += [marked(replace(OPEN, usage_source="partial"), "settled")]  # it says something else
        assert store.correct(marks, run="1", reason="asked") == 3
        assert store.sums()[False].estimated == 1
        assert notes(store, "what", "old_nanos", "old_source", "new_source")[0] == (
            "usage_source", None, "partial", "settled",
        )  # fmt: skip
        store.delete()
        assert store.sums().get(False, NOTHING).estimated == 0

    def test_deleted_rows_leave_it(self, store):
        write(store, OPEN)
        store.delete()
        assert used(store) == Amounts(7, 0, 0, 0, 93, 0)


class TestRules:
    def test_budgets_are_changed_one_by_one_and_lifted(self, bench, store):
        assert store.change_rules({"daily": 9, "per_call": 3}) == BudgetRules(daily=9, per_call=3)
        assert store.change_rules({"daily": None, "unpriced": "ask"}) == BudgetRules(
            per_call=3, unpriced="ask"
        )
        assert store.rules() == BudgetRules(per_call=3, unpriced="ask")
        store.close()
        assert store.rules() == BudgetRules(per_call=3, unpriced="ask")

    def test_rows_that_are_deleted_leave_the_budgets(self, store):
        store.change_rules({"daily": 9})
        write(store, call())
        store.delete()
        assert store.rules() == BudgetRules(daily=9)


class TestReservations:
    def test_what_fits_to_the_last_billionth_is_reserved_and_one_more_is_refused(self, store):
        store.change_rules({"daily": 10})
        store.reserve(reservation(4)).result(10)
        store.reserve(reservation(6)).result(10)
        with pytest.raises(BudgetExceededError, match=r"(?i)daily budget"):
            store.reserve(reservation(1)).result(10)
        assert used(store) == Amounts(reserved=10)

    def test_a_second_reservation_of_a_call_replaces_its_first(self, store):
        store.change_rules({"daily": 10})
        first = reservation(7)
        store.reserve(first).result(10)
        store.reserve(reservation(9, uid=first.uid)).result(10)
        assert used(store).reserved == 9
        with pytest.raises(BudgetExceededError):
            store.reserve(reservation(11, uid=first.uid)).result(10)
        assert used(store).reserved == 9, "a refusal leaves what was reserved before"

    def test_what_is_released_is_free_again(self, store):
        store.change_rules({"daily": 10})
        first = reservation(10)
        store.reserve(first)
        store.release(first.uid)
        store.release("unknown")
        store.reserve(reservation(10)).result(10)
        assert used(store).reserved == 10

    def test_the_row_of_a_call_settles_its_reservation(self, store):
        store.change_rules({"daily": 10})
        first = reservation(10)
        store.reserve(first).result(10)
        write(store, call(uid=first.uid, cost_nanos=3))
        assert used(store) == Amounts(spent=3)
        store.reserve(reservation(7)).result(10)

    @pytest.mark.parametrize("record", [call(cost_nanos=5, simulated=True), call(cost_nanos=None)])
    def test_a_call_that_cost_nothing_known_is_settled_too(self, store, record):
        store.change_rules({"daily": 10})
        store.reserve(reservation(10, uid=record.uid)).result(10)
        write(store, record)
        assert used(store) == Amounts()

    def test_rows_that_were_appended_before_count(self, store):
        store.change_rules({"daily": 10})
        store.append(call(cost_nanos=8))
        with pytest.raises(BudgetExceededError):
            store.reserve(reservation(3)).result(10)

    def test_each_notebook_has_a_budget_of_its_own(self, store):
        store.change_rules({"per_notebook": 10, "unknown_notebook": "allow"})
        write(store, call(cost_nanos=6, notebook="a.ipynb"))
        with pytest.raises(BudgetExceededError, match=r"a\.ipynb"):
            store.reserve(reservation(5, notebook="a.ipynb")).result(10)
        for notebook, nanos in (("a.ipynb", 4), ("b.ipynb", 10), (None, 99)):
            store.reserve(reservation(nanos, notebook=notebook)).result(10)
        assert used(store, "a.ipynb") == Amounts(6, 113, 6, 4)
        assert used(store, "c.ipynb") == Amounts(6, 113, 0, 0)
        assert used(store, None) == Amounts(6, 113, 0, 99), "calls from outside a notebook"

    def test_a_call_from_a_notebook_without_a_name_is_refused_while_notebooks_have_a_budget(self, store):
        store.change_rules({"per_notebook": 10})
        with pytest.raises(BudgetExceededError, match="notebook's name is unknown"):
            store.reserve(reservation(1, notebook=None)).result(10)
        store.reserve(reservation(1, notebook="a.ipynb")).result(10)
        store.change_rules({"per_notebook": None})
        store.reserve(reservation(1, notebook=None)).result(10)

    def test_each_local_day_has_a_budget_of_its_own(self, store):
        store.change_rules({"daily": 10})
        later = START + timedelta(days=1)
        store.reserve(reservation(10)).result(10)
        write(store, call(cost_nanos=4, time=later))
        store.reserve(reservation(6, time=later)).result(10)
        with pytest.raises(BudgetExceededError):
            store.reserve(reservation(1, time=later)).result(10)
        assert used(store, time=later) == Amounts(spent=4, reserved=6)

    def test_a_reservation_outlives_its_lease_a_little_and_then_ends(self, bench, store):
        store.change_rules({"daily": 10})
        store.reserve(reservation(10, lease_s=60)).result(10)
        bench.clock.now += timedelta(seconds=61)
        with pytest.raises(BudgetExceededError):
            store.reserve(reservation(1)).result(10)
        bench.clock.now += timedelta(hours=1)
        assert used(store).reserved == 0
        store.reserve(reservation(10)).result(10)
        assert used(store).reserved == 10

    def test_of_many_callers_at_once_only_as_many_are_admitted_as_fit(self, bench):
        stores = bench.several(4)
        stores[0].change_rules({"daily": 100})
        admitted, barrier = [], threading.Barrier(len(stores))

        def ask(store):
            barrier.wait()
            for _ in range(10):
                with contextlib.suppress(BudgetExceededError):
                    store.reserve(reservation(7)).result(30)
                    admitted.append(7)

        threads = [threading.Thread(target=ask, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(admitted) == 98, "14 fit, a 15th does not"
        assert used(stores[-1]).reserved == 98

    @pytest.mark.parametrize("bench", params(lambda each: each.processes), indirect=True)
    def test_of_many_processes_at_once_only_as_many_callers_are_admitted_as_fit(self, bench):
        store = bench.open()
        store.change_rules({"daily": 100})
        store.close()
        name = next(name for name, backend in BACKENDS.items() if backend is bench.backend)
        command = [sys.executable, __file__, name, str(bench.folder)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        counts = [json.loads(process.communicate()[0]) for process in running]
        assert sum(admitted for admitted, _ in counts) == 14
        assert len(everything(store)) == sum(written for _, written in counts) == 30

    def test_amounts_can_be_had_once_the_rows_before_are_in(self, store):
        store.append(call(cost_nanos=5, notebook="a.ipynb"))
        future = store.settled(micros(START), "a.ipynb")
        assert future.result(10) == Amounts(5, 0, 5, 0)
        assert store.unwritten() == []


@pytest.fixture(scope="module")
def dead():
    """A process that has ended."""
    code = "from llmkit.core.processes import owner; print(owner())"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def intent(**changes):
    fields = {"uid": uuid.uuid4().hex, "time": START, "provider": "openai", "model": "gpt-4o-mini"}
    fields |= {"context": CallContext(), "input_tokens": 1000, "most": UsageBound(4000, 500), "lease_s": 60}
    return CallIntent(**fields | changes)


def of_another_host(owner):
    return Process.parse(owner)._replace(host="elsewhere").text()


def rows_of(store):
    return [dict(zip(COLUMNS, row[1:], strict=True)) for row in everything(store)]


def sent(bench, *intents):
    """Hand intents to a store, and return another one of the same place once they are stored."""
    store = bench.open()
    for each in intents:
        store.intend(each)
    store.close()
    return bench.open()


@pytest.mark.parametrize("bench", params(lambda each: each.shared), indirect=True)
class TestIntents:
    def test_a_call_whose_process_died_gets_a_row(self, bench, dead):
        context = CallContext(
            surface="table", notebook="a.ipynb", cell_id="c", execution_count=3, tags={"p": "ü"},
            parent_uid="f" * 32, step=2,
        )  # fmt: skip
        lost = intent(owner=dead, context=context, session="s", fallback_from="openai:o3")
        (row,) = rows_of(sent(bench, lost))
        assert row["time"] == micros(START)
        known = {name: row[name] for name in ("uid", "status", "surface", "provider", "model", "notebook")}
        assert known == {
            "uid": lost.uid, "status": "lost", "surface": "table", "provider": "openai",
            "model": "gpt-4o-mini", "notebook": "a.ipynb",
        }  # fmt: skip
        assert (row["cell_id"], row["execution_count"], row["session"]) == ("c", 3, "s")
        assert (row["parent_uid"], row["step"], row["fallback_from"]) == ("f" * 32, 2, "openai:o3")
        assert json.loads(row["tags"]) == {"p": "ü"}
        assert (row["input_tokens"], row["usage_source"], row["simulated"]) == (1000, "estimated", 0)
        assert row["cost_nanos"] == 150 * 1000 + 600 * row["output_tokens"]
        assert row["at_most_nanos"] == 150 * 4000 + 600 * 500

    def test_the_estimate_counts_as_spent_and_the_rest_of_the_bound_as_uncertain(self, bench, dead):
        store = sent(bench, intent(owner=dead))
        amounts = used(store)
        (row,) = rows_of(store)
        assert amounts == Amounts(spent=row["cost_nanos"], uncertain=row["at_most_nanos"] - row["cost_nanos"])
        assert store.sums()[False].estimated == 1

    def test_the_usual_answer_of_the_model_is_what_the_ledger_knows_of_it(self, bench, dead):
        store = bench.open()
        write(store, *(call(model="gpt-4o-mini", output_tokens=tokens) for tokens in (20, 30, 40)))
        write(store, call(model="gpt-4o-mini", output_tokens=9000, status="error"))
        store = sent(bench, intent(owner=dead), intent(owner=dead, most=UsageBound(9, 25)))
        assert sorted(row["output_tokens"] for row in rows_of(store)[-2:]) == [25, 30]

    def test_a_model_without_a_price_leaves_the_cost_unknown(self, bench, dead):
        (row,) = rows_of(sent(bench, intent(owner=dead, model="no-such-model")))
        assert (row["status"], row["cost_nanos"], row["at_most_nanos"]) == ("lost", None, None)

    def test_earlier_attempts_and_a_bound_that_is_known_count(self, bench, dead):
        (row,) = rows_of(sent(bench, intent(owner=dead, spent_nanos=10**9, at_most_nanos=3 * 10**9)))
        assert (row["cost_nanos"] > 10**9, row["at_most_nanos"]) == (True, 3 * 10**9)

    def test_a_call_of_the_sandbox_is_simulated_and_spends_nothing(self, bench, dead):
        store = sent(bench, intent(owner=dead, simulated=True))
        assert [row["simulated"] for row in rows_of(store)] == [1]
        assert used(store) == Amounts()

    def test_a_living_process_keeps_its_calls_however_long_they_take(self, bench):
        store = sent(bench, intent())
        bench.clock.now += timedelta(days=1)
        assert store.recover() == 0
        assert rows_of(store) == []

    def test_a_process_of_another_host_has_until_the_end_of_its_lease(self, bench, dead):
        store = sent(bench, intent(owner=of_another_host(dead)), intent(owner="?"))
        bench.clock.now += timedelta(seconds=60)
        assert rows_of(store) == []
        bench.clock.now += timedelta(seconds=60)
        assert [row["status"] for row in rows_of(store)] == ["lost", "lost"]

    def test_a_call_that_ended_leaves_nothing_to_find(self, bench, dead):
        over = intent(owner=dead)
        store = sent(bench, over)
        write(store, call(uid=over.uid, cost_nanos=5))
        assert store.recover() == 0
        assert [row["status"] for row in rows_of(store)] == ["ok"]

    def test_a_call_that_ends_at_once_leaves_nothing_to_find(self, bench, dead):
        over = intent(owner=dead)
        store = bench.open()
        store.intend(over)
        write(store, call(uid=over.uid, cost_nanos=5))
        store.close()
        assert [row["status"] for row in rows_of(bench.open())] == ["ok"]

    def test_a_call_that_was_never_sent_leaves_nothing_to_find(self, bench, dead):
        store = bench.open()
        store.change_rules({"daily": 10**9})
        plan = reservation(5)
        store.reserve(replace(plan, intent=intent(uid=plan.uid, owner=dead))).result(10)
        store.release(plan.uid)
        store.close()
        assert rows_of(bench.open()) == []

    def test_a_later_intent_replaces_the_first(self, bench, dead):
        first = intent(owner=dead)
        store = sent(bench, first, replace(first, model="gpt-4o"))
        assert [row["model"] for row in rows_of(store)] == ["gpt-4o"]

    def test_a_reservation_stores_the_intent_and_gives_way_to_its_row(self, bench, dead):
        store = bench.open()
        store.change_rules({"daily": 10**9})
        plan = reservation(10**9)
        lost = intent(uid=plan.uid, owner=dead, at_most_nanos=10**9)
        store.reserve(replace(plan, intent=lost)).result(10)
        (row,) = rows_of(store)
        assert row["at_most_nanos"] == 10**9
        spent = row["cost_nanos"]
        assert used(store) == Amounts(spent=spent, uncertain=10**9 - spent)
        with pytest.raises(BudgetExceededError):
            store.reserve(reservation(1)).result(10)

    def test_the_row_of_a_call_that_lives_after_all_replaces_the_lost_one(self, bench, dead):
        late = intent(owner=dead)
        store = sent(bench, late)
        lost = store.read()
        assert used(store).spent > 0
        write(store, call(uid=late.uid, cost_nanos=7, usage_source="reported"))
        (row,) = rows_of(store)
        assert (row["status"], row["cost_nanos"], row["at_most_nanos"]) == ("ok", 7, None)
        assert used(store) == Amounts(spent=7)
        sums = store.sums()[False]
        assert (sums.calls, sums.nanos, sums.estimated) == (1, 7, 0)
        assert store.read().epoch != lost.epoch

    def test_a_lost_call_that_ends_after_all_is_counted_again(self, bench, dead):
        store = sent(bench, late := intent(owner=dead))
        assert len(rows_of(store)) == 1
        write(store, call(uid=late.uid, cost_nanos=7))
        by_status = {key[2]: row["calls"] for key, row in counted(store).items()}
        assert by_status == {"lost": 1, "ok": 1}

    def test_it_ends_its_later_reservations_too(self, bench, dead):
        late = intent(owner=dead)
        store = sent(bench, late)
        assert len(rows_of(store)) == 1
        store.change_rules({"daily": 10**10})
        store.reserve(replace(reservation(5), uid=late.uid, intent=late)).result(10)
        write(store, call(uid=late.uid, cost_nanos=7))
        assert used(store) == Amounts(spent=7)
        assert store.recover() == 0
        assert [row["status"] for row in rows_of(store)] == ["ok"]

    def test_a_lost_call_can_be_settled(self, bench, dead):
        lost = intent(owner=dead)
        ledger = Ledger(store=sent(bench, lost))
        ledger.settle(lost.uid, 0.25)
        assert used(ledger.flushed_store()) == Amounts(spent=250_000_000)

    def test_whoever_looks_at_once_there_is_one_row(self, bench, dead):
        sent(bench, *(intent(owner=dead) for _ in range(20)))
        stores, found, together = bench.several(6), [], threading.Barrier(6)

        def look(store):
            together.wait(60)
            found.append(store.recover())
            found.extend(0 for _ in everything(store))

        threads = [threading.Thread(target=look, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sum(found) <= 20
        assert len(set(uids(everything(stores[0])))) == len(everything(stores[0])) == 20


def test_a_place_in_memory_keeps_no_intents(dead):
    store = SQLiteStore(MEMORY)
    store.intend(intent(owner=dead))
    assert store.flush()
    assert (store.recover(), everything(store)) == (0, [])


def counted(store):
    """Return the counters by their keys, without those that are 0."""
    rows = [dict(zip((*COUNTER_KEYS, *COUNTERS), row, strict=True)) for row in store.counters()]
    found = {tuple(row.pop(key) for key in COUNTER_KEYS): row for row in rows}
    return {key: {name: value for name, value in row.items() if value} for key, row in found.items()}


class TestCounters:
    def test_they_sum_calls_by_provider_model_status_and_whether_they_are_simulated(self, store):
        tokens = {"input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 60, "reasoning_tokens": 5}
        write(store, call(cost_nanos=7, **tokens), call(cost_nanos=8, cache_write_tokens=9, **tokens))
        write(store, call(status="error"), call(simulated=True, cost_nanos=1, model=None, provider=None))
        write(store, call(model="n"), call(model="n", status="replayed", saved_nanos=4))
        assert counted(store) == {
            ("openai", "m", "ok", 0): {
                "calls": 2, "nanos": 15, "input_tokens": 200, "output_tokens": 40, "cache_read_tokens": 120,
                "cache_write_tokens": 9, "reasoning_tokens": 10,
            },
            ("openai", "m", "error", 0): {"calls": 1},
            ("", "", "ok", 1): {"calls": 1, "nanos": 1},
            ("openai", "n", "ok", 0): {"calls": 1, "unpriced": 1},
            ("openai", "n", "replayed", 0): {"calls": 1, "saved_nanos": 4},
        }  # fmt: skip

    def test_a_store_without_calls_has_none(self, store):
        assert store.counters() == []

    def test_they_agree_with_the_sums(self, store):
        write(store, *MIXED)
        for fake, sums in store.sums().items():
            rows = [row for key, row in counted(store).items() if key[3] == fake]
            totals = [sum(row.get(name, 0) for row in rows) for name in COUNTERS[:4]]
            assert totals == [sums.calls, sums.unpriced, sums.nanos, sums.saved_nanos]

    def test_deleting_and_correcting_calls_does_not_lower_them(self, bench):
        record = call(cost_nanos=70)
        store = bench.open()
        write(store, record, call(cost_nanos=5))
        before = counted(store)
        store.correct([change(record, 10)], run="r", reason=None)
        assert counted(store) == before
        store.delete()
        assert counted(store) == before
        write(store, call(cost_nanos=1))
        assert counted(store) == {("openai", "m", "ok", 0): {"calls": 3, "nanos": 76}}

    def test_a_call_counts_once_however_often_it_is_written(self, store):
        record = call(cost_nanos=7)
        write(store, record, record)
        write(store, record)
        assert counted(store) == {("openai", "m", "ok", 0): {"calls": 1, "nanos": 7}}


class TestClaims:
    def later(self, bench, seconds=60):
        return micros(bench.clock()) + seconds * 10**6

    def test_only_the_first_owner_has_a_name(self, bench):
        one, other = bench.several(2)
        assert one.claim("once", owner="a", expires=self.later(bench)) is True
        assert other.claim("once", owner="b", expires=self.later(bench)) is False
        assert other.claim("another", owner="b", expires=self.later(bench)) is True

    def test_its_owner_may_set_another_end(self, bench):
        store = bench.open()
        assert store.claim("once", owner="a", expires=self.later(bench))
        assert store.claim("once", owner="a", expires=self.later(bench, 3600))
        bench.clock.now += timedelta(minutes=2)
        assert store.claim("once", owner="b", expires=self.later(bench)) is False

    def test_anybody_has_it_after_its_end(self, bench):
        store = bench.open()
        assert store.claim("once", owner="a", expires=self.later(bench))
        bench.clock.now += timedelta(minutes=1)
        assert store.claim("once", owner="b", expires=self.later(bench))
        assert store.claim("once", owner="a", expires=self.later(bench)) is False

    def test_of_many_at_once_one_has_it(self, bench):
        stores, found, together = bench.several(8), [], threading.Barrier(8)

        def take(number):
            together.wait(60)
            while True:  # the stores of this suite do not wait long for each other
                with contextlib.suppress(ConfigurationError):
                    found.append(stores[number].claim("once", owner=str(number), expires=self.later(bench)))
                    return

        threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(found) == [False] * 7 + [True]

    def test_it_lasts_when_the_store_is_closed(self, bench):
        if not bench.backend.shared:
            pytest.skip("its rows end with it")
        store = bench.open()
        store.claim("once", owner="a", expires=self.later(bench))
        store.close()
        assert bench.open().claim("once", owner="b", expires=self.later(bench)) is False


class TestTrouble:
    @pytest.fixture
    def store(self, bench):
        store = bench.open()
        write(store, MIXED[0])
        return store

    @fallible
    def test_rows_wait_in_memory_and_are_read_from_there(self, bench, store):
        late = [call(cost_nanos=5, notebook="a.ipynb", tags={"late": "yes"}), call(simulated=True)]
        with outage(bench):
            assert [store.append(record).result(10) for record in late] == [False, False]
            assert store.flush(10) is False
            assert store.is_failing is True
            assert [row[UID] for row in store.unwritten()] == [record.uid for record in late]
            assert uids(everything(store)) == [MIXED[0].uid]
            tagged = store.select(Filters(words={}, tags=(("late", None),)))
            assert [row[UID] for page in tagged for row in page] == [late[0].uid]
            assert {fake: sums.calls for fake, sums in store.sums().items()} == {False: 2, True: 1}
            assert sum(sums.calls for sums in store.sums(session="x").values()) == 0
            assert used(store, "a.ipynb") == Amounts(5, 0, 5, 0)
            if (found := store.groups(["status"])) is not None:
                assert merged(found, 1) == expected_groups([MIXED[0], *late], ["status"])
        assert store.flush(10) is True
        assert (store.is_failing, store.unwritten()) == (False, [])
        assert uids(everything(store)) == [record.uid for record in (MIXED[0], *late)]
        assert used(store, "a.ipynb") == Amounts(5, 0, 5, 0)

    @fallible
    def test_a_row_that_comes_after_the_trouble_brings_the_others_along(self, bench, store):
        with outage(bench):
            assert store.append(MIXED[1]).result(10) is False
        assert store.append(MIXED[2]).result(10) is True
        assert uids(everything(store)) == [record.uid for record in MIXED[:3]]
        assert store.is_failing is False

    @fallible
    def test_a_budget_that_cannot_be_checked_lets_nothing_through(self, bench, store):
        store.change_rules({"daily": 10})
        with outage(bench):
            with pytest.raises(ConfigurationError):
                store.reserve(reservation(1)).result(10)
            assert store.append(call(cost_nanos=3)).result(10) is False
            with pytest.raises(ConfigurationError):
                store.settled(micros(START), None).result(10)
            with pytest.raises(ConfigurationError):
                store.change_rules({"daily": 99})
            with pytest.raises(ConfigurationError):
                store.delete()
            with pytest.raises(ConfigurationError):
                store.claim("once", owner="a", expires=micros(START) + 1)
            with pytest.raises(ConfigurationError):
                store.correct([change(MIXED[0], 5)], run="r", reason=None)
            store.release("unknown")
            assert store.rules() == BudgetRules(daily=10)
        assert store.settled(micros(START), "other.ipynb").result(10) == Amounts(spent=3)
        assert len(everything(store)) == 2

    @fallible
    def test_what_cannot_be_read_is_an_error_that_names_the_place(self, bench, store):
        store.close()
        bench.backend.damage(bench.folder)
        readers = [
            store.read,
            lambda: store.select(Filters(words={})),
            store.sums,
            lambda: store.sums(session="a"),
            store.rules,
            store.counters,
            lambda: used(store),
            store.corrections,
        ]
        if bench.backend.adds_up:
            readers.append(lambda: store.groups(["model"]))
        for look in readers:
            with pytest.raises(ConfigurationError, match=bench.folder.name):
                look()


class TestLedger:
    """A user's ledger does the same on any store."""

    @pytest.fixture
    def ledger(self, store):
        return Ledger(store=store)

    def test_it_counts_what_was_reported_to_it(self, ledger):
        assert [ledger.record(record).result(10) for record in MIXED] == [True] * 24
        assert ledger.df["uid"].tolist() == [record.uid for record in MIXED]
        assert ledger.query(provider="google")["uid"].tolist() == [
            record.uid for record in MIXED if record.provider == "google"
        ]
        spent = sum(record.cost_nanos or 0 for record in MIXED if not record.simulated) / 10**9
        assert ledger.total(simulated=False).usd == pytest.approx(spent, abs=1e-9)
        for by in ("model", "notebook", ["month", "status"], "surface", "tag:project"):
            assert ledger.summary(by, simulated=False)["cost_usd"].sum() == pytest.approx(spent, abs=1e-9)
        assert ledger.clear() == 24
        assert ledger.df.empty

    def test_it_says_where_its_rows_are(self, store, ledger):
        assert store.name in repr(ledger)
        assert str(ledger.path) == store.name

    def test_it_takes_a_path_or_a_store_not_both(self, store, tmp_path):
        with pytest.raises(ConfigurationError, match="Pass only one"):
            Ledger(tmp_path / "ledger.sqlite", store=store)

    def test_its_budget_refuses_what_does_not_fit(self, ledger):
        assert ledger.budget(daily=10 / 10**9).daily == 10 / 10**9
        guard, plan = ledger.guard(None), reservation(7)
        asyncio.run(guard.admit(plan))
        with pytest.raises(BudgetExceededError):
            asyncio.run(guard.admit(reservation(4)))
        assert ledger.record(call(uid=plan.uid, cost_nanos=3)).result(10) is True
        asyncio.run(guard.admit(reservation(7)))
        assert ledger.spent_nanos(START) == 3

    def test_its_corrections_can_be_taken_back(self, ledger):
        record = call(cost_nanos=7, input_tokens=1_000_000, output_tokens=0, price_source="genai-prices")
        ledger.record(record).result(10)
        done = ledger.correct(prices={"m": {"input": 2, "output": 2}}, reason="new contract")
        assert ledger.total().usd == 2
        assert ledger.corrections["reason"].tolist() == ["new contract"]
        ledger.correct(undo=done.run)
        assert ledger.sums()[False].nanos == 7

    def test_what_may_have_been_spent_can_be_settled(self, ledger):
        ledger.record(OPEN).result(10)
        assert ledger.uncertain_nanos(START) == 93
        ledger.settle(OPEN.uid, 50 / 10**9)
        assert (ledger.uncertain_nanos(START), ledger.sums()[False].nanos) == (0, 50)


def _reserve_and_write(name, folder):
    """What a process of its own does: it asks for money ten times, and writes down ten calls."""
    store = BACKENDS[name].open(Path(folder), Clock())
    admitted = 0
    for _ in range(10):
        with contextlib.suppress(BudgetExceededError):
            store.reserve(reservation(7)).result(30)
            admitted += 1
    written = sum(store.append(call()).result(30) for _ in range(10))
    store.close()
    return admitted, written


if __name__ == "__main__":
    print(json.dumps(_reserve_and_write(*sys.argv[1:])))  # noqa: T201 - the parent reads it
