"""The commands that show something: what they print, as text and as JSON."""

import contextlib
import csv
import io
import json
import sys
import types
from datetime import datetime

import pandas as pd
import pytest

import llmkit
from llmkit.command_line import output
from llmkit.command_line.main import COMMANDS
from llmkit.costs import ledger as module
from llmkit.costs.ledger import Ledger
from llmkit.frames.answers import location
from llmkit.frames.answers.protocol import Answer
from llmkit.frames.answers.sqlite import SqliteAnswers
from llmkit.sandbox.__main__ import main as sandbox_main
from tests.support.postgres import PASSWORD


def test_the_help_lists_every_command_and_the_exit_codes(run):
    done = run("--help")
    assert done.code == 0
    assert [name for name in COMMANDS if f"\n    {name:<10}  {COMMANDS[name]}\n" not in done.out] == []
    assert "\n    3  a budget refused" in done.out
    assert run().out == done.out, "without a command, too"


def test_every_command_explains_its_arguments(run):
    for name in COMMANDS:
        done = run(name, "--help")
        assert done.code == 0
        assert done.out.startswith(f"usage: llmkit {name}")


def test_a_command_that_does_not_exist_is_an_error_of_usage(run):
    done = run("costs")
    assert (done.code, done.out) == (2, "")
    assert "invalid choice: 'costs'" in done.err


def test_the_version_is_that_of_the_package(run):
    assert run("--version").out == f"llmkit {llmkit.__version__}\n"


def test_cost_adds_up_as_the_ledger_does(run, ledger):
    for model in ("haiku", "sonnet", "sonnet"):
        run("ask", "hi", "-m", model, "--tag", "project=thesis")
    done = run("cost", "--json").json
    total = ledger.total()
    assert (done["total"]["calls"], done["total"]["cost_usd"]) == (3, total.usd)
    assert done["today"] == done["total"]
    summary = ledger.summary("model")
    assert [(one["model"], one["calls"], one["cost_usd"]) for one in done["groups"]] == list(
        zip(summary.index, summary["calls"], summary["cost_usd"], strict=True)
    )
    text = run("cost", "tag:project").out.splitlines()
    assert text[0] == f"Today: {total}"
    assert text[-1].split()[:2] == ["thesis", "3"]


def test_cost_takes_filters_and_several_groups(run, ledger):
    run("ask", "hi", "-m", "haiku")
    run("ask", "hi", "-m", "sonnet")
    done = run("cost", "day", "surface", "--model", "claude-haiku-5-5", "--since", "7d", "--json").json
    (group,) = done["groups"]
    assert (group["surface"], group["calls"], done["total"]["calls"]) == ("cli", 1, 1)
    day = ledger.df["time"].iloc[0].tz_convert(datetime.now().astimezone().tzinfo).isoformat()
    for name, text in {"hour": day[:13], "day": day[:10], "month": day[:7]}.items():
        assert [one[name] for one in run("cost", name, "--json").json["groups"]] == [text]
    assert run("cost", "--since", "2100-01-01", "--json").json["groups"] == []
    rows = list(csv.DictReader(io.StringIO(run("cost", "status", "--csv").out)))
    assert [(row["status"], row["calls"]) for row in rows] == [("ok", "2")]


def test_a_wrong_group_or_date_is_one_sentence(run):
    group, date = run("cost", "modle"), run("cost", "--since", "yesterdayish")
    assert (group.code, group.out, group.err) == (
        2,
        "",
        "llmkit cost: Unknown column 'modle'. Did you mean 'model'?\n",
    )
    assert date.code == 1
    assert date.err.startswith("llmkit cost: 'yesterdayish' cannot be used as a date or time.")


def test_budgets_are_set_shown_and_removed(run, ledger):
    done = run("budget", "5", "per_call=$0.10", "--json").json
    assert (done["daily"], done["per_call"], done["per_notebook"]) == (5.0, 0.1, None)
    assert ledger.budget().daily == 5.0
    assert run("budget").out.startswith("daily        $5.00: $0.00 spent")
    assert run("budget", "off", "--json").json["daily"] is None
    wrong = run("budget", "dialy=3")
    assert (wrong.code, wrong.err) == (1, "llmkit budget: Unknown budget 'dialy'. Did you mean 'daily'?\n")


