"""The file of recorded answers: what it keeps, what it refuses, and that nothing breaks it."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError, Usage
from llmkit.clients.cassettes.cassette import VERSION, Cassette, DamagedRecordingError
from llmkit.clients.cassettes.recording import Recording
from llmkit.core.redaction import Secret
from llmkit.costs.ledger import Ledger
from llmkit.parts import Reasoning, Text
from llmkit.records import CallRecord
from tests.support.processes import unmeasured

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = Recording(text="Hello", recorded_at=NOW)
FULL = Recording(
    text="Grüße \U0001f600 \ud800 \0 \u2028",
    usage=Usage(input_tokens=3, output_tokens=4, reasoning_tokens=0),
    finish_reason="stop",
    model="served",
    tier="flex",
    request_id="req_1",
    cost_usd=0.25,
    recorded_at=NOW,
    duration_s=1.5,
    first_token_s=0.5,
    simulated=True,
    content=(Reasoning("Hm.", {"signature": "s"}, "openai"), Text("Grüße")),
)
REQUEST = {"path": "/x", "body": {"model": "m", "temperature": 0.7, "messages": ["Hi"]}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "demo.replay"


@pytest.fixture
def cassette(path):
    return Cassette(path, timeout=0.05)


def write(cassette, key="a", recording=PLAIN, *, provider="p", model="m", request=REQUEST):
    cassette.write(key, recording, provider=provider, model=model, request=request)


def sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        return [file.execute(statement).fetchall() for statement in statements]


class TestKeeping:
    @pytest.mark.parametrize("recording", [PLAIN, FULL, replace(FULL, usage=None, text="")])
    def test_what_is_recorded_comes_back(self, cassette, recording):
        write(cassette, recording=recording)
        assert cassette.read("a") == recording

    def test_a_full_recording_leaves_no_field_out(self):
        assert all(getattr(FULL, field.name) is not None for field in fields(Recording))

    @given(text=st.text(st.characters(exclude_categories=())))
    def test_any_text_comes_back(self, text):
        with tempfile.TemporaryDirectory() as folder:
            cassette = Cassette(Path(folder, "cassette"))
            write(cassette, recording=replace(PLAIN, text=text))
            assert cassette.read("a").text == text

    def test_without_a_file_nothing_is_recorded(self, cassette, path):
        assert cassette.read("a") is None
        assert cassette.count() == cassette.clear() == 0
        cassette.check()
        assert not path.exists()

    def test_another_request_has_no_recording(self, cassette):
        write(cassette)
        assert cassette.read("b") is None

    def test_a_second_recording_replaces_the_first(self, cassette):
        write(cassette)
        write(cassette, recording=FULL)
        assert cassette.read("a") == FULL
        assert cassette.count() == 1

    def test_a_time_is_kept_in_utc(self, cassette):
        local = datetime.fromisoformat("2026-11-22T13:00:00+01:00")
        write(cassette, recording=replace(PLAIN, recorded_at=local))
        assert str(cassette.read("a").recorded_at) == "2026-11-22 12:00:00+00:00"

    def test_clearing_leaves_nothing_in_the_file(self, cassette, path):
        for key in range(20):
            write(cassette, str(key), provider="canary-provider")
        assert cassette.clear() == 20
        assert cassette.count() == 0
        assert b"canary" not in path.read_bytes()
        assert path.stat().st_size < 5_000
        write(cassette)
        assert cassette.count() == 1

    def test_only_the_owner_may_read_it(self, cassette, path):
        before = os.umask(0)
        try:
            write(cassette)
        finally:
            os.umask(before)
        assert oct(path.stat().st_mode & 0o777) == "0o600"
        assert oct(path.parent.stat().st_mode & 0o777) == "0o700"

    def test_it_stands_alone(self, cassette, path):
        write(cassette)
        assert list(path.parent.iterdir()) == [path]
        said = sql(path, "PRAGMA journal_mode", "PRAGMA user_version", "PRAGMA application_id")
        assert said == [[("delete",)], [(1,)], [(int.from_bytes(b"llmr", "big"),)]]

    def test_twenty_answers_of_300_words_are_small_enough_to_commit(self, cassette, path):
        rng = random.Random(1)
        words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(2_000)]
        for key in range(20):
            answer = replace(FULL, text=" ".join(rng.choices(words, k=300)))
            write(cassette, f"{key:064}", answer, request={"messages": " ".join(rng.choices(words, k=60))})
        assert path.stat().st_size < 60_000

    def test_a_key_is_not_kept(self, cassette, path):
        keys = [Secret("canary-key-0123456789", "a test"), "sk-proj-abcdefgh12345678"]
        request = {"a": [f"Use {keys[0].reveal()}!"], keys[1]: 7}
        write(cassette, request=request)
        (((data,),),) = sql(path, "SELECT request FROM recordings")
        assert json.loads(zlib.decompress(data)) == {"a": ["Use [redacted]!"], "[redacted]": 7}
        assert b"canary" not in path.read_bytes()


class TestNearest:
    def test_an_empty_file_says_so(self, cassette, path):
        assert cassette.nearest("p", "m", REQUEST) == "the file is empty or missing"
        path.parent.mkdir()
        path.touch()
        assert cassette.nearest("p", "m", REQUEST) == "the file is empty or missing"
        write(cassette)
        cassette.clear()
        assert cassette.nearest("p", "m", REQUEST) == "the file is empty or missing"

    def test_other_models_are_counted(self, cassette):
        write(cassette, model="other")
        write(cassette, "b", provider="other")
        assert cassette.nearest("p", "m", REQUEST) == "its 2 recordings are of other models"

    def test_the_one_with_the_fewest_differences_is_meant(self, cassette):
        body = REQUEST["body"]
        write(cassette, "a", request={"path": "/y", "body": body | {"temperature": 1, "seed": 1}})
        write(cassette, "b", request={"path": "/x", "body": body | {"temperature": 1, "top_p": 1}})
        write(cassette, "c", request={"path": "/y", "body": body | {"temperature": 1, "messages": []}})
        assert (
            cassette.nearest("p", "m", REQUEST)
            == "the most similar of its 3 recordings differs in temperature, top_p"
        )

    def test_a_request_without_a_wire_format_is_compared_by_name(self, cassette):
        write(cassette, request={"messages": [["user", "a"]], "model": "m"})
        said = cassette.nearest("p", "m", {"messages": [["user", "b"]], "model": "m"})
        assert said == "the most similar of its 1 recordings differs in messages"

    def test_the_server_is_not_in_the_request(self, cassette):
        write(cassette)
        assert (
            cassette.nearest("p", "m", REQUEST)
            == "the most similar of its 1 recordings differs in a key or the server"
        )

    def test_what_cannot_be_read_is_passed_over(self, cassette, path):
        write(cassette, "a", request=[1])
        write(cassette, "b")
        sql(path, "UPDATE recordings SET request = x'00' WHERE key = 'b'")
        said = "the most similar of its 2 recordings differs in messages, model, path, temperature"
        assert cassette.nearest("p", "m", REQUEST) == said


def empty(path):
    path.touch()


def text_file(path):
    path.write_text("Dear diary, today I did not use SQLite. " * 50)


def ledger(path):
    ledger = Ledger(path)
    ledger.record(CallRecord(time=NOW, uid="1", status="ok", provider="p", model="m")).result(10)
    ledger.close()


def other_database(path):
    sql(path, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")


def other_application(path):
    sql(path, "PRAGMA application_id = 7", "CREATE TABLE t (x)")


def in_write_ahead_mode(path):
    sql(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)")


def newer(path):
    write(Cassette(path))
    sql(path, f"PRAGMA user_version = {VERSION + 1}")


def without_table(path):
    write(Cassette(path))
    sql(path, "DROP TABLE recordings")


def cut(path):
    for key in range(20):
        write(Cassette(path), str(key), replace(PLAIN, text=random.Random(key).randbytes(3_000).hex()))
    os.truncate(path, 20_000)


def overwritten(path):
    for key in range(20):
        write(Cassette(path), str(key), replace(PLAIN, text=random.Random(key).randbytes(3_000).hex()))
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(b"\xff" * 20_000)


def folder(path):
    path.mkdir()


BROKEN = [
    (text_file, "not a file of recordings but something else"),
    (ledger, "not a file of recordings but the ledger"),
    (other_database, "a database of another application"),
    (other_application, "a database of another application"),
    (in_write_ahead_mode, "a database of another application"),
    (newer, "newer llmkit"),
    (without_table, "is damaged"),
    (cut, "is damaged"),
    (overwritten, "is damaged"),
    (folder, "cannot be read"),
]


@pytest.mark.parametrize(("make", "said"), BROKEN)
def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(cassette, path, make, said):
    path.parent.mkdir()
    make(path)
    files = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    for use in (cassette.count, lambda: cassette.read("a"), lambda: write(cassette), cassette.clear):
        with pytest.raises(ConfigurationError, match=said) as caught:
            use()
        assert str(path) in str(caught.value)
        assert caught.value.hint
        assert len(str(caught.value)) <= 500
    assert files == {file: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("make", "said"), [case for case in BROKEN if case[0].__name__ in "ledger text_file newer"]
)
def test_checking_a_file_finds_what_it_is(cassette, path, make, said):
    path.parent.mkdir()
    make(path)
    with pytest.raises(ConfigurationError, match=said):
        cassette.check()


def test_an_empty_file_becomes_one_of_ours(cassette, path):
    path.parent.mkdir()
    empty(path)
    cassette.check()
    assert cassette.read("a") is None
    assert cassette.count() == cassette.clear() == 0
    write(cassette)
    assert cassette.read("a") == PLAIN


def test_answers_that_come_first_at_once_are_all_kept(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        for number in range(60):
            cassette = Cassette(tmp_path / f"{number}.replay")
            list(pool.map(partial(write, cassette), "abcd"))
            assert cassette.count() == 4


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/cassette cannot be written: .*Check the folder"):
        write(Cassette(tmp_path / "file" / "cassette"))


def test_a_locked_file_is_waited_for_then_refused(cassette, path):
    write(cassette)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for use in (lambda: cassette.read("a"), lambda: write(cassette)):
            with pytest.raises(ConfigurationError, match=r"locked by another process for 0\.05 s"):
                use()
        other.execute("COMMIT")
    assert cassette.read("a") == PLAIN


def test_a_file_that_went_away_is_made_again(cassette, path):
    write(cassette)
    path.unlink()
    path.parent.rmdir()
    assert cassette.read("a") is None
    write(cassette)
    assert cassette.read("a") == PLAIN


def packed(**changes):
    values = {field.name: getattr(FULL, field.name) for field in fields(Recording)}
    values["content"] = [{"part": "text", "text": "Hi"}]
    values |= {"usage": {"input_tokens": 1}, "recorded_at": "2026-01-01T00:00:00+00:00"} | changes
    return zlib.compress(json.dumps({name: v for name, v in values.items() if v is not ...}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zlib",
        packed()[:-1],
        packed()[:-2] + b"xx",
        zlib.compress(b"no json"),
        zlib.compress(b"[]"),
        zlib.compress(b"7"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b" " * 70_000_000 + b"{}"),
        packed(text=None),
        packed(text=7),
        packed(text=...),
        packed(surplus=1),
        packed(model=7),
        packed(simulated="no"),
        packed(cost_usd="1"),
        packed(cost_usd=-0.1),
        packed(cost_usd=float("inf")),
        packed(duration_s=float("nan")),
        packed(recorded_at="yesterday"),
        packed(recorded_at=None),
        packed(usage=[1]),
        packed(usage={"input_tokens": -1}),
        packed(usage={"input_tokens": 1.5}),
        packed(usage={"tokens": 1}),
    ],
)
def test_a_damaged_recording_is_distinguished_from_a_damaged_file(cassette, path, data):
    write(cassette)
    write(cassette, "b", FULL)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE recordings SET answer = ? WHERE key = 'a'", (data,))
    with pytest.raises(DamagedRecordingError, match=r"A recording in .*demo\.replay is damaged"):
        cassette.read("a")
    assert cassette.read("b") == FULL
    write(cassette)
    assert cassette.read("a") == PLAIN


def test_what_the_damage_test_packs_is_a_recording(cassette, path):
    write(cassette)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE recordings SET answer = ?", (packed(),))
    assert cassette.read("a").usage == Usage(input_tokens=1)


HEAD = """
import os, sys, urllib.parse  # now: another user may not be allowed to read it
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from llmkit import ConfigurationError
from llmkit.clients.cassettes.recording import Recording
from llmkit.clients.cassettes.cassette import Cassette

