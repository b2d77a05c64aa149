"""Budgets as people type them, in `%llm budget` and in a shell."""

from __future__ import annotations

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.costs.budgets.typed import read_changes


@pytest.mark.parametrize("words", ["5 daily=6", "off per_call=1", "per_call=1 per_call=2", "5 off"])
def test_changes_that_contradict_each_other_are_refused(words):
    with pytest.raises(ConfigurationError, match="contradict each other"):
        read_changes(words.split())


def test_a_limit_is_removed_by_name_beside_others():
    assert read_changes(["5", "per_call=off"]) == {"daily": 5.0, "per_call": None}
