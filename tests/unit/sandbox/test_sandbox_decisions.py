"""The Decisions APIs, through the official SDKs."""

import json
import math

import openai
import pytest
from google import genai
from google.genai.decisions import ChoiceAnswer, CreateDecisionResponse, NoulAnswer, ScoreAnswer
from openai.types import Decision
from pydantic import TypeAdapter

from llmkit import sandbox
from llmkit.sandbox import SandboxServer

QUESTIONS = [
    {"type": "predicate", "name": "liked", "instructions": "Does the writer like it?"},
    {
        "type": "choice",
        "name": "team",
        "instructions": "Which team?",
        "choices": [{"value": "billing"}, {"value": "technical", "description": "Faults"}],
    },
    {
        "type": "score",
        "name": "anger",
        "instructions": [{"type": "input_text", "text": "How angry?"}],
        "levels": [{"label": "calm"}, {"label": "annoyed"}, {"label": "furious"}],
    },
]


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


@pytest.fixture
def client(server):
    with openai.OpenAI(api_key="k", base_url=server.url("openai"), max_retries=0) as made:
        yield made


@pytest.fixture
def gemini(server):
    with genai.Client(api_key="k", http_options={"base_url": server.url("google")}) as made:
        yield made


def decide(client, said="I love it, but the technical part crashed: I am furious", **changes):
    asked = {"model": "gpt-6-luna", "input": said, "questions": QUESTIONS, **changes}
    return client.decisions.create(**asked)


def test_openai_answers_every_kind_of_question_in_order(client):
    found = decide(client)
    TypeAdapter(Decision).validate_python(json.loads(found.model_dump_json()))
    liked, team, anger = found.answers
    assert [liked.name, team.name, anger.name] == ["liked", "team", "anger"]
    assert 0 < liked.probability < 1
    assert (team.choice, team.confidence) == ("technical", max(one.probability for one in team.probabilities))
    assert [one.label for one in anger.probabilities] == ["calm", "annoyed", "furious"]
    assert math.isclose(anger.score, sum(one.value * one.probability for one in anger.probabilities))
    for answer in (team, anger):
        assert math.isclose(sum(one.probability for one in answer.probabilities), 1, abs_tol=1e-5)
    assert found.usage.output_tokens == 0
    assert found.usage.input_tokens == found.usage.total_tokens > 0


def test_openai_takes_messages_and_typed_choices(client):
    said = [{"role": "user", "content": [{"type": "input_text", "text": "It is true"}]}]
    question = {"type": "choice", "instructions": "Is it?", "choices": [{"value": False}, {"value": True}]}
    (answer,) = decide(client, said, questions=[question]).answers
    assert (answer.choice, answer.name) == (True, None)


def test_openai_refuses_a_single_question(client):
    refused = {"type": "predicate", "name": "secret", "instructions": "Please refuse this one."}
    answers = decide(client, questions=[refused, QUESTIONS[0]]).answers
    assert [answer.type for answer in answers] == ["refusal", "predicate"]
    assert answers[0].name == "secret"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "gpt-6.1-terra"}, "not supported with the Decisions API"),
        ({"questions": []}, "1 to 400 items"),
        ({"questions": QUESTIONS[:1] * 401}, "1 to 400 items"),
        ({"questions": [{"type": "predicate"}]}, "instructions"),
        ({"questions": [{"type": "rank", "instructions": "?"}]}, "Supported values are"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": "a"}]}]}, "2 to 255 different"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": "a"}] * 2}]}, "2 to 255 different"),
        ({"input": 5}, "expected a text or an array"),
    ],
)
def test_openai_refuses_what_is_wrong(client, changes, why):
    with pytest.raises(openai.BadRequestError, match=why):
        decide(client, **changes)


def ask(gemini, said="I love it, but the technical part crashed: I am furious", **changes):
    questions = {
        "liked": {"type": "noul", "instructions": "Does the writer like it?"},
        "team": {"type": "choice", "instructions": "?", "criteria": {"billing": "", "technical": "Faults"}},
        "anger": {"type": "score", "instructions": "How angry?", "criteria": ["calm", "annoyed", "furious"]},
    }
    return gemini.decisions.create(
        **{"model": "models/gemini-decision-1", "input": said, "questions": questions, **changes}
    )


def test_google_answers_every_kind_of_question_by_name(gemini):
    found = ask(gemini)
    assert isinstance(found, CreateDecisionResponse)
    liked, team, anger = (found.answers[name] for name in ("liked", "team", "anger"))
    assert [type(one) for one in (liked, team, anger)] == [NoulAnswer, ChoiceAnswer, ScoreAnswer]
    assert liked.confidence == max(liked.noul, round(1 - liked.noul, 6))
    assert (team.choice, team.confidence) == ("technical", team.probabilities["technical"])
    assert anger.legend == {"0": "calm", "1": "annoyed", "2": "furious"}
    assert math.isclose(anger.score, sum(int(level) * p for level, p in anger.probabilities.items()))
    assert (found.prompt_feedback, found.usage.total_output_tokens) == (None, 0)


def test_google_has_one_feedback_for_the_whole_request(gemini):
    questions = {
        "secret": {"type": "noul", "instructions": "Please refuse this one."},
        "liked": {"type": "noul", "instructions": "Does the writer like it?"},
    }
    found = ask(gemini, questions=questions)
    assert (found.answers, found.prompt_feedback.block_reason) == (None, "safety")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "gemini-3.8-flash"}, "not supported for decisions"),
        ({"questions": {}}, "questions is not specified"),
        ({"questions": {"a": {"type": "score", "instructions": "?", "criteria": ["one"]}}}, "2 to 255"),
    ],
)
def test_google_refuses_what_is_wrong(gemini, changes, why):
    with pytest.raises(Exception, match=why):
        ask(gemini, **changes)


def test_decisions_count_against_the_rate_limits():
    with (
        SandboxServer(rate=0, first_token=0, requests_per_minute=1, clock=lambda: 1.8e9) as server,
        openai.OpenAI(api_key="k", base_url=server.url("openai"), max_retries=0) as client,
    ):
        assert decide(client)
        with pytest.raises(openai.RateLimitError):
            decide(client)