cassette = Cassette(Path(sys.argv[1]))

def write(key, text):
    recording = Recording(text=text, recorded_at=datetime.now(UTC))
    cassette.write(key, recording, provider="p", model="m", request={})
"""


def start(code, path):
    arguments = [sys.executable, "-W", "error", "-c", HEAD + textwrap.dedent(code), str(path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, text=True, stdout=pipe, stderr=pipe, env=unmeasured())


def finish(process):
    try:
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()  # nothing outlives a test that fails
    assert process.returncode == 0, err
    assert not err
    return out


@pytest.fixture
def foreign_folder():
    """Make a folder of a user whom permissions stop, which they do not do for root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        folder.chmod(0o700)


def test_a_file_that_may_only_be_read_is_read(foreign_folder):
    path = foreign_folder / "demo.replay"
    write(Cassette(path), "known")
    path.chmod(0o444)
    foreign_folder.chmod(0o555)
    code = """
    if os.geteuid() == 0:
        os.seteuid(65534)
    assert cassette.read("known").text == "Hello" and cassette.count() == 1
    try:
        write("new", "x")
    except ConfigurationError as error:
        print(error)
    """
    assert "demo.replay cannot be written" in finish(start(code, path))


def test_a_folder_that_may_not_be_entered_is_named(foreign_folder):
    inner = foreign_folder / "closed"
    inner.mkdir()
    inner.chmod(0)
    foreign_folder.chmod(0o755)
    code = """
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        cassette.read("x")
    except ConfigurationError as error:
        print(error)
    """
    assert "cannot be read" in finish(start(code, inner / "cassette"))
    inner.chmod(0o700)


