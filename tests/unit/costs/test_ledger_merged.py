import csv
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite import schema
from llmkit.records import CallRecord
from tests.support.examples import examples
from tests.unit.costs.test_ledger_frame import records

START = datetime(2026, 11, 20, 9, tzinfo=UTC)


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "time": START}
    return CallRecord(**fields | changes)


def write(path, *calls):
    with closing(Ledger(path)) as ledger:
        for record in calls:
            ledger.record(record)
    return path


def sql(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def laptop(tmp_path):
    return tmp_path / "laptop.sqlite"


@pytest.fixture
def server(tmp_path):
    return tmp_path / "server.sqlite"


@pytest.fixture
def merged(laptop, server):
    """Open a ledger over the two files, which a test must have written by then."""
    opened = []

    def read(*paths):
        opened.append(Ledger.merged(*(paths or (laptop, server))))
        return opened[-1]

    yield read
    for ledger in opened:
        ledger.close()


def test_its_counters_are_the_sums_of_the_calls_each_once(merged, laptop, server):
    both = call(cost_nanos=5, model="m", provider="p")
    write(laptop, both, call(cost_nanos=1, model="m", provider="p"))
    write(server, both)
    store = merged().flushed_store()
    assert [row[:7] for row in store.counters()] == [("p", "m", "ok", 0, 2, 0, 6)]
    with pytest.raises(ConfigurationError, match="cannot take claims"):
        store.claim("once", owner="a", expires=1)


def models(ledger):
    return ledger.df["model"].tolist()


class TestTogether:
    def test_a_call_that_is_in_both_counts_once(self, laptop, server, merged):
        both, mine, yours = call(cost_nanos=1), call(cost_nanos=20), call(cost_nanos=300)
        write(laptop, both, mine)
        write(server, yours, both)
        ledger = merged()
        assert ledger.df["uid"].tolist() == [both.uid, mine.uid, yours.uid]
        assert ledger.sums()[False].nanos == 321
        assert ledger.total().calls == 3

    def test_copies_of_a_file_are_one_ledger(self, laptop, server, merged):
        write(laptop, *(call(cost_nanos=n) for n in range(5)))
        shutil.copy(laptop, server)
        assert merged(laptop, server, laptop).sums() == merged(laptop).sums() == Ledger(laptop).sums()

    def test_all_that_reads_a_ledger_reads_several(self, laptop, server, merged, tmp_path):
        write(laptop, call(cost_nanos=10**9, model="a", notebook="a.ipynb", tags={"project": "x"}))
        write(server, call(cost_nanos=2 * 10**9, model="b"), call(model="b", simulated=True))
        ledger = merged()
        assert ledger.query(model="b", simulated=False)["cost_usd"].tolist() == [2.0]
        assert ledger.query(tag="project=x", since=START.isoformat())["model"].tolist() == ["a"]
        assert ledger.summary().to_dict("index")["b"]["cost_usd"] == 2.0
        assert ledger.summary("tag:project")["calls"].tolist() == [1, 1]
        assert ledger.summary(["month", "surface"])["cost_usd"].tolist() == [3.0]
        assert ledger.plot("model").get_title(loc="left") == "b took 67 % of $3.00"
        assert ledger.charts.cumulative().get_title(loc="left")
        ledger.to_csv(tmp_path / "all.csv")
        with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
            assert [row["model"] for row in csv.DictReader(file)] == ["a", "b", "b"]
        assert repr(ledger) == f"Ledger('{laptop} + {server}'): $3.00 over 2 calls; 1 simulated call left out"
        assert {*llmkit.LLMMonitor.from_ledger(ledger).by_model()} == {"openai:a", "openai:b"}

    @examples(25)
    @given(
        st.lists(
            st.tuples(records, st.sets(st.integers(0, 2), min_size=1)),
            max_size=12,
            unique_by=lambda c: c[0].uid,
        )
    )
    def test_it_shows_what_one_ledger_with_all_the_calls_would(self, calls):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.sqlite" for number in range(3)]
            for number, path in enumerate(paths):
                path.touch()
                write(path, *(record for record, places in calls if number in places))
            whole = write(Path(folder) / "all.sqlite", *(record for record, _ in calls))
            with closing(Ledger.merged(*paths)) as ledger, closing(Ledger(whole)) as one:
                assert ledger.sums() == one.sums()
                frames = [
                    each.df.set_index("uid").sort_index().astype({"tags": str}) for each in (ledger, one)
                ]
                pd.testing.assert_frame_equal(*frames, check_categorical=False)
                for by in ("model", "day", ["notebook", "status"]):
                    summaries = [each.summary(by, simulated=False).sort_index() for each in (ledger, one)]
                    pd.testing.assert_frame_equal(*summaries)


class TestRefresh:
    def test_only_what_is_new_is_taken(self, laptop, server, merged):
        write(laptop, call(model="1"))
        write(server, call(model="2"))
        ledger = merged()
        assert models(ledger) == ["1", "2"]
        page = ledger._store.read()
        write(laptop, call(model="3"))
        write(server, call(model="4"))
        later = ledger._store.read(page.rows[-1][0])
        assert (len(later.rows), later.epoch == page.epoch) == (2, True)
        assert models(ledger) == ["1", "2", "3", "4"]
        assert ledger.summary()["calls"].sum() == ledger.total().calls == 4

    def test_calls_of_a_ledger_that_is_open_elsewhere_appear(self, laptop, server, merged):
        write(server)
        server.touch()
        with closing(Ledger(laptop)) as writing:
            for number in range(3):
                assert writing.record(call(cost_nanos=10**9)).result(10)
                if not number:
                    ledger = merged()
                assert ledger.total().usd == number + 1

    def test_a_file_that_is_being_written_to_is_read(self, laptop, server, merged):
        write(laptop, call())
        write(server, call())
        with closing(sqlite3.connect(laptop, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert merged().total().calls == 2

    def test_what_was_cleared_in_one_goes_unless_another_one_has_it(self, laptop, server, merged):
        both, mine = call(model="both"), call(model="mine")
        write(laptop, both, mine)
        write(server, both, call(model="yours"))
        ledger = merged()
        assert len(ledger.df) == 3
        with closing(Ledger(laptop)) as writing:
            writing.clear()
        assert models(ledger) == ["both", "yours"]
        assert ledger.summary()["calls"].sum() == 2

    @pytest.mark.parametrize("later", [0, 1, 5])
    def test_a_file_that_is_replaced_by_an_older_copy_is_read_anew(self, laptop, server, merged, later):
        write(laptop, call(model="old"))
        write(server, call(model="yours"))
        backup = shutil.copy(laptop, f"{laptop}-backup")
        write(laptop, call(model="lost"), call(model="lost"))
        ledger = merged()
        assert models(ledger) == ["old", "lost", "lost", "yours"]
        Path(backup).replace(laptop)
        write(laptop, *(call(model="new") for _ in range(later)))
        assert models(ledger) == ["old", *["new"] * later, "yours"]

    def test_a_row_that_changes_is_read_anew(self, laptop, server, merged):
        write(laptop, call(cost_nanos=10**9))
        write(server, call())
        ledger = merged()
        assert ledger.total().usd == 1.0
        sql(laptop, "UPDATE calls SET cost_nanos = 5000000000")
        assert ledger.total().usd == 5.0
        assert ledger.df["cost_usd"].sum() == 5.0

    def test_after_closing_it_is_read_again(self, laptop, server, merged):
        write(laptop, call(model="1"))
        write(server, call(model="2"))
        ledger = merged()
        assert len(ledger.df) == 2
        ledger.close()
        assert models(ledger) == ["1", "2"]


def correct(path, record, nanos, when):
    """Correct a call's cost as the store does: a note, and the row."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO corrections (run, corrected, time, uid, what, old_nanos, new_nanos, new_source)"
            " SELECT ?, ?, time, uid, 'cost_nanos', cost_nanos, ?, 'config' FROM calls WHERE uid = ?",
            (f"run {when}", when, nanos, record.uid),
        )
        connection.execute(
            "UPDATE calls SET cost_nanos = ?, price_source = 'config' WHERE uid = ?", (nanos, record.uid)
        )


def notes(ledger):
    query = "SELECT run, new_nanos FROM corrections ORDER BY id"
    with ledger._store._reader() as connection:
        return connection.execute(query).fetchall()


class TestCorrections:
    @pytest.mark.parametrize("first", ["laptop", "server"])
    def test_of_two_copies_the_corrected_one_is_right(self, laptop, server, merged, first):
        both = call(cost_nanos=1, price_source="genai-prices")
        write(laptop, both)
        shutil.copy(laptop, server)
        correct(laptop if first == "laptop" else server, both, 5, when=10)
        ledger = merged()
        assert ledger.sums()[False].nanos == 5
        assert ledger.df["price_source"].tolist() == ["config"]
        assert notes(ledger) == [("run 10", 5)]

    @pytest.mark.parametrize("later", ["laptop", "server"])
    def test_of_two_corrections_the_later_one_holds(self, laptop, server, merged, later):
        both = call(cost_nanos=1)
        write(laptop, both, call(cost_nanos=100))
        shutil.copy(laptop, server)
        correct(laptop, both, 5, when=20 if later == "laptop" else 10)
        correct(server, both, 7, when=20 if later == "server" else 10)
        assert merged().sums()[False].nanos == (105 if later == "laptop" else 107)

    def test_a_correction_that_comes_later_is_seen(self, laptop, server, merged):
        both = call(cost_nanos=1)
        write(laptop, both)
        shutil.copy(laptop, server)
        ledger = merged()
        assert ledger.sums()[False].nanos == 1
        correct(server, both, 5, when=10)
        assert ledger.sums()[False].nanos == 5
        assert ledger.df["cost_usd"].tolist() == [5e-9]

    def test_a_file_with_corrections_that_appears_later_corrects_what_was_read(self, laptop, server, merged):
        both = call(cost_nanos=1)
        write(laptop, both)
        server.touch()
        ledger = merged()
        assert ledger.df["cost_usd"].tolist() == [1e-9]
        assert ledger.summary()["cost_usd"].tolist() == [1e-9]
        shutil.copy(laptop, f"{server}-copy")
        correct(f"{server}-copy", both, 5, when=10)
        server.write_bytes(Path(f"{server}-copy").read_bytes())
        assert ledger.df["cost_usd"].tolist() == [5e-9]
        assert ledger.summary()["cost_usd"].tolist() == [5e-9]

    def test_a_correction_in_one_is_reported_for_all(self, laptop, server, merged):
        both = call(cost_nanos=1, input_tokens=1000, output_tokens=0)
        write(laptop, both)
        shutil.copy(laptop, server)
        prices = {"m": {"input": 2, "output": 2}}
        with closing(Ledger(server)) as ledger:
            ledger.correct(prices=prices, reason="contract")
        ledger = merged()
        assert ledger.total().usd == 0.002
        assert ledger.corrections[["uid", "new_usd", "reason"]].to_numpy().tolist() == [
            [both.uid, 0.002, "contract"]
        ]
        assert ledger.reprice(prices={"m": {"input": 4, "output": 4}}).what_if_usd == 0.004
        with pytest.raises(ConfigurationError, match=r"merged ledger cannot correct prices.*Ledger\(path\)"):
            ledger.correct(prices={"m": {"input": 3, "output": 3}})
        assert ledger.total().usd == 0.002

    def test_notes_of_copies_are_shown_once(self, laptop, server, merged):
        one, two = call(cost_nanos=1), call(cost_nanos=1)
        write(laptop, one, two)
        correct(laptop, one, 5, when=10)
        shutil.copy(laptop, server)
        correct(laptop, two, 6, when=11)
        correct(server, two, 7, when=12)
        ledger = merged()
        assert notes(ledger) == [("run 10", 5), ("run 11", 6), ("run 12", 7)]
        assert ledger.sums()[False].nanos == 12


class TestSources:
    def test_a_missing_file_is_an_error_at_once_and_later(self, laptop, server, merged):
        write(laptop, call())
        with pytest.raises(ConfigurationError, match=r"Ledger not found: .*server\.sqlite"):
            merged()
        write(server, call())
        ledger = merged()
        assert ledger.total().calls == 2
        server.rename(f"{server}-away")
        for look in (lambda: ledger.df, ledger.total, ledger.summary, lambda: ledger.query(model="m")):
            with pytest.raises(ConfigurationError, match=r"Ledger not found: .*server\.sqlite"):
                look()
        assert "server.sqlite" in repr(ledger)
        Path(f"{server}-away").rename(server)
        assert ledger.total().calls == 2

    def test_without_files_there_is_nothing_to_read(self):
        with pytest.raises(ConfigurationError, match=r"Ledger\.merged"):
            Ledger.merged()

    def test_a_file_may_have_any_name(self, laptop, tmp_path, merged):
        odd = write(tmp_path / "what? #1 50% 'mine' ü.sqlite", call(model="odd"))
        write(laptop, call(model="even"))
        assert models(merged(laptop, odd)) == ["even", "odd"]

    def test_a_home_folder_is_understood(self, laptop, server, monkeypatch):
        monkeypatch.setenv("HOME", str(laptop.parent))
        write(laptop, call())
        with closing(Ledger.merged("~/laptop.sqlite")) as ledger:
            assert ledger.total().calls == 1

    def test_an_empty_file_is_a_ledger_without_calls_until_there_are_some(self, laptop, server, merged):
        write(laptop, call(model="1"))
        server.touch()
        ledger = merged()
        assert models(ledger) == ["1"]
        write(server, call(model="2"))
        assert models(ledger) == ["1", "2"]
        server.write_bytes(b"")
        assert models(ledger) == ["1"]

    @pytest.mark.parametrize("kind", ["foreign", "damaged", "folder"])
    def test_what_is_no_ledger_is_an_error_that_names_it(self, laptop, server, merged, kind):
        write(laptop, call())
        if kind == "foreign":
            sql(server, "CREATE TABLE calls (id INTEGER PRIMARY KEY, who TEXT)")
        elif kind == "damaged":
            server.write_bytes(b"\xff" * 5000)
        else:
            server.mkdir()
        ledger = merged()
        for look in (lambda: ledger.df, ledger.total):
            with pytest.raises(ConfigurationError, match=r"server\.sqlite"):
                look()
        server.rename(f"{server}-away")
        write(server, call())
        assert ledger.total().calls == 2, "what was taken before the error counts once"

    def test_files_of_older_and_newer_versions_are_read(self, laptop, server, merged):
        write(laptop, call(model="new", cost_nanos=7))
        with closing(sqlite3.connect(server, isolation_level=None)) as connection:
            for statement in schema.MIGRATIONS[0]:
                connection.execute(statement)
            connection.execute("PRAGMA user_version = 1")
            connection.execute(
                "INSERT INTO calls (time, uid, status, provider, model, cost_nanos)"
                " VALUES (5, 'x', 'ok', 'p', 'old', 3)"
            )
        sql(laptop, "ALTER TABLE calls ADD COLUMN region TEXT", "PRAGMA user_version = 99")
        ledger = merged()
        assert models(ledger) == ["new", "old"]
        assert ledger.sums()[False].nanos == 10

    def test_the_files_stay_as_they_are(self, laptop, server, merged):
        write(laptop, call())
        write(server, call())
        before = [path.read_bytes() for path in (laptop, server)]
        ledger = merged()
        assert (len(ledger.df), len(ledger.summary())) == (2, 1)
        ledger.close()
        assert [path.read_bytes() for path in (laptop, server)] == before

    def test_files_that_may_only_be_read_are_read(self, merged):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path = write(folder / "ledger.sqlite", call(cost_nanos=10**9))
            path.chmod(0o444)
            folder.chmod(0o555)
            out = run(
                f"""
                from llmkit.costs.ledger import Ledger
                import llmkit.costs.store.sqlite.merged, llmkit.costs.frame.summary
                if os.geteuid() == 0:
                    os.seteuid(65534)
                print(Ledger.merged({str(path)!r}).total())
                """
            )
            folder.chmod(0o700)
        assert out == "$1.00 over 1 call"


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import os, sys\n" + textwrap.dedent(code)],
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestReadOnly:
    def test_calls_are_not_recorded_and_not_deleted(self, laptop, server, merged):
        write(laptop, call())
        write(server, call())
        ledger = merged()
        for change in (lambda: ledger.record(call()), ledger.clear):
            with pytest.raises(ConfigurationError, match=r"merged ledger cannot .*Ledger\(path\)"):
                change()
        assert ledger.total().calls == 2

    def test_no_budget_is_kept_but_what_was_spent_can_be_seen(self, laptop, server, merged):
        now, both = datetime.now(UTC), call(cost_nanos=10**9, time=datetime.now(UTC), notebook="a.ipynb")
        write(laptop, both, call(cost_nanos=10**9, time=now, simulated=True))
        with closing(Ledger(laptop)) as one:
            one.budget(daily=5)
        write(
            server,
            both,
            call(cost_nanos=3 * 10**9, time=now),
            call(cost_nanos=7, time=now - timedelta(days=9)),
        )
        ledger = merged()
        with pytest.raises(ConfigurationError, match="budget"):
            ledger.budget(daily=5)
        status = ledger.budget()
        assert (status.daily, status.spent, status.reserved) == (None, 4.0, 0.0)
        assert ledger.spent_nanos(now - timedelta(days=9)) == 7
        assert ledger._store.amounts(micros(now), "a.ipynb").notebook_spent == 10**9
        assert ledger._store.amounts(micros(now), None).notebook_spent == 3 * 10**9
        assert ledger.guard(None) is None


class TestTemporaryFile:
    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
    def test_it_has_no_name_and_is_its_owners_only_and_ends_with_the_ledger(self, laptop, tmp_path):
        write(laptop, *(call(model="m" * 5000) for _ in range(1000)))
        (tmp_path / "scratch").mkdir()
        out = run(
            f"""
            from pathlib import Path
            from llmkit.costs.ledger import Ledger
            scratch = Path({str(tmp_path / "scratch")!r})
            def mine():
                links = [(f, os.readlink(f)) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
                return [f for f, target in links if target.startswith(str(scratch))]
            ledger = Ledger.merged({str(laptop)!r})
            assert ledger.total().calls == 1000
            (file,) = mine()
            print(oct(file.stat().st_mode & 0o777), file.stat().st_size > 5_000_000, [*scratch.iterdir()])
            ledger.close()
            print(mine())
            """,
            SQLITE_TMPDIR=str(tmp_path / "scratch"),
        )
        assert out == "0o600 True []\n[]"

    def test_without_room_for_it_there_is_no_sum_and_another_folder_is_named(self, laptop):
        write(laptop, *(call(model="m" * 5000) for _ in range(1000)))
        out = run(
            f"""
            import resource, signal
            from llmkit.costs.ledger import Ledger
            from llmkit.core.errors import ConfigurationError
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            ledger = Ledger.merged({str(laptop)!r})
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            try:
                print(ledger.total())
            except ConfigurationError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(ledger.total().calls)
            """
        )
        assert "laptop.sqlite cannot be read: d" in out
        assert "SQLITE_TMPDIR sets another folder." in out
        assert out.endswith("\n1000")

    def test_a_child_process_reads_on_by_itself(self, laptop, server):
        write(laptop, call(cost_nanos=10**9))
        write(server, call(cost_nanos=10**9))
        out = run(
            f"""
            from llmkit.costs.ledger import Ledger
            import llmkit.costs.frame.frame
            ledger = Ledger.merged({str(laptop)!r}, {str(server)!r})
            assert ledger.total().calls == 2
            if not (child := os.fork()):
                assert len(ledger.df) == 2
                print(ledger.total(), flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert len(ledger.df) == 2
            print(ledger.total())
            """
        )
        assert out.splitlines() == ["$2.00 over 2 calls"] * 2

    def test_several_threads_read_it_at_once(self, laptop, server, merged):
        write(laptop, *(call(cost_nanos=1) for _ in range(50)))
        write(server, *(call(cost_nanos=1) for _ in range(50)))
        ledger, found = merged(), []

        def look():
            for _ in range(5):
                sums, calls = ledger.sums()[False], ledger.summary()["calls"].sum()
                found.append((len(ledger.df), sums.nanos, int(calls)))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(100, 100, 100)] * 20
