"""A store in a few dictionaries: it shows what the contract asks, and that SQLite is not a part of it."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from llmkit.core import processes
from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import from_micros, micros
from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.budgets.rules import Amounts
from llmkit.costs.price_rules import is_estimated, is_unpriced
from llmkit.costs.store import lost
from llmkit.costs.store.filters import ALL
from llmkit.costs.store.groups import COUNTERS
from llmkit.costs.store.protocol import Page
from llmkit.costs.store.rows import COLUMNS, TIME, UID, encode, salvage
from llmkit.costs.sums import NOTHING, Sums
from llmkit.records import CallRecord

MARGIN = 30 * 10**6


@dataclass
class Place:
    """What the stores of one folder share."""

    lock: Any = field(default_factory=threading.RLock)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    rows: list = field(default_factory=list)
    last: int = 0
    rules: str | None = None
    reservations: dict = field(default_factory=dict)
    spending: dict = field(default_factory=dict)
    uncertain: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    intents: dict = field(default_factory=dict)
    counters: dict = field(default_factory=dict)
    claims: dict = field(default_factory=dict)
    full: bool = False
    damaged: bool = False


places: dict[Any, Place] = {}


class ReferenceStore:
    """Rows in a list that all stores of the same folder share, for as long as the process lives."""

    snapshot = None
    has_users = False

    def __init__(self, folder, clock):
        self.name = str(folder)
        self.is_failing = False
        self._place = places.setdefault(folder, Place())
        self._clock = clock
        self._waiting = []

    def append(self, record, *, alone=False):
        try:
            self._waiting.append(salvage(encode(record)))
        except AttributeError:
            return done(False)
        return done(self.flush())

    def intend(self, intent):
        if not self._place.full:
            self._place.intents[intent.uid] = (intent, micros(self._clock()) + lease(intent))

    def recover(self):
        place, now = self._place, micros(self._clock())
        if place.full:
            return 0
        with place.lock:
            lost_ones = [intent for intent, ends in place.intents.values() if is_lost(intent, ends <= now)]
            for intent in lost_ones:
                answers = [
                    row.output_tokens
                    for row in map(record_of, (row for _, row in place.rows))
                    if (row.provider, row.model, row.status) == (intent.provider, intent.model, "ok")
                ]
                usual = round(sum(answers) / len(answers)) if answers else None
                self._write(salvage(encode(lost.record_of(intent, usual))))
            return len(lost_ones)

    def unwritten(self):
        return list(self._waiting)

    def read(self, after=0, limit=None, choice=ALL):
        self.recover()
        with self._readable() as place:
            rows = [(number, *row) for number, row in place.rows if number > after][:limit]
            last = rows[-1][0] if rows else after
            more = bool(place.rows) and place.rows[-1][0] > last
            fitting = [row for row in rows if fits(record_of(row[1:]), choice)]
            return Page(place.epoch, fitting, more, last)

    def select(self, choice):
        return [[row for row in self._all() if fits(record_of(row), choice)]]

    def sums(self, *, since=None, session=None):
        sums = {}
        for record in map(record_of, self._all()):
            wanted = since is None or micros(record.time) >= since
            if wanted and session in {None, record.session}:
                one = Sums(1, is_unpriced(record), record.cost_nanos is not None, record.cost_nanos or 0,
                           record.saved_nanos or 0, is_estimated(record))  # fmt: skip
                sums[record.simulated] = sums.get(record.simulated, NOTHING) + one
        return sums

    def groups(self, by):
        return None

    def counters(self):
        self.recover()
        with self._readable() as place:
            return [(*keys, *values) for keys, values in place.counters.items()]

    def claim(self, name, *, owner, expires):
        with self._writable("written") as place:
            holder, end = place.claims.get(name, (owner, 0))
            free = holder == owner or end <= micros(self._clock())
            if free:
                place.claims[name] = (owner, expires)
            return free

    def may_correct(self):
        return True

    def correct(self, changes, *, run, reason):
        with self._writable("corrected") as place:
            return sum(self._correct(place, change, run, reason) for change in changes)

    def corrections(self, run=None):
        with self._readable() as place:
            return [note for note in place.notes if run in {None, note[-1]}]

    def delete(self, before=None):
        self.flush()
        with self._writable("cleared") as place:
            count = len(place.rows)
            place.rows = [each for each in place.rows if before is not None and each[1][TIME] >= before]
            place.notes = [note for note in place.notes if before is not None and note[1] >= before]
            place.epoch = uuid.uuid4().hex
            return count - len(place.rows)

    def rules(self):
        with self._readable() as place:
            return arithmetic.read(place.rules)

    def change_rules(self, changes):
        with self._writable("written") as place:
            place.rules = arithmetic.write(place.rules, changes)
            return arithmetic.read(place.rules)

    def reserve(self, reservation):
        return done_by(lambda: self._reserve(reservation))

    def release(self, uid):
        self._place.reservations.pop(uid, None)
        self._place.intents.pop(uid, None)

    def amounts(self, time, notebook):
        self.recover()
        waiting, used = self.unwritten(), Amounts()
        with self._readable() as place:
            used = self._used(place, local_day(time), notebook, "")
        for record in map(record_of, waiting):
            if local_day(micros(record.time)) == local_day(time):
                mine = record.notebook == notebook
                used += Amounts(
                    spent(record), 0, spent(record) * mine, 0, beyond(record), beyond(record) * mine
                )
        return used

    def settled(self, time, notebook):
        def look():
            self.flush()
            with self._writable("written"):
                return self.amounts(time, notebook)

        return done_by(look)

    def flush(self, timeout=None):
        with self._place.lock:
            self.is_failing = bool(self._waiting) and self._place.full
            while self._waiting and not self._place.full:
                self._write(self._waiting[0])
                del self._waiting[0]
            return not self._waiting

    def close(self):
        self.flush()

    def _write(self, row):
        place, record = self._place, record_of(row)
        place.reservations.pop(record.uid, None)
        place.intents.pop(record.uid, None)
        for index, (number, other) in enumerate(place.rows):
            if row[UID] == other[UID]:
                if record_of(other).status == "lost" != record.status:
                    place.rows[index] = (number, row)
                    place.epoch = uuid.uuid4().hex
                    self._count(record)
                    self._spend(record, spent(record) - spent(record_of(other)))
                    self._doubt(record)
                return
        place.last += 1
        place.rows.append((place.last, row))
        self._count(record)
        self._spend(record, spent(record))
        self._doubt(record)

    def _correct(self, place, change, run, reason):
        for index, (number, row) in enumerate(place.rows):
            old = record_of(row)
            marks = change.what == "usage_source"
            expected, value = (change.before, change.source) if marks else (change.expected, change.nanos)
            if old.uid == change.uid and getattr(old, change.what) == expected:
                new = replace(old, **{change.what: value})
                if change.what in {"cost_nanos", "saved_nanos"}:
                    new = replace(new, price_source=change.source, price_date=change.date)
                place.rows[index] = (number, encode(new))
                place.epoch = uuid.uuid4().hex
                self._spend(new, spent(new) - spent(old))
                self._doubt(new)
                before = (
                    change.expected,
                    change.before or old.price_source,
                    None if marks else old.price_date,
                )
                after = (change.nanos, change.source, change.date)
                call = (micros(self._clock()), row[TIME], old.uid, old.provider, old.model)
                place.notes.append((*call, change.what, *before, *after, reason, run))
                return True
        return False

    def _count(self, record):
        key = (record.provider or "", record.model or "", record.status, int(record.simulated))
        given = (getattr(record, name, None) for name in COUNTERS)
        new = dict(zip(COUNTERS, (value or 0 for value in given), strict=True))
        new |= {"calls": 1, "unpriced": is_unpriced(record), "nanos": record.cost_nanos or 0}
        old = self._place.counters.get(key, (0,) * len(COUNTERS))
        self._place.counters[key] = tuple(map(sum, zip(old, new.values(), strict=True)))

    def _spend(self, record, nanos):
        key = (local_day(micros(record.time)), record.notebook)
        self._place.spending[key] = self._place.spending.get(key, 0) + nanos

    def _doubt(self, record):
        day = local_day(micros(record.time))
        self._place.uncertain[record.uid] = (day, record.notebook, beyond(record))

    def _reserve(self, reservation):
        self.flush()
        with self._writable("written") as place:
            day = local_day(micros(reservation.time))
            used = self._used(place, day, reservation.notebook, reservation.uid)
            if error := arithmetic.refusal(arithmetic.read(place.rules), used, reservation):
                raise error
            ends = micros(self._clock()) + lease(reservation)
            if reservation.intent is not None:
                place.intents[reservation.uid] = (reservation.intent, ends)
            place.reservations[reservation.uid] = (day, reservation.notebook, reservation.nanos, ends)

    def _used(self, place, day, notebook, without):
        now = micros(self._clock())
        held = [
            (name, nanos)
            for uid, (its, name, nanos, ends) in place.reservations.items()
            if its == day and ends > now and uid != without
        ]
        spent = [(name, nanos) for (its, name), nanos in place.spending.items() if its == day]
        doubt = [(name, nanos) for its, name, nanos in place.uncertain.values() if its == day]
        sums = [
            (sum(nanos for _, nanos in each), sum(nanos for name, nanos in each if name == notebook))
            for each in (spent, held, doubt)
        ]
        return Amounts(sums[0][0], sums[1][0], sums[0][1], sums[1][1], *sums[2])

    def _all(self):
        self.recover()
        with self._readable() as place:
            known = {row[UID] for _, row in place.rows}
            return [row for _, row in place.rows] + [r for r in self._waiting if r[UID] not in known]

    def _readable(self):
        return Held(self._place, self._place.damaged, f"The ledger {self.name} cannot be read: damaged.")

    def _writable(self, what):
        return Held(self._place, self._place.full, f"The ledger {self.name} cannot be {what}: full.")


@dataclass
class Held:
    """One place for one caller at a time."""

    place: Place
    refused: bool
    reason: str

    def __enter__(self):
        if self.refused:
            raise ConfigurationError(self.reason)
        self.place.lock.acquire()
        return self.place

    def __exit__(self, *problem):
        self.place.lock.release()


def record_of(row):
    values = dict(zip(COLUMNS, row, strict=True))
    values["time"] = from_micros(values["time"])
    values["tags"] = json.loads(values["tags"] or "{}")
    values["units"] = json.loads(values["units"] or "{}")
    values["simulated"] = bool(values["simulated"])
    return CallRecord(**values)


def fits(record, choice):
    time = micros(record.time)
    return (
        (choice.since is None or time >= choice.since)
        and (choice.until is None or time < choice.until)
        and all(getattr(record, column) in words for column, words in choice.words.items())
        and choice.simulated in {None, record.simulated}
        and all(name in record.tags and value in {None, record.tags[name]} for name, value in choice.tags)
    )


def lease(call):
    return call.lease_s * 10**6 + MARGIN


def is_lost(intent, ended):
    """Whether the process of an intent is dead, or its lease has ended and nobody can tell."""
    process = processes.Process.parse(intent.owner)
    alive = None if process is None else processes.is_alive(process)
    return ended if alive is None else not alive


def spent(record):
    return 0 if record.simulated else max(record.cost_nanos or 0, 0)


def beyond(record):
    return 0 if record.simulated else max((record.at_most_nanos or 0) - spent(record), 0)


def local_day(time):
    return datetime.fromtimestamp(time / 10**6).astimezone().date()


def done(value):
    future = Future()
    future.set_result(value)
    return future


def done_by(work):
    future = Future()
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - a future takes whatever it is
        future.set_exception(error)
    return future