def test_four_processes_write_while_another_reads(path):
    code = "for n in range(40): write(f'{os.getpid()}-{n}', 'x' * n * 50)"
    writers = [start(code, path) for _ in range(4)]
    cassette = Cassette(path)
    while any(process.poll() is None for process in writers):
        cassette.check()
        assert cassette.read("none") is None
    for process in writers:
        finish(process)
    assert cassette.count() == 160
    assert len(cassette.read(f"{writers[0].pid}-39").text) == 39 * 50


def kill_while_writing(path, rng):
    """Kill a process in the middle of it; return the keys that it said were safe."""
    code = """
    for n in range(10**6):
        write(f"{os.getpid()}-{n}", "canary " * 600)
        print(f"{os.getpid()}-{n}", flush=True)
    """
    process = start(code, path)
    with process:
        said = [process.stdout.readline()]
        time.sleep(rng.random() * 0.02)  # any moment will do
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
        process.stderr.close()
    return [key.strip() for key in said if key.endswith("\n")]


def check_after_kills(path, times):
    rng, safe = random.Random(times), []
    for _ in range(times):
        safe += kill_while_writing(path, rng)
        cassette = Cassette(path)
        assert all(cassette.read(key).text == "canary " * 600 for key in rng.sample(safe, min(10, len(safe))))
    assert sql(path, "PRAGMA integrity_check") == [[("ok",)]]
    assert all(Cassette(path).read(key) is not None for key in safe)
    return safe


