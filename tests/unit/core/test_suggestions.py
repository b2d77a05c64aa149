"""The nearest of several names."""

import pytest

from llmkit import ConfigurationError
from llmkit.core.suggestions import ALMOST, did_you_mean, known, near, nearest


def test_the_nearest_name_comes_first():
    assert near("sonet", ["haiku", "sonnets", "sonnet"]) == ["sonnet", "sonnets"]


def test_a_name_that_is_like_none_has_no_suggestion():
    assert nearest("weather", ["model", "budget"]) is None
    assert did_you_mean("weather", ["model", "budget"], "See the list.") == "See the list."


def test_a_word_of_a_prompt_must_be_almost_a_name():
    assert nearest("mode", ["model"], cutoff=ALMOST) == "model"
    assert nearest("models", ["module"], cutoff=ALMOST) is None
    assert nearest("models", ["module"]) == "module"


def test_an_unknown_name_is_refused_with_the_nearest_or_all():
    known("day", ["day", "month"], "period")
    with pytest.raises(ConfigurationError, match=r"Unknown period 'dya'.*Did you mean 'day'"):
        known("dya", ["day", "month"], "period")
    with pytest.raises(ConfigurationError, match="Known: day, month"):
        known("century", ["day", "month"], "period")
