"""`%llm doctor` says what works, what does not, and what to do about it."""

import asyncio
import os
import re
import socket
import sqlite3
from datetime import UTC, datetime
from email.utils import formatdate
from importlib.metadata import version
from time import time

import pytest
from aiohttp import web

import llmkit
from llmkit import OpenAIClient, records
from llmkit.clients import registry
from llmkit.clients.credentials.health import clock_skew
from llmkit.core.postgres import Address
from llmkit.costs.ledger import Ledger
from llmkit.frames.answers import location
from llmkit.frames.answers.protocol import Answer
from llmkit.frames.answers.sqlite import SqliteAnswers
from llmkit.notebook.commands import doctor
from llmkit.notebook.commands.doctor import Finding, examine, examine_answers, examine_ledger
from tests.support.kernels import Kernel
from tests.support.reference_store import ReferenceStore
from tests.support.shells import opened

KEY = "sk-proj-Doctor0123456789abcdef"


@pytest.fixture(autouse=True)
def _fresh_clients(monkeypatch):
    """The process's shared clients keep the address they were made with."""
    monkeypatch.setattr(registry, "_shared", {})


@pytest.fixture
def openai_at(monkeypatch):
    def at(address):
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", address)

    return at


async def serve(handle):
    """A server whose every answer is the handler's; returns its address and its runner."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}", runner


def line(report, name):
    """One finding, on one line."""
    lines = report.replace("\n" + " " * 15, " ").splitlines()
    (found,) = [text for text in lines if text[2:].startswith(f"{name} ")]
    return found


async def test_a_provider_that_answers_is_shown_with_its_keys_place_and_not_the_key(server, openai_at):
    openai_at(server.url("openai"))
    report = await examine("openai:sandbox")
    assert line(report, "openai").startswith("✓ openai       key from OPENAI_API_KEY; ")
    assert re.search(r"\d models in [\d.]+ s", line(report, "openai"))
    assert line(report, "model") == "✓ model        openai:sandbox; openai lists it"
    assert line(report, "clock") == "✓ clock        correct to within a minute"
    assert KEY not in report


async def test_what_does_not_work_says_what_to_do(server, openai_at):
    openai_at("http://127.0.0.1:1/v1")
    report = await examine("openai:no-such-model")
    assert line(report, "openai").startswith("✗ openai       key from OPENAI_API_KEY; No answer from")
    assert line(report, "anthropic").startswith("· anthropic    no key: ")
    assert "%llm key anthropic, or set ANTHROPIC_API_KEY" in line(report, "anthropic")
    assert line(report, "clock").startswith("· clock")
    assert line(report, "model").startswith("· model")


async def test_a_missing_key_is_a_fault_only_where_the_default_model_needs_it(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert line(await examine("openai:gpt-5.4-mini"), "openai").startswith("✗ openai       no key: ")
    report = await examine("sandbox:sandbox")
    assert line(report, "openai").startswith("· openai       no key: ")
    assert max(map(len, report.splitlines())) <= doctor.WIDTH


async def test_a_default_model_that_the_provider_does_not_list_is_reported(server, openai_at):
    openai_at(server.url("openai"))
    found = line(await examine("openai:gpt-none"), "model")
    assert found.startswith("✗ model")
    assert "%llm model NAME" in found


async def test_an_unknown_default_model_does_not_end_the_report():
    report = await examine("no such thing")
    assert line(report, "model").startswith("✗ model")
    assert line(report, "versions").startswith("· versions")


async def test_a_refused_key_is_reported_without_the_key(server, openai_at, monkeypatch):
    openai_at(server.url("openai"))
    monkeypatch.setenv("OPENAI_API_KEY", "invalid")
    assert line(await examine(), "openai").startswith("✗ openai       key from OPENAI_API_KEY; ")


async def test_a_wrong_clock_is_reported_with_what_to_do(openai_at):
    async def late(_request):
        return web.json_response(
            {"data": [{"id": "m"}]}, headers={"date": formatdate(time() - 7200, usegmt=True)}
        )

    address, runner = await serve(late)
    openai_at(address)
    found = line(await examine(), "clock")
    await runner.cleanup()
    assert found.startswith("✗ clock        7,")
    assert "s ahead: " in found
    assert "set the clock" in found


async def test_a_health_check_measures_the_clock(openai_at):
    async def early(_request):
        return web.json_response({"data": []}, headers={"date": formatdate(time() + 300, usegmt=True)})

    address, runner = await serve(early)
    async with OpenAIClient("k", address) as client:
        health = await client.health_check()
    await runner.cleanup()
    assert health.ok
    assert -302 < health.skew_s < -298


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}, {"date": formatdate(0), "age": "100"}])
def test_a_clock_is_not_compared_with_what_does_not_tell_the_time(headers):
    assert clock_skew(headers, 1e9) is None


async def test_a_provider_that_stays_silent_costs_no_more_than_its_deadline(openai_at, monkeypatch):
    monkeypatch.setattr(doctor, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        openai_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        report = await asyncio.wait_for(examine(), 30)
    assert "no answer in 0.5 s: check the network" in line(report, "openai")
    assert line(report, "ledger").startswith("✓ ledger")


async def test_the_sandbox_needs_no_key(monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    report = await examine()
    assert line(report, "openai").startswith("✓ openai       sandbox; ")


async def test_no_line_is_wider_than_a_page(openai_at):
    openai_at("http://127.0.0.1:1/" + "long/" * 60)
    report = await examine()
    assert max(map(len, report.splitlines())) <= 90


def written_ledger(path):
    ledger = Ledger(path)
    ledger.record(records.CallRecord(**CALL)).result(10)
    ledger.close()
    return ledger


CALL = {
    "time": datetime(2026, 11, 22, tzinfo=UTC),
    "uid": "0" * 32,
    "status": "ok",
    "provider": "openai",
    "model": "m",
}


def test_a_ledger_is_shown_with_its_rows_size_and_permissions(tmp_path):
    finding = examine_ledger(written_ledger(tmp_path / "ledger.sqlite"))
    assert finding.ok
    assert f"{tmp_path / 'ledger.sqlite'}; 1 rows, 0." in finding.text
    assert "permissions 600, schema " in finding.text


def test_a_ledger_that_others_may_read_is_reported(tmp_path):
    ledger = written_ledger(tmp_path / "ledger.sqlite")
    (tmp_path / "ledger.sqlite").chmod(0o644)
    finding = examine_ledger(ledger)
    assert not finding.ok
    assert f"chmod 600 {tmp_path / 'ledger.sqlite'}" in finding.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_ledger_in_a_read_only_folder_is_reported(tmp_path):
    tmp_path.chmod(0o500)
    finding = examine_ledger(Ledger(tmp_path / "ledger.sqlite"))
    tmp_path.chmod(0o700)
    assert not finding.ok
    assert "LLMKIT_LEDGER" in finding.text


def test_a_ledger_that_is_not_there_yet_is_not_created(tmp_path):
    finding = examine_ledger(Ledger(tmp_path / "new" / "ledger.sqlite"))
    assert finding.ok
    assert "the first call creates it" in finding.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no database at all " * 100, None])
def test_a_file_that_is_not_a_ledger_is_reported(tmp_path, content):
    path = tmp_path / "ledger.sqlite"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE things (name)")
        other.close()
    else:
        path.write_bytes(content)
    finding = examine_ledger(Ledger(path))
    assert not finding.ok
    assert "Move it away" in finding.text


def test_a_locked_ledger_is_still_examined(tmp_path):
    ledger = written_ledger(tmp_path / "ledger.sqlite")
    writer = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert examine_ledger(ledger).ok
    writer.rollback()
    writer.close()


def test_a_finding_is_marked_and_aligned():
    assert str(Finding(name="a", text="fine")) == "✓ a            fine"
    assert str(Finding(name="b", text="bad", ok=False)) == "✗ b            bad"
    assert str(Finding(name="c", text="so", ok=None)) == "· c            so"


async def test_widgets_and_versions_are_shown():
    report = await examine()
    assert f"ipywidgets {version('ipywidgets')}" in line(report, "widgets")
    assert f"llmkit {llmkit.__version__}" in line(report, "versions")
    assert "Python 3." in line(report, "versions")
    assert "genai-prices" in line(report, "prices")


@pytest.mark.kernel
def test_an_interrupt_ends_the_examination(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kernel = Kernel(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=address)
        try:
            kernel.run("%load_ext llmkit\nimport llmkit.notebook.commands.doctor as d\nd.PATIENCE = 600")
            silent.setblocking(True)

            def stop(kernel, result):
                if any(message["msg_type"] == "execute_input" for message in result.messages) and not told:
                    told.append(silent.accept())  # the doctor is asking
                    kernel.interrupt()

            told = []
            result = kernel.run("%llm doctor", during=stop, seconds=30)
            assert result.reply["ename"] in {"KeyboardInterrupt", "Stopped"}
            assert KEY not in str(result.messages)
            assert kernel.run("print(1)").text == "1\n"
        finally:
            kernel.close()
            for connection, _ in told:
                connection.close()


def test_a_default_model_that_is_not_checked_says_nothing_untrue_of_its_provider():
    with opened() as shell:
        line = shell.do("%llm doctor").text.splitlines()[0]
    assert line.endswith("sandbox:sandbox; not checked against a list of models")


def test_the_answers_of_tables_are_shown_with_their_size_and_how_to_delete_them(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert "ledger.answers.sqlite; does not exist yet" in examine_answers(ledger).text
    store = SqliteAnswers(tmp_path / "ledger.answers.sqlite")
    store.put(Answer(b"key", "ok", "Rhine")).result(60)
    store.close()
    found = examine_answers(ledger)
    assert found.ok
    assert found.text.startswith(f"{tmp_path / 'ledger.answers.sqlite'}; 1 rows, 0.")
    assert "permissions 600" in found.text
    assert "llmkit.frames.forget(older_than=timedelta(days=30))" in found.text


def test_answers_that_cannot_be_read_are_reported(tmp_path):
    (tmp_path / "ledger.answers.sqlite").write_bytes(b"no database, but long enough to be read as one" * 9)
    found = examine_answers(Ledger(tmp_path / "ledger.sqlite"))
    assert found.ok is False
    assert "cannot be read: file is not a database" in found.text


class SharedStore(ReferenceStore):
    """A store in a database."""

    def __init__(self, url):
        self.address = Address(url)
        super().__init__(self.address.name, time)


def test_answers_in_a_database_are_shown_with_their_size(postgres):
    ledger = Ledger(store=SharedStore(postgres))
    found = examine_answers(ledger)
    assert found.ok
    assert found.text.startswith(
        f"{ledger.database.name}; 0.0 MB of yours, which other users cannot read; to"
    )
    location.store_at(ledger.database).close()


def test_answers_in_a_database_that_is_away_are_reported():
    found = examine_answers(Ledger(store=SharedStore("postgresql://me:a-long-password@127.0.0.1:1/llm")))
    assert found.ok is False
    assert found.text.startswith("Cannot reach postgresql://me@127.0.0.1:1/llm: ")


async def test_the_report_has_a_line_about_the_answers():
    assert (
        line(await examine(), "answers") == "· answers      of tables: in memory, lost when this process ends"
    )
