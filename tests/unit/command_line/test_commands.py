"""The commands that show something: what they print, as text and as JSON."""

import csv
import io

import pandas as pd

import llmkit
from llmkit.command_line.main import COMMANDS


def test_the_help_lists_every_command_and_the_exit_codes(run):
    done = run("--help")
    assert done.code == 0
    assert [name for name in COMMANDS if f"\n    {name} " not in done.out] == []
    assert "3: a budget refused" in " ".join(done.out.split())
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


def test_cost_takes_filters_and_several_groups(run):
    run("ask", "hi", "-m", "haiku")
    run("ask", "hi", "-m", "sonnet")
    done = run("cost", "day", "surface", "--model", "claude-haiku-5-5", "--since", "7d", "--json").json
    (group,) = done["groups"]
    assert (group["surface"], group["calls"], done["total"]["calls"]) == ("cli", 1, 1)
    assert run("cost", "--since", "2100-01-01", "--json").json["groups"] == []
    rows = list(csv.DictReader(io.StringIO(run("cost", "status", "--csv").out)))
    assert [(row["status"], row["calls"]) for row in rows] == [("ok", "2")]


def test_a_wrong_group_or_date_is_one_sentence(run):
    group, date = run("cost", "modle"), run("cost", "--since", "yesterdayish")
    assert (group.code, group.out, group.err) == (
        1,
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
