"""Rules about the calls of a ledger, and that each alert is sent once for all processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Empty, Queue

import pytest

import llmkit.notebook.notices
from llmkit.core.errors import ConfigurationError
from llmkit.costs import ledger as ledgers
from llmkit.costs.alerting import announcer, watcher, webhook
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord
from tests.support.receiver import Receiver
from tests.support.reference_store import ReferenceStore


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


def pay(ledger, usd=0.0, **changes):
    assert ledger.record(call(cost_nanos=round(usd * 10**9), **changes)).result(60)
    settle()


def settle():
    """Wait until every alert is sent."""
    for thread in threading.enumerate():
        if thread.name == "llmkit-alerts":
            thread.join(60)


class Heard:
    """A function of alerts: what it heard, in order."""

    def __init__(self):
        self.queue = Queue()

    def __call__(self, alert):
        self.queue.put(alert)

    def all(self):
        found = []
        while True:
            try:
                found.append(self.queue.get_nowait())
            except Empty:
                return found


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(watcher, "PAUSE", 0.0)
    monkeypatch.setattr(webhook, "PAUSES", (0.0, 0.0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with closing(Ledger(path)) as ledger:
        yield ledger


class TestSpending:
    def test_a_month_over_its_limit_is_said_once(self, ledger):
        heard = Heard()
        ledger.alert(heard, spent=5, per="month")
        pay(ledger, 4)
        pay(ledger, 1)
        assert heard.all() == []
        pay(ledger, 1)
        pay(ledger, 1)
        (alert,) = heard.all()
        month = f"{datetime.now():%Y-%m}"  # noqa: DTZ005 - local, as the rule's
        assert (alert.kind, alert.value, alert.limit, alert.period, alert.calls) == ("spent", 6, 5, month, "")
        assert str(alert) == f"Calls of {month} cost $6.00, which is over $5.00."

    @pytest.mark.parametrize(
        ("filters", "fitting"),
        [
            ({"model": "m"}, {"model": "m"}),
            ({"tag": "project=thesis"}, {"tags": {"project": "thesis"}}),
            ({"notebook": ["a.ipynb", "b.ipynb"]}, {"notebook": "b.ipynb"}),
            ({"model": "m", "surface": "table"}, {"surface": "table"}),
            ({"simulated": True}, {"simulated": True}),
        ],
    )
    def test_only_the_calls_of_the_rule_count(self, ledger, filters, fitting):
        heard = Heard()
        ledger.alert(heard, spent=1, **filters)
        pay(ledger, 9, **{"model": "n", "notebook": "c.ipynb"} | {"simulated": "simulated" not in filters})
        pay(ledger, 0.75, **fitting)
        pay(ledger, 0.5, time=datetime.now(UTC) - timedelta(days=40), **fitting)
        assert heard.all() == []
        pay(ledger, 0.5, **fitting)
        assert [alert.value for alert in heard.all()] == [1.25]

    def test_a_new_limit_is_worth_a_new_alert(self, ledger):
        heard = Heard()
        stop = ledger.alert(heard, spent=1)
        pay(ledger, 2)
        stop()
        pay(ledger, 2)
        ledger.alert(heard, spent=3)
        pay(ledger, 2)
        assert [(alert.value, alert.limit) for alert in heard.all()] == [(2, 1), (6, 3)]

    def test_a_store_without_kept_sums_does_the_same(self, tmp_path):
        heard = Heard()
        ledger = Ledger(store=ReferenceStore(tmp_path, lambda: datetime.now(UTC)))
        ledger.alert(heard, spent=1, model="m")
        pay(ledger, 9, model="n")
        pay(ledger, 2)
        assert [alert.value for alert in heard.all()] == [2]


class TestErrorRate:
    def test_too_many_failures_are_said_once_in_the_window(self, ledger):
        heard = Heard()
        ledger.alert(heard, error_rate=20, minutes=30, at_least=5)
        for status in ("ok", "error", "cancelled", "interrupted", "ok"):
            pay(ledger, status=status)
        assert heard.all() == [], "four calls are too few"
        pay(ledger, status="replayed")
        pay(ledger, status="error")
        (alert,) = heard.all()
        assert (alert.kind, alert.value, alert.period) == ("error_rate", 40, "30 minutes")
        assert str(alert) == "40% of the calls of the last 30 minutes failed, which is over 20%."

    def test_older_calls_and_those_of_other_models_do_not_count(self, ledger):
        heard = Heard()
        ledger.alert(heard, error_rate=20, minutes=30, at_least=1, model="m")
        pay(ledger, status="error", model="n")
        pay(ledger, status="error", time=datetime.now(UTC) - timedelta(minutes=40))
        pay(ledger)
        assert heard.all() == []

    def test_it_is_said_again_after_the_window(self, ledger, monkeypatch):
        heard = Heard()
        ledger.alert(heard, error_rate=20, at_least=1)
        pay(ledger, status="error")
        later = datetime.now(UTC) + timedelta(minutes=61)

        class Later(datetime):
            @classmethod
            def now(cls, tz=None):
                return later.astimezone(tz)

        start = time.monotonic()
        monkeypatch.setattr(watcher, "datetime", Later)
        monkeypatch.setattr(announcer, "datetime", Later)
        monkeypatch.setattr(watcher.time, "monotonic", lambda: start + 3700)
        monkeypatch.setattr(ledger._store, "_clock", lambda: later)
        pay(ledger, status="error", time=later)
        assert len(heard.all()) == 2


class TestOnce:
    def test_of_two_ledgers_on_one_file_one_says_it(self, path):
        heard = Heard()
        with closing(Ledger(path)) as one, closing(Ledger(path)) as other:
            for ledger in (one, other):
                ledger.alert(heard, spent=1)
                ledger.budget(daily=1, on_alert=heard)
            pay(one, 2)
            pay(other, 2)
            kinds = sorted(alert.kind for alert in heard.all())
            assert kinds == ["daily", "spent"]
            shown = [sorted(alert.kind for alert in each.take_alerts()) for each in (one, other)]
            assert shown == [["daily", "spent"]] * 2, "each notebook shows them"

    def test_each_target_gets_it(self, ledger):
        heard = Heard()
        with Receiver() as first, Receiver() as second:
            ledger.alert([heard, first.url, second.url], spent=1)
            pay(ledger, 2)
            assert first.get()["text"] == second.get()["text"] == str(heard.all()[0])

    def test_a_target_that_fails_does_not_keep_it_from_others(self, ledger, caplog):
        def broken(_):
            raise ValueError("a mistake")

        heard = Heard()
        with Receiver(404) as receiver:
            ledger.alert([broken, receiver.url, heard], spent=1)
            pay(ledger, 2)
        assert len(heard.all()) == 1
        assert "a mistake" in caplog.text
        assert "An alert was not sent: http://127.0.0.1" in caplog.text
        assert "SECRET" not in caplog.text

    def test_what_was_not_taken_is_sent_later_by_whoever_comes(self, path, monkeypatch):
        heard, now = Heard(), datetime.now(UTC)
        with Receiver(404, 200) as receiver, closing(Ledger(path)) as one, closing(Ledger(path)) as other:
            for ledger in (one, other):
                ledger.alert([receiver.url, heard], spent=1)
            pay(one, 2)
            pay(other, 2)
            assert receiver.paths == ["POST /services/T0SECRET/B0SECRET"], "another one waits for the lease"
            monkeypatch.setattr(other._store, "_clock", lambda: now + timedelta(seconds=announcer.LEASE + 60))
            start = time.monotonic()
            monkeypatch.setattr(watcher.time, "monotonic", lambda: start + announcer.LEASE + 60)
            pay(other, 2)
            assert len(receiver.paths) == 2
            assert len(heard.all()) == 1

    def test_a_restart_does_not_repeat_it(self, path):
        code = """
            import sys, uuid
            from datetime import UTC, datetime
            from llmkit.costs.ledger import Ledger
            from llmkit.records import CallRecord
            def told(alert):
                print("told", flush=True)
            ledger = Ledger(sys.argv[1])
            ledger.alert(told, spent=1, per="month")
            ledger.record(CallRecord(uid=uuid.uuid4().hex, time=datetime.now(UTC), status="ok",
                                     provider="openai", model="m", cost_nanos=2 * 10**9))
            """
        code = "\n".join(line[12:] for line in code.splitlines())
        runs = [
            subprocess.run(
                [sys.executable, "-c", code, str(path)],
                capture_output=True,
                text=True,
                check=True,
                timeout=200,
            ).stdout
            for _ in range(2)
        ]
        assert runs == ["told\n", ""]

    @pytest.mark.full
    def test_of_processes_that_pass_a_limit_at_once_one_says_it(self, path):
        code = """
            import os, sys, uuid
            from datetime import UTC, datetime
            from llmkit.costs.ledger import Ledger
            from llmkit.records import CallRecord
            def told(alert):  # by two threads, whose prints could mix
                os.write(1, f"{alert.kind}\\n".encode())
            ledger = Ledger(sys.argv[1])
            ledger.budget(daily=1, on_alert=told)
            ledger.alert(told, spent=1)
            ledger.alert(told, error_rate=5, at_least=1)
            sys.stdin.readline()
            for status in ("ok", "error"):
                ledger.record(CallRecord(uid=uuid.uuid4().hex, time=datetime.now(UTC), status=status,
                                         provider="openai", model="m", cost_nanos=2 * 10**9))
            """
        code = "\n".join(line[12:] for line in code.splitlines())
        command = [sys.executable, "-c", code, str(path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) for _ in range(4)]
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        said = [worker.communicate(timeout=200)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 4
        assert sorted("".join(said).split()) == ["daily", "error_rate", "spent"]

    @pytest.mark.full
    def test_what_a_process_died_over_is_said_by_the_next_one(self, path, monkeypatch):
        code = """
            import sys, threading, uuid
            from datetime import UTC, datetime
            from llmkit.costs.ledger import Ledger
            from llmkit.records import CallRecord
            class Heard:
                def __call__(self, alert):
                    print("at it", flush=True)
                    threading.Event().wait()
            Heard.__module__, Heard.__qualname__ = sys.argv[2:]
            ledger = Ledger(sys.argv[1])
            ledger.alert(Heard(), spent=1)
            ledger.record(CallRecord(uid=uuid.uuid4().hex, time=datetime.now(UTC), status="ok",
                                     provider="openai", model="m", cost_nanos=2 * 10**9))
            """
        code = "\n".join(line[12:] for line in code.splitlines())
        command = [sys.executable, "-c", code, str(path), Heard.__module__, Heard.__qualname__]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout.readline() == "at it\n"
            worker.kill()
        heard = Heard()
        with closing(Ledger(path)) as ledger:
            ledger.alert(heard, spent=1)
            pay(ledger, 2)
            assert heard.all() == [], "the other one may still be at it"
            later = datetime.now(UTC) + timedelta(seconds=announcer.LEASE + 60)
            monkeypatch.setattr(ledger._store, "_clock", lambda: later)
            start = time.monotonic()
            monkeypatch.setattr(watcher.time, "monotonic", lambda: start + announcer.LEASE + 60)
            pay(ledger, 2)
        assert [alert.value for alert in heard.all()] == [6]

    def test_a_budget_posts_to_addresses_too(self, ledger):
        with Receiver() as receiver:
            ledger.budget(daily=1, on_alert=[receiver.url])
            pay(ledger, 0.9)
            assert receiver.get()["text"] == "80% of the daily budget is used: $0.90 of $1.00."
            pay(ledger, 0.2)
            assert receiver.get()["alert"]["threshold"] == 1.0
            assert len(receiver.paths) == 2

    def test_nothing_of_an_address_or_a_tag_is_in_the_file(self, ledger, path):
        with Receiver() as receiver:
            ledger.alert(receiver.url, spent=1, model="m")
            ledger.alert(receiver.url, spent=1, per="month", tag="project=UNSEEN")
            pay(ledger, 2)
            receiver.get()
        ledger.close()
        files = b"".join(each.read_bytes() for each in Path(path.parent).iterdir() if each.is_file())
        assert b"SECRET" not in files
        assert b"UNSEEN" not in files

    def test_a_store_that_cannot_be_asked_does_not_silence_it(self, ledger, monkeypatch):
        heard = Heard()

        def refuse(*_, **__):
            raise ConfigurationError("locked")

        ledger.alert(heard, spent=1)
        monkeypatch.setattr(ledger._store, "claim", refuse)
        pay(ledger, 2)
        assert len(heard.all()) == 1


def test_a_ledger_that_cannot_be_read_now_is_looked_at_after_the_next_call(ledger, monkeypatch, caplog):
    heard = Heard()

    def refuse(*_, **__):
        raise ConfigurationError("The ledger cannot be read: locked.")

    ledger.alert(heard, spent=1)
    caplog.set_level("INFO")
    with monkeypatch.context() as patch:
        patch.setattr(ledger._store, "groups", refuse)
        pay(ledger, 2)
    assert "Cannot look at the alerts' rules: The ledger cannot be read: locked." in caplog.text
    assert heard.all() == []
    pay(ledger, 0.5)
    assert [alert.value for alert in heard.all()] == [2.5]


def test_where_no_thread_can_start_it_comes_all_the_same(ledger):
    heard = Heard()
    ledger.alert(heard, spent=1)
    before = threading.stack_size(1 << 46)  # more than any system has: no thread starts
    try:
        assert ledger.record(call(cost_nanos=2 * 10**9)).result(0) is True
        assert [alert.value for alert in heard.all()] == [2]
    finally:
        threading.stack_size(before)


def test_a_call_during_a_look_leads_to_another_look(ledger):
    heard, looking, go_on = Heard(), threading.Event(), threading.Event()

    def slow(alert):
        looking.set()
        assert go_on.wait(60)
        heard(alert)

    ledger.alert(slow, spent=1)
    ledger.alert(heard, spent=10)
    ledger.record(call(cost_nanos=2 * 10**9)).result(60)
    assert looking.wait(60)
    ledger.record(call(cost_nanos=9 * 10**9)).result(60)
    go_on.set()
    settle()
    assert sorted(alert.limit for alert in heard.all()) == [1, 10]


def test_notebooks_show_it(ledger, monkeypatch):
    monkeypatch.setattr(ledgers, "ledger", ledger)
    ledger.alert(Heard(), spent=1)
    pay(ledger, 2)
    assert [text for text in llmkit.notebook.notices.take_notices() if "which is over $1.00" in text]
    assert llmkit.notebook.notices.take_notices() == []


def test_rules_hold_in_a_forked_process(ledger):
    heard = Heard()
    ledger.alert(heard, spent=1)
    pay(ledger)
    child = os.fork()
    if not child:
        try:
            pay(ledger, 2)
            os._exit(0 if len(heard.all()) == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_rule_means_no_thread(ledger):
    ledger.alert(Heard(), spent=1)()
    ledger.record(call(cost_nanos=2 * 10**9)).result(60)
    assert not [thread for thread in threading.enumerate() if thread.name == "llmkit-alerts"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "An alert needs a limit"),
        ({"spent": -1}, "spent must be US dollars"),
        ({"spent": "much"}, "spent must be US dollars"),
        ({"spent": 1, "per": "week"}, 'per must be "day" or "month"'),
        ({"spent": 1, "since": "2026-11-01"}, "neither since nor until"),
        ({"spent": 1, "modell": "m"}, "model"),
        ({"error_rate": 101}, "error_rate must be between 0 and 100 percent"),
        ({"error_rate": True}, "error_rate must be between"),
        ({"error_rate": 20, "minutes": 0}, "minutes must be between 1 and"),
        ({"error_rate": 20, "at_least": 0}, "at_least must be between 1 and"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(ledger, given, message):
    with pytest.raises(ConfigurationError, match=message):
        ledger.alert(print, **given)


def test_a_budget_refuses_what_cannot_get_alerts(ledger):
    with pytest.raises(ConfigurationError, match="got int"):
        ledger.budget(daily=5, on_alert=5)
    assert ledger.budget().daily is None, "nothing was changed"


def test_targets_that_look_alike_each_get_the_alert(ledger):
    heard = Heard(), Heard(), Heard()
    ledger.alert([heard[0].queue.put, heard[1].queue.put], spent=1)
    ledger.alert([partial(Heard.__call__, heard[2]), partial(Heard.__call__, heard[2])], spent=2)
    pay(ledger, 3)
    pay(ledger, 1)
    assert [len(each.all()) for each in heard] == [1, 1, 2]


def test_a_target_need_not_be_hashable(ledger):
    @dataclass
    class Mailer:
        alerts: list

        def __call__(self, alert):
            self.alerts.append(alert)

    mailer, after = Mailer([]), Heard()
    ledger.alert(mailer, spent=1)
    ledger.alert(after, spent=1)
    pay(ledger, 2)
    assert (len(mailer.alerts), len(after.all())) == (1, 1)


@pytest.mark.parametrize(
    "options", [{"spent": 1, "minutes": -3}, {"error_rate": 5, "per": "week"}, {"spent": True}], ids=str
)
def test_an_option_that_is_wrong_is_refused_whatever_the_rule_is(ledger, options):
    with pytest.raises(ConfigurationError):
        ledger.alert(print, **options)


@pytest.mark.parametrize("url", ["https://hooks.example.com/\u00fc/x", "https://a..b/x"])
def test_an_address_that_can_never_be_posted_to_is_refused(url):
    with pytest.raises(ConfigurationError, match="not a web address"):
        webhook.Webhook(url)
