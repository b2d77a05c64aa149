"""The guide to the command line shows what the commands print, and its reference has every command."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from llmkit.clients import registry
from llmkit.command_line.main import COMMANDS, main, parser_of
from llmkit.costs import ledger as module
from llmkit.costs.ledger import Ledger
from llmkit.frames.answers import location
from tests.support import documents

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "guides" / "command_line.md").read_text("utf-8")
REFERENCE = (DOCS / "reference" / "command_line.md").read_text("utf-8")


def commands() -> list[tuple[str, str]]:
    """Return each command of the guide, with what is printed under it."""
    text = "\n".join(documents.code(GUIDE, "console"))
    _, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    return [(command, printed) for command, _, printed in (part.partition("\n") for part in parts)]


def shown(text: str) -> list[str]:
    """Return the words of an output: times, prices and dates are those of the day it was made on."""
    return re.sub(r"[<≈]?\d[\d.,:]*", "0", text).replace("-0", "0").split()


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Run a line as a shell does, but for `llmkit`, which runs in this process."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for place in (module, location):
        monkeypatch.setattr(place, "ledger", ledger)
    monkeypatch.setattr(registry, "_shared", {})
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")

    def run(line: str) -> str:
        before, ours, command = line.rpartition("llmkit ")
        source = before.strip().removesuffix("|") if ours else line
        piped = subprocess.run(["bash", "-c", source], capture_output=True, check=True).stdout
        if not ours:
            return piped.decode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        capsys.readouterr()
        main(shlex.split(command))
        said = capsys.readouterr()
        return said.out + said.err

    yield run
    ledger.close()


def test_the_commands_print_what_the_guide_shows(shell):
    found = [(line, shell(line), printed) for line, printed in commands()]
    assert len(found) > 10
    assert [(line, shown(said)) for line, said, _ in found] == [
        (line, shown(text)) for line, _, text in found
    ]


def test_the_reference_has_every_command():
    tables = re.findall(r"^```\{table-of\} command-(\w+)$", REFERENCE, re.MULTILINE)
    assert sorted(tables) == sorted(COMMANDS)
    assert re.findall(r"^## `llmkit (\w+)`$", REFERENCE, re.MULTILINE) == tables


def test_the_guide_mentions_every_command():
    assert [name for name in COMMANDS if not re.search(rf"`(llmkit )?{name}\b|llmkit {name}\b", GUIDE)] == []


def test_the_json_of_the_commands_has_the_names_of_the_reference(shell):
    rows = dict(re.findall(r"^\| `([a-z]+)(?: --to)?` \| (.+) \|$", REFERENCE, re.MULTILINE))
    names = {command: {*re.findall(r"`(\w+)`", text)} for command, text in rows.items()}
    asked = shell('llmkit ask "three rivers as JSON" -f json -m haiku --json')
    assert {*json.loads(asked)} <= names["ask"]
    cost = json.loads(shell("llmkit cost --json"))
    assert {*cost, *cost["total"]} == names["cost"]
    assert {*json.loads(shell("llmkit budget --json"))} >= names["budget"]
    assert {*json.loads(shell("llmkit export --to team.sqlite --json"))} == names["export"]
    for command in ("models haiku", "doctor"):
        assert {*json.loads(shell(f"llmkit {command} --json").partition("\n]\n")[0] + "]")[0]} <= names[
            command.split()[0]
        ]
    assert {*rows} == {name for name in COMMANDS if takes_json(name)}


def test_the_guide_names_the_commands_with_json():
    (sentence,) = re.findall(r"^(.+) have `--json`\.", GUIDE, re.MULTILINE)
    assert {*re.findall(r"`(\w+)", sentence)} == {name for name in COMMANDS if takes_json(name)}


def takes_json(name: str) -> bool:
    return "--json" in parser_of(name).format_usage()
