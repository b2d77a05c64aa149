"""Commands run in this process, with a ledger of their own."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from llmkit.clients import registry
from llmkit.command_line.main import main
from llmkit.costs import ledger as module
from llmkit.costs.ledger import Ledger
from llmkit.frames.answers import location


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    own = Ledger(tmp_path / "ledger.sqlite")
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setattr(module, "ledger", own)
    monkeypatch.setattr(location, "ledger", own)
    monkeypatch.setattr(location, "_open", {})
    yield own
    own.close()


@pytest.fixture
def run(ledger, monkeypatch, capsys):
    """Run `llmkit` with these words; `stdin` is what is piped in."""
    monkeypatch.setattr(registry, "_shared", {})
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")

    def run(*words: str, stdin: str | bytes = b"") -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run
