"""`llmkit ask`: what is sent, what is printed where, and how it ends."""

import io
import json
import sys

import pytest

from llmkit.clients import registry
from llmkit.clients.base import BaseLLMClient
from llmkit.command_line.main import main
from llmkit.core import naming
from tests.support.rows import RowServer, failure

KEY = "sk-proj-Command0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
def paid(run, monkeypatch):
    """A provider whose answers cost money; it repeats the prompt in capitals."""
    with RowServer() as server:
        monkeypatch.delenv("LLMKIT_SANDBOX")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("LLMKIT_MODEL", "openai:gpt-4o-mini")
        yield server


def test_the_answer_goes_to_standard_output_and_its_price_to_standard_error(run, ledger):
    done = run("ask", "repeat", "exactly:", "Rhine", "-m", "haiku")
    assert (done.code, done.out) == (0, "Rhine\n")
    assert done.err.startswith("haiku · ")
    assert "$" in done.err
    (row,) = ledger.df.to_dict("records")
    assert (row["surface"], row["model"], row["status"]) == ("cli", "claude-haiku-5-5", "ok")


def test_what_is_piped_in_follows_the_prompt(paid, run):
    run("ask", "Summarise", stdin="one\ntwo\n")
    run("ask", stdin="Viele Grüße aus dem Rheinland\n".encode("latin-1"))
    run("ask", "alone")
    assert paid.asked == ["Summarise\n\none\ntwo", "Viele Grüße aus dem Rheinland", "alone"]


def test_keys_in_what_is_piped_in_are_left_out(paid, run):
    done = run("ask", "Check", stdin=f"OPENAI_API_KEY={KEY}\n")
    assert KEY not in paid.asked[0]
    assert "Text that looks like a key was left out of standard input." in done.err
    assert KEY not in done.out + done.err


def test_options_may_stand_between_the_words_and_after_two_dashes_all_are_words(paid, run):
    run("ask", "why", "-T", "0", "is", "this", "-k", "50")
    run("ask", "-q", "--", "-m", "in", "argparse")
    run("ask", "why", "-T", "0", "is", "-k", "50", "--", "-x", "--", "y")
    assert paid.asked == ["why is this", "-m in argparse", "why is -x -- y"]