def test_a_killed_process_leaves_a_whole_file(path):
    assert len(check_after_kills(path, 4)) >= 4


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_200_killed_processes_leave_a_whole_file(path):
    assert len(check_after_kills(path, 200)) >= 200


def half_written(path):
    """Leave the file as a process does that dies between its journal and its commit."""
    write(Cassette(path), "before")
    code = """
    import sqlite3
    file = sqlite3.connect(cassette.path, isolation_level=None)
    file.execute("PRAGMA cache_size = 1")
    file.execute("BEGIN IMMEDIATE")
    for n in range(200):
        file.execute("INSERT INTO recordings VALUES (?, '', 'p', 'm', ?, x'00')", (n, b"x" * 2000))
    os.kill(os.getpid(), 9)
    """
    with start(code, path) as process:
        process.wait(60)
        process.stdout.close()
        process.stderr.close()
    assert path.with_name(f"{path.name}-journal").exists()


@pytest.mark.parametrize("use", [lambda cassette: cassette.count() == 1, write, Cassette.check])
def test_what_a_dead_process_left_half_done_is_undone(path, use):
    half_written(path)
    use(Cassette(path))
    assert Cassette(path).read("before") == PLAIN
    assert "x" * 100 not in path.read_bytes().decode("latin-1")
    assert not path.with_name(f"{path.name}-journal").exists()
