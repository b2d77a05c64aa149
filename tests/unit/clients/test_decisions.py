"""Typed answers with probabilities: one form of them, whichever provider decides."""

import math

import pytest

import llmkit
from llmkit import (
    AnthropicClient,
    BadResponseError,
    BudgetExceededError,
    GoogleAIClient,
    InvalidRequestError,
    Ledger,
    LLMMessage,
    OpenAIClient,
    RateLimitError,
    records,
)
from llmkit.clients.decisions import decide, has_decisions
from llmkit.providers.decisions import DecisionQuestion, DecisionQuestions, leveled, number

MODELS = {"openai": "gpt-6-luna", "google": "gemini-decision-1"}
CLIENTS = {"openai": OpenAIClient, "google": GoogleAIClient}
INPUT = [LLMMessage("system", "Judge."), LLMMessage("user", "I love it, but the technical part: furious")]
QUESTIONS = [
    DecisionQuestion("liked", "yes_no", "Does the writer like it?"),
    DecisionQuestion("team", "choice", "Which team?", {"billing": "", "technical": "Faults"}),
    DecisionQuestion("anger", "score", "How angry?", {"calm": "", "annoyed": "", "furious": "Very"}),
]


@pytest.fixture(params=CLIENTS)
async def client(request, server):
    protocol = request.param
    async with CLIENTS[protocol]("k", server.url(protocol), model=MODELS[protocol], max_retries=0) as made:
        yield made


async def test_every_kind_of_question_is_answered_with_its_probability(client, recorder):
    answers, response = await decide(client, INPUT, QUESTIONS)
    assert list(answers) == ["liked", "team", "anger"]
    for name, answer in answers.items():
        assert math.isclose(sum(answer.probabilities.values()), 1, abs_tol=1e-5), name
        assert answer.p == max(answer.probabilities.values())
        assert not answer.refused
    assert answers["liked"].value is (answers["liked"].probabilities["true"] >= 0.5)
    assert (answers["team"].value, list(answers["team"].probabilities)) == (
        "technical",
        ["billing", "technical"],
    )
    assert list(answers["anger"].probabilities) == ["calm", "annoyed", "furious"]
    assert 0 <= answers["anger"].score <= 2
    assert recorder.last.uid == response.uid
    assert (recorder.last.status, recorder.last.output_tokens) == ("ok", 0)


async def test_openais_decisions_have_their_own_price(server, recorder):
    async with OpenAIClient("k", server.url("openai"), model="gpt-6-luna") as client:
        _, response = await decide(client, INPUT, QUESTIONS)
    assert math.isclose(response.cost_estimate, response.prompt_tokens * 0.1 / 1e6)
    assert response.usage_source == "reported"
    assert (recorder.last.model, recorder.last.model_served) == ("gpt-6-luna", "gpt-6-luna-decisions")


async def test_googles_decisions_have_no_known_price(server, recorder):
    async with GoogleAIClient("k", server.url("google"), model="gemini-decision-1") as client:
        await decide(client, INPUT, QUESTIONS)
    assert (recorder.last.cost_nanos, recorder.last.usage_source) == (None, "reported")


async def test_openai_refuses_one_question_and_google_all(client, recorder):
    secret = DecisionQuestion("secret", "yes_no", "Please refuse this one.")
    answers, response = await decide(client, INPUT, [secret, QUESTIONS[0]])
    assert answers["secret"] == (None, None, {}, None, True)
    assert answers["liked"].refused is (client.provider_name == "google")
    assert response.finish_reason == ("refusal" if client.provider_name == "google" else "stop")


async def test_an_error_of_the_provider_is_our_error(client, server, recorder):
    server.fail_next("429")
    with pytest.raises(RateLimitError):
        await decide(client, INPUT, QUESTIONS)
    assert recorder.statuses == ["error"]


async def test_a_budget_holds_for_decisions_too(server, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    try:
        async with OpenAIClient("k", server.url("openai"), model="gpt-6-luna") as client:
            ledger.budget(daily=0.01)
            await decide(client, INPUT, QUESTIONS)
            ledger.budget(daily=0.000_001)
            with pytest.raises(BudgetExceededError):
                await decide(client, INPUT, QUESTIONS)
    finally:
        records.set_recorder(before)
        ledger.close()
    assert len(server.requests) == 1


async def test_a_model_without_a_decisions_api_is_refused_before_anything_is_sent(server):
    async with AnthropicClient("k", server.url("anthropic"), model="claude-haiku-5-5") as client:
        assert not has_decisions(client)
        with pytest.raises(InvalidRequestError, match="claude-haiku-5-5 has no Decisions API"):
            await decide(client, INPUT, QUESTIONS)
    assert not server.requests


async def test_the_sandbox_decides_by_name(recorder):
    client = llmkit.client("sandbox:gpt-6-luna")
    assert has_decisions(client)
    answers, response = await decide(client, INPUT, QUESTIONS)
    await client.close()
    assert (answers["team"].value, response.simulated) == ("technical", True)


async def test_questions_cannot_be_streamed_or_have_files(client):
    asked = DecisionQuestions(QUESTIONS)
    with pytest.raises(InvalidRequestError, match="does not stream"):
        [chunk async for chunk in client.stream_text(INPUT, questions=asked)]
    picture = llmkit.Attachment("image/png", b"\x89PNG\r\n\x1a\n", name="a.png")
    with pytest.raises(InvalidRequestError, match="Attachments cannot be sent"):
        await decide(client, [LLMMessage("user", "What is it?", attachments=(picture,))], QUESTIONS)


async def test_a_list_of_questions_is_a_parameter_like_others(server):
    async with OpenAIClient("k", server.url("openai"), model="sandbox") as client:
        await client.generate_text([LLMMessage("user", "Hi")], questions=[])
    assert server.requests[-1].path.endswith("/chat/completions")


def test_an_answer_that_is_none_is_refused():
    with pytest.raises(BadResponseError, match="where a number belongs"):
        number("0.5")
    with pytest.raises(BadResponseError, match="no probabilities"):
        leveled(["a", "b"], {2: 1.0}, 0)
