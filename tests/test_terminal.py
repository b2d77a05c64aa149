"""`%llm` in a terminal's IPython: plain text, the footer under it, no empty output prompt."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """\
%load_ext llmkit
%llm repeat exactly: one two?
_.text
x = %llm repeat exactly: three
print(x.text, x.cost > 0)
%llm --modle x
get_ipython().run_cell_magic("llm", "-o y", "repeat exactly: **four**")
y.text
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    environment = {
        **os.environ,
        "IPYTHONDIR": str(folder),
        "LLMKIT_LEDGER": ":memory:",
        "LLMKIT_SANDBOX_RATE": "0",
        "LLMKIT_SANDBOX_FIRST_TOKEN": "0",
    }
    command = [
        sys.executable,
        "-m",
        "IPython",
        "--no-banner",
        "--simple-prompt",
        "--no-confirm-exit",
        "--colors=NoColor",
    ]
    done = subprocess.run(
        command,
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=folder,
        check=True,
    )
    return done.stdout + done.stderr


def test_the_answer_is_printed_as_plain_text_with_its_footer(session):
    assert "one two?\nsandbox · " in session
    assert "**four**\nsandbox · " in session
    assert "<strong>" not in session


def test_the_reply_is_in_underscore_without_an_empty_prompt(session):
    assert "Out[3]: 'one two?'" in session
    assert "Out[2]" not in session


def test_the_line_magic_assigns(session):
    assert "three True" in session


def test_a_mistake_is_one_line(session):
    assert "UsageError: There is no option --modle. Did you mean --model?" in session
    assert "Traceback" not in session