def test_models_have_prices_aliases_and_what_they_lack(run):
    found = {one["name"]: one for one in run("models", "claude", "--json").json}
    haiku = found["anthropic:claude-haiku-5-5"]
    assert haiku["aliases"] == ["haiku"]
    assert haiku["input"] < haiku["output"]
    assert haiku["source"] == "genai-prices"
    assert "anthropic:claude-haiku-5-5  haiku" in run("models", "haiku").out
    assert run("models", "nosuchmodel").code == 1


def test_doctor_names_what_it_checked_in_the_words_of_a_shell(run, ledger):
    done = run("doctor", "--json")
    found = {one["name"]: one for one in done.json}
    assert found["sandbox"]["ok"]
    assert str(ledger.path) in found["ledger"]["text"]
    assert "%llm" not in done.out
    assert run("doctor").out.count("\n") >= len(found)


def test_doctor_ends_with_1_if_the_ledger_cannot_be_used_not_for_a_missing_key(run, ledger, monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "0")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    key = run("doctor", "-m", "anthropic:claude-haiku-5-5", "--json")
    assert {one["name"]: one["ok"] for one in key.json}["anthropic"] is False
    assert key.code == 0
    ledger.path.write_bytes(b"no database" * 1000)
    done = run("doctor")
    assert "✗ ledger" in done.out
    assert done.code == 1


def test_jobs_are_listed_with_their_rows(run):
    assert run("jobs").err.startswith("No jobs so far")
    frame = pd.DataFrame({"text": ["x", "y"]})
    llmkit.frames.map(frame, "say {{text}}", model="sandbox", progress=False, job="saying")
    (job,) = run("jobs", "--json").json
    assert (job["job"], job["verb"], job["rows"], job["state"]) == ("saying", "map", 2, "done")
    assert "saying" in run("jobs").out


def test_metrics_on_a_port_that_is_none_are_an_error_in_a_sentence(run):
    done = run("metrics", "--port", "70000")
    assert done.code == 1
    assert done.err.startswith("llmkit metrics: Cannot serve metrics on 127.0.0.1, port 70000: ")


def test_the_sandbox_on_a_port_that_cannot_be_used_is_an_error_in_a_sentence(run, capsys):
    with llmkit.sandbox.start() as server:
        ports = ["70000", str(server.port)]
        for port in ports:
            done = run("sandbox", "--port", port)
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith(
                f"llmkit sandbox: Cannot serve the sandbox on 127.0.0.1, port {port}: "
            )
            with pytest.raises(SystemExit):
                sandbox_main(["--port", port])
            assert f"error: Cannot serve the sandbox on 127.0.0.1, port {port}: " in capsys.readouterr().err


def test_an_error_of_the_system_without_a_file_is_told_by_its_text(capsys):
    output.complain("ask", OSError(98, "Address already in use"))
    assert capsys.readouterr().err == "llmkit ask: [Errno 98] Address already in use\n"


