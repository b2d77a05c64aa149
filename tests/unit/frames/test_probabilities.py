"""Probabilities of typed answers, where a model has a Decisions API."""

from __future__ import annotations

import pandas as pd
import pytest

from llmkit import GoogleAIClient, InvalidRequestError, OpenAIClient
from llmkit.frames import Choice, Score, YesNo, classify, decide
from llmkit.frames import filter as keep

FRAME = pd.DataFrame({"text": ["a technical question", None, "about billing"]})
TEAMS = ["billing", "technical"]
QUESTIONS = {"asks": YesNo("Is it a question?"), "team": Choice(TEAMS), "mood": Score(["calm", "furious"])}
MODELS = {"openai": (OpenAIClient, "gpt-6-luna"), "google": (GoogleAIClient, "gemini-decision-1")}


@pytest.fixture(params=MODELS)
def options(request, server, recorder, store):
    kind, model = MODELS[request.param]
    client = kind("k", server.url(request.param), model=model, max_retries=0)
    return {"model": client, "store": store, "progress": False}


def test_each_question_has_the_probability_of_its_answer(options, server):
    found = decide(FRAME, "text", QUESTIONS, **options)
    assert found.columns[1:7].tolist() == ["asks", "asks_p", "team", "team_p", "mood", "mood_p"]
    assert found["team"].tolist()[::2] == ["technical", "billing"]
    for name in QUESTIONS:
        assert found[f"{name}_p"].dropna().between(0.5, 1).all()
        assert found[f"{name}_p"].isna().tolist() == [False, True, False]
    assert len([one for one in server.requests if one.method == "POST"]) == 2
    assert all("decisions" in one.path for one in server.requests if one.method == "POST")


def test_a_probability_is_asked_for_only_where_it_is_missing(options, server, capsys):
    # A parameter that the Decisions API lacks leads to the usual way, whose answers have no probability.
    examples = [("hello", "billing")]
    without = classify(FRAME[:1], "text", TEAMS, examples=examples, **options)
    assert "label_p" not in without
    both = classify(FRAME, "text", TEAMS, **options)
    assert both["label_p"].notna().sum() == 2
    assert "no probability" not in capsys.readouterr().err


def test_filter_drops_the_probability_with_the_answer(options):
    found = keep(FRAME, "text", "is about billing", **options)
    assert found.columns.tolist() == ["text", "keep_error"]
    assert "keep_p" in keep(FRAME, "text", "is about billing", keep=True, **options)


def test_probabilities_of_a_model_without_them_are_refused(rows):
    with pytest.raises(InvalidRequestError, match="There are no probabilities"):
        classify(FRAME, "text", TEAMS, probabilities=True, model=rows.client())
    assert rows.asked == []


def test_a_frame_that_mixes_both_ways_says_so_and_can_ask_again(server, recorder, store, capsys):
    client = OpenAIClient("k", server.url("openai"), model="gpt-6-luna", max_retries=0)
    options = {"model": client, "store": store, "progress": False}
    classify(FRAME[:1], "text", TEAMS, mode="flex", **options)
    mixed = classify(FRAME, "text", TEAMS, **options)
    assert mixed["label_p"].notna().tolist() == [False, False, True]
    assert "1 of 2 answers have no probability" in capsys.readouterr().err
    whole = classify(FRAME, "text", TEAMS, probabilities=True, **options)
    assert whole["label_p"].notna().tolist() == [True, False, True]
    assert "no probability" not in capsys.readouterr().err
