"""`%llm fix` and `%llm cost` in the IPython of a terminal."""

from __future__ import annotations

import pytest

from tests.support.shells import opened


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    with opened() as shell:
        yield shell


def test_a_proposal_that_is_the_failed_code_makes_no_cell(shell):
    shell.run("raise ValueError('x')")
    ran = shell.do("%llm fix")
    assert "The proposed code is the code that failed, so no cell was created." in ran.text
    assert not hasattr(shell.shell, "rl_next_input")


def test_a_correction_goes_into_the_next_prompt(shell):
    shell.run("number = 1\nnumbr + 1")
    ran = shell.do("%llm fix")
    assert "The proposed code" not in ran.text
    assert "number + 1" in shell.shell.rl_next_input


def test_the_money_is_beside_the_calls_where_a_narrow_terminal_shows_it(shell):
    shell.do("%llm name three rivers")
    frame = shell.do("%llm cost").value
    assert frame.columns[:2].tolist() == ["calls", "cost_usd"]
    assert "cost_usd" in frame.to_string(max_cols=4)