def test_addresses_are_trusted_listed_and_revoked(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    url = "https://gate.example/team"
    assert run("trust").out == ""
    assert run("trust", url).out == run("trust").out == f"{url}\n"
    assert f"llmkit trust revoke {url}" in " ".join(run("doctor").out.split())
    assert run("trust", "revoke", url).out == run("trust").out == ""
    for wrong in (("revoke",), ("revoke", url, url), (url, url), ("revoke", url)):
        assert run("trust", *wrong).code == 1


def test_calls_are_exported_in_every_format(run, ledger, tmp_path):
    run("ask", "hi", "-m", "haiku", "--tag", "project=thesis")
    run("ask", "hi", "-m", "sonnet")
    lines = [json.loads(line) for line in run("export").out.splitlines()]
    assert [line["uid"] for line in lines] == ledger.df["uid"].tolist()
    assert [line["cost_usd"] for line in lines] == ledger.df["cost_usd"].tolist()
    assert lines[0]["tags"] == {"project": "thesis"}
    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv", "--tag", "project").out)))
    assert [row["uid"] for row in rows] == [lines[0]["uid"]]
    for name in ("calls.csv", "calls.jsonl", "calls.parquet"):
        assert run("export", name).code == 0
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert pd.read_parquet("calls.parquet")["uid"].tolist() == ledger.df["uid"].tolist()
    assert (tmp_path / "calls.jsonl").read_text(encoding="utf-8").count("\n") == 2
    for wrong in (("calls.txt",), ("--format", "parquet"), ("a.csv", "--to", "b.sqlite")):
        assert run("export", *wrong).code == 1


def test_a_ledger_is_copied_into_another(run, ledger):
    run("ask", "hi")
    assert run("export", "--to", "other.sqlite").out == "1 call copied\n"
    again = run("export", "--to", "other.sqlite", "--json").json
    assert again == {"copied": 0, "known": 1, "corrections": 0, "left_out": 0, "answers": 0}
    with contextlib.closing(Ledger("other.sqlite")) as other:
        assert other.df["uid"].tolist() == ledger.df["uid"].tolist()
    same = run("export", "--to", str(ledger.path))
    assert (same.code, same.out) == (1, "")


def test_the_answers_of_tables_move_with_a_whole_ledger(run, ledger, tmp_path):
    with contextlib.closing(location.store_at(location.place_of(ledger))) as store:
        store.put(Answer(b"k", "ok", "Rhine")).result(60)
        assert run("export", "--to", "part.sqlite", "--since", "7d").out == "0 calls copied\n"
        assert run("export", "--to", "all.sqlite").out == "0 calls copied; 1 answer of tables copied\n"
        assert run("export", "--to", "all.sqlite").out == "0 calls copied\n"
        assert run("export", "--to", ":memory:").out == "0 calls copied\n"
    with contextlib.closing(SqliteAnswers(tmp_path / "all.answers.sqlite")) as other:
        assert other.get([b"k"])[b"k"].text == "Rhine"


def test_the_dashboard_is_a_page_of_its_own(run, tmp_path):
    run("ask", "hi", "-m", "haiku")
    assert run("dashboard", "status", "--since", "7d").out == "llm-costs.html\n"
    page = (tmp_path / "llm-costs.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert "<script" not in page
    assert "Simulated calls: not real money" in page
    assert (tmp_path / "llm-costs.html").stat().st_mode & 0o077 == 0
    assert run("dashboard", "modle").code == 1


def test_a_key_is_piped_into_the_keyring_and_never_printed(run, monkeypatch):
    stored = {}
    fake = types.ModuleType("keyring")
    fake.errors = types.ModuleType("keyring.errors")
    fake.errors.KeyringError = type("KeyringError", (Exception,), {})
    fake.set_password = lambda service, name, value: stored.update({name: value})
    monkeypatch.setitem(sys.modules, "keyring", fake)
    monkeypatch.setitem(sys.modules, "keyring.errors", fake.errors)
    secret = "sk-proj-Typed0123456789abcdef"
    done = run("key", "openai", stdin=f"{secret}\n")
    assert (done.code, stored) == (0, {"openai": secret})
    assert secret not in done.out + done.err
    mistaken = run("key", secret)
    assert mistaken.code == 1
    assert secret not in mistaken.out + mistaken.err
    assert run("key", "openai").code == 1


def test_completion_is_code_for_a_shell(run):
    assert "llmkit" in run("completion", "bash").out
    assert run("completion", "tcsh").code == 2


@pytest.mark.full
def test_a_ledger_moves_into_postgresql_and_is_read_there(run, ledger, postgres, monkeypatch):
    run("ask", "hi", "-m", "haiku", "--tag", "project=thesis")
    assert run("export", "--to", postgres).out == "1 call copied\n"
    assert run("export", "--to", postgres, "--json").json["known"] == 1
    here = run("cost", "tag:project", "--json").json
    with contextlib.closing(Ledger(postgres)) as shared:
        monkeypatch.setattr(module, "ledger", shared)
        assert run("cost", "tag:project", "--json").json == here
        assert run("budget", "daily=5", "--json").json["daily"] == 5.0
        assert run("ask", "hi").code == 0
        done = run("doctor", "--json")
    found = {one["name"]: one for one in done.json}
    assert found["ledger"]["ok"]
    assert found["ledger"]["text"].endswith("; 2 rows that you may read")
    assert PASSWORD not in done.out


@pytest.mark.full
def test_doctor_says_that_a_database_refuses(run, postgres, monkeypatch):
    with contextlib.closing(Ledger(postgres.replace(PASSWORD, "a-wrong-password"))) as shared:
        monkeypatch.setattr(module, "ledger", shared)
        done = run("doctor", "--json")
    found = {one["name"]: one for one in done.json}
    assert (done.code, found["ledger"]["ok"], found["budget"]["ok"]) == (1, False, False)
    assert "a-wrong-password" not in done.out


@pytest.mark.full
def test_a_wrong_password_is_one_sentence_without_it(run, postgres):
    run("ask", "hi")
    done = run("export", "--to", postgres.replace(PASSWORD, "a-wrong-password"))
    assert (done.code, done.out) == (1, "")
    assert "llmkit export: " in done.err
    assert "a-wrong-password" not in done.err
    assert "Traceback" not in done.err
