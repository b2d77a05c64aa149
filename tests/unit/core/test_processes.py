"""Whether a process is alive: a doubt never counts as dead."""

import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from llmkit.core import processes
from llmkit.core.processes import Process, current, is_alive, owner

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

SLEEP = "from llmkit.core.processes import owner; print(owner(), flush=True); input()"


@pytest.fixture
def other():
    command = [sys.executable, "-c", SLEEP]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def told(process):
    return Process.parse(process.stdout.readline())


def test_this_process_is_alive_and_has_a_text_of_its_own():
    assert is_alive(current()) is True
    assert Process.parse(owner()) == current()


def test_another_process_is_alive_until_it_ends(other):
    known = told(other)
    assert is_alive(known) is True
    other.kill()
    other.wait(60)
    assert is_alive(known) is False


@linux
def test_a_killed_process_that_nobody_has_waited_for_is_dead(other):
    known = told(other)
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert is_alive(known) is False


def test_a_number_that_another_process_has_now_is_not_the_same_process():
    assert is_alive(current()._replace(start="1")) is False


@pytest.mark.parametrize(
    "change",
    [{"host": "another"}, {"namespace": "pid:[1] time:[1]"}, {"start": ""}],
    ids=["another host", "another container", "an unknown start"],
)
def test_what_cannot_be_known_from_here_is_unknown(change):
    assert is_alive(current()._replace(**change)) is None


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ("pid:[4026531836] time:[1]", "pid:[4026531836] time:[1]", False),
        ("pid:[4026531836] time:[1]", "pid:[99] time:[1]", None),
        ("pid:[99] time:[1]", "pid:[99] time:[1]", None),
    ],
    ids=["on the machine itself", "from a container", "both in containers"],
)
def test_after_a_restart_of_the_machine_its_processes_are_dead(monkeypatch, here, there, expected):
    monkeypatch.setattr(processes, "_place", lambda: ("host", "boot 2", here))
    assert is_alive(Process("host", "boot 1", there, os.getpid(), "1")) is expected


@linux
def test_a_process_whose_start_cannot_be_read_counts_as_unknown(other, monkeypatch):
    known = told(other)
    monkeypatch.setattr(processes, "_read", lambda path: "")
    assert is_alive(known) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_is_another_process():
    mine, (reading, writing) = owner(), os.pipe()
    if not (child := os.fork()):
        os.write(writing, owner().encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 1000).decode()
    os.close(reading)
    os.close(writing)
    assert owner() == mine != told
    assert Process.parse(told).pid == child


@pytest.mark.parametrize("text", ["", "?", "[]", "{}", '["h", "b", "n", "x", "s"]', "[1, 2, 3]", "null"])
def test_a_text_that_is_no_process_is_none(text):
    assert Process.parse(text) is None


def test_where_there_is_no_proc_psutil_tells(monkeypatch):
    monkeypatch.setattr(processes, "_place", lambda: ("host", "", ""))
    here = current()
    assert here.start
    assert is_alive(here) is True
    assert is_alive(here._replace(start="1000.000")) is False
    monkeypatch.setattr(processes, "_psutil", lambda: None)
    assert is_alive(here) is None
    assert current().start == ""


class _GoneError(Exception):
    pass


class _DeniedError(Exception):
    pass


@pytest.mark.parametrize(("error", "expected"), [(_GoneError, False), (_DeniedError, None)])
def test_where_psutil_cannot_look_the_process_is_gone_or_unknown(monkeypatch, error, expected):
    def fail(pid):
        raise error

    module = types.SimpleNamespace(Process=fail, NoSuchProcess=_GoneError, Error=_DeniedError)
    monkeypatch.setattr(processes, "_place", lambda: ("host", "", ""))
    monkeypatch.setattr(processes, "_psutil", lambda: module)
    assert is_alive(Process("host", "", "", os.getpid(), "1000.000")) is expected