def test_options_are_those_of_the_magic(paid, run, ledger, tmp_path):
    (tmp_path / "tone.txt").write_text("Be brief.\n", encoding="utf-8")
    (tmp_path / "data.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    paid.sees_bodies = True
    paid.answer = lambda _: "ok"
    words = ("-s", "@tone.txt", "-T", "0.5", "-k", "50", "-p", "top_p=0.9", "--tag", "project=thesis")
    done = run("ask", "What is this?", "-a", "data.csv", *words)
    assert done.code == 0, done.err
    (body,) = paid.bodies
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "a,b\n1,2" in json.dumps(body["messages"][1]).replace("\\n", "\n")
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert ledger.where(tag="project=thesis").total().calls == 1


def test_standard_input_may_be_a_file_to_attach(run):
    picture = b"\x89PNG\r\n\x1a\n" + b"0" * 40
    refused = run("ask", "What?", stdin=picture)
    assert (refused.code, refused.out) == (1, "")
    assert "Attach it: -a -" in refused.err
    plan = run("ask", "What?", "-a", "-", "-d", stdin=b"x,y\n1,2\n")
    assert "stdin" in plan.out
    assert "nothing was sent" in plan.out


def test_json_has_the_answer_and_its_facts(run, ledger):
    found = run("ask", "repeat exactly: Rhine", "--json").json
    (row,) = ledger.df.to_dict("records")
    assert (found["text"], found["complete"]) == ("Rhine", True)
    assert (found["uid"], found["cost_usd"], found["input_tokens"]) == (
        row["uid"], row["cost_usd"], row["input_tokens"],
    )  # fmt: skip


def test_an_answer_in_a_form_is_checked_and_printed_alone(run, tmp_path):
    (tmp_path / "city.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    done = run("ask", "A city in France", "--schema", "city.json")
    assert isinstance(done.json["city"], str)
    assert run("ask", "three rivers as a table", "-f", "df").out.count("\n") == 4
    code = run("ask", "write a Python function that adds two numbers", "-f", "code").out
    assert "```" not in code
    assert "def " in code
    assert "value" in run("ask", "A city in France", "-f", "json", "--json").json
    table = run("ask", "three rivers as a table", "-f", "df", "--json").json["value"]
    assert len(table) == 3


def test_an_answer_of_the_wrong_form_is_asked_for_again_and_not_lost(paid, run):
    paid.answer = lambda _: "no JSON at all"
    done = run("ask", "A city", "-f", "json")
    assert (done.code, done.out) == (1, "")
    assert "no JSON at all" in done.err
    assert len(paid.asked) == 2


def test_a_failed_answer_is_json_too(paid, run):
    paid.answer = lambda _: "no JSON at all"
    done = run("ask", "A city", "-f", "json", "--json")
    assert (done.code, done.json["complete"], done.json["text"]) == (1, False, "no JSON at all")
    assert done.json["error"]["type"] == "BadResponseError"
    assert done.json["first_answer"]["cost_usd"] == done.json["cost_usd"] > 0


def test_a_refused_call_is_json_too(paid, run):
    done = run("ask", "hello", "--max-cost", "0.0000001", "--json")
    assert (done.code, done.json["text"], done.json["complete"], paid.asked) == (3, "", False, [])
    assert done.json["error"]["type"] == "BudgetExceededError"
    assert done.json["error"]["message"] in done.err
    for words in (("-m", "nosuchprovider:x", "hello"), ()):
        refused = run("ask", *words, "--json")
        assert (refused.code, refused.json["complete"]) == (1, False)
        assert refused.json["error"]["message"] in refused.err


def test_a_dry_run_is_not_json(paid, run):
    done = run("ask", "hello", "-d", "--json")
    assert (done.code, done.out, paid.asked) == (2, "", [])
    assert "not allowed with argument" in done.err


def test_reasoning_is_announced_and_in_the_json(run):
    done = run("ask", "Why is the sky blue?", "-m", "sandbox:sandbox-thinking", "-e", "high", "--json")
    assert done.json["reasoning"]
    shown = run("ask", "Why is the sky blue?", "-m", "sandbox:sandbox-thinking", "-e", "high")
    assert shown.out.startswith("The sky is blue")


def test_a_schema_that_is_no_json_is_refused(run, tmp_path):
    (tmp_path / "city.json").write_text("{", encoding="utf-8")
    assert "city.json is not JSON" in run("ask", "A city", "--schema", "city.json").err
    assert (
        run("ask", "A city", "--schema", "none.json").err
        == "llmkit ask: none.json: No such file or directory\n"
    )


def test_a_budget_refuses_with_a_code_of_its_own(paid, run, ledger):
    done = run("ask", "hello", "--max-cost", "0.0000001")
    assert (done.code, done.out, paid.asked) == (3, "", [])
    assert "llmkit ask: " in done.err
    ledger.budget(daily=0)
    assert run("ask", "hello").code == 3
    assert paid.asked == []


def test_a_failed_call_is_one_sentence_without_the_key(paid, run):
    paid.answer = lambda _: failure(401, f"Incorrect API key provided: {KEY}.")
    done = run("ask", "hello")
    assert (done.code, done.out) == (1, "")
    assert "llmkit doctor" in done.err
    assert KEY not in done.err
    assert "Traceback" not in done.err


def test_a_recorded_answer_is_replayed_at_no_cost(paid, run):
    first = run("ask", "hello", "--replay-file", "demo.replay")
    second = run("ask", "hello", "--replay", "only", "--replay-file", "demo.replay")
    assert first.out == second.out == "HELLO\n"
    assert "↺ replayed" in second.err
    assert len(paid.asked) == 1
    missing = run("ask", "other", "--replay", "only", "--replay-file", "demo.replay")
    assert missing.code == 1


def test_without_a_question_it_says_how_to_ask(run):
    done = run("ask")
    assert (done.code, done.out) == (1, "")
    assert "There is no question." in done.err
    assert run("ask", "-T", "5", "x").code == 2
    assert "one model" in run("ask", "x", "-m", "haiku,sonnet").err


def test_a_quiet_answer_has_no_footer(run):
    assert run("ask", "repeat exactly: Rhine", "-q").err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("colourless", [False, True])
def test_a_terminal_gets_no_control_sequences_of_a_model(run, monkeypatch, colourless):
    run("ask", "hi")  # sets the surroundings
    monkeypatch.setattr(registry, "_shared", {})
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1" if colourless else "")
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["ask", "repeat exactly: a\x1b]0;title\x07b"]) == 0
    assert "\x1b" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert ("\x1b[2m" in err.getvalue()) is not colourless


class Broken(BaseLLMClient):
    """A client of another package that has a mistake."""

    def __init__(self):
        super().__init__("broken")

    async def close(self):
        pass

    async def generate_text(self, messages, model=None, **options):
        raise RuntimeError("its own mistake")

    async def stream_text(self, messages, model=None, **options):
        yield "so far"
        raise RuntimeError("its own mistake")


def test_a_mistake_of_another_packages_client_is_a_sentence_and_keeps_the_text(run):
    registry.register("broken", Broken)
    try:
        done = run("ask", "hi", "-m", "broken")
    finally:
        del naming.registered["broken"]
    assert (done.code, done.out) == (1, "so far\n")
    assert "llmkit ask: The call failed: RuntimeError: its own mistake" in done.err


@pytest.mark.parametrize(
    "words", [("ask", "x", "--replay", KEY), (KEY,), ("cost", f"--{KEY}"), ("budget", KEY)]
)
def test_a_key_in_the_wrong_place_is_not_repeated(run, words):
    done = run(*words)
    assert done.code in {1, 2}
    assert KEY not in done.out + done.err


def test_a_missing_key_is_explained_in_the_words_of_a_shell(run, monkeypatch):
    monkeypatch.delenv("LLMKIT_SANDBOX")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    done = run("ask", "Name three rivers", "-m", "haiku")
    assert done.code != 0
    assert "llmkit key anthropic" in done.err
    assert "set LLMKIT_SANDBOX=1" in done.err
    assert "%" not in done.err
