"""The sentence of an error: the reason behind a router's words, and how to start a local server."""

import json
import socket

import openai
import pytest

import llmkit
from llmkit import OpenAIClient, ProviderNotAvailableError, RateLimitError
from tests.faults.test_faults import CANARY, QUESTION, call, client_of
from tests.support.dialects import OpenAI
from tests.support.peer import Peer, events, http

pytestmark = pytest.mark.usefixtures("quiet")

REASON = "some/model:free is limited upstream for now, add your own key"


def router(raw, **more):
    return {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": raw}, **more}}


@pytest.mark.product
@pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])
@pytest.mark.parametrize(
    "raw",
    [
        REASON,
        json.dumps({"error": {"message": REASON, "code": 429}}),
        json.dumps([{"error": {"message": REASON}}]),
        {"error": {"message": REASON}},
        json.dumps({"error": {"message": "Error", "metadata": {"raw": REASON}}}),
    ],
)
async def test_the_reason_that_a_router_passes_on_is_in_the_message(raw, own):
    async with Peer() as peer, client_of(OpenAI, peer.url, own=own) as client:
        peer.scripts = {"m": [(http(429, json.dumps(router(raw)).encode()),)]}
        for mode in ("plain", "stream"):
            outcome = await call(client, "m", mode)
            assert type(outcome.error) is RateLimitError
            assert outcome.error.message == f"Provider returned error: {tail(raw)}{REASON} (HTTP 429)."


def tail(raw):
    return "Error: " if "metadata" in str(raw) else ""


async def test_it_is_in_the_message_of_an_error_within_a_stream():
    async with Peer() as peer, client_of(OpenAI, peer.url) as client:
        peer.scripts = {"m": [(events(OpenAI.start() + OpenAI.event(router(REASON))),)]}
        outcome = await call(client, "m", "stream")
    assert REASON in str(outcome.error)


async def test_a_key_in_it_is_blanked_out_and_a_long_one_is_cut():
    async with Peer() as peer, client_of(OpenAI, peer.url) as client:
        peer.scripts = {"m": [(http(429, json.dumps(router(f"bad key {CANARY} " + "x" * 9999)).encode()),)]}
        outcome = await call(client, "m", "plain")
    assert CANARY not in str(outcome.error)
    assert "bad key" in str(outcome.error)
    assert len(str(outcome.error)) <= 500


@pytest.mark.parametrize("raw", [None, 7, "", "{", [], "[" * 50_000, {"error": 5}])
async def test_what_is_no_reason_changes_nothing(raw):
    async with Peer() as peer, client_of(OpenAI, peer.url) as client:
        peer.scripts = {"m": [(http(429, json.dumps(router(raw)).encode()),)]}
        outcome = await call(client, "m", "plain")
    assert type(outcome.error) is RateLimitError
    assert outcome.error.message.startswith("Provider returned error")


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


STARTS = {"ollama": "ollama serve", "lmstudio": "lms server start", "vllm": "vllm serve MODEL"}


@pytest.mark.parametrize("provider", STARTS)
async def test_where_a_local_server_is_down_the_error_says_how_to_start_it(provider):
    address = f"http://127.0.0.1:{closed_port()}/v1"
    async with llmkit.client(f"{provider}:m", base_url=address, max_retries=0) as client:
        for attempt in (client.generate_text(QUESTION), client.list_models()):
            with pytest.raises(ProviderNotAvailableError) as caught:
                await attempt
            assert STARTS[provider] in str(caught.value)
            assert address in str(caught.value)


async def test_it_does_so_for_a_users_own_client_by_the_port(unused_ollama):
    sdk = openai.AsyncOpenAI(api_key="k", base_url="http://localhost:11434/v1")
    try:
        client = OpenAIClient(client=sdk, model="m", max_retries=0)
        with pytest.raises(ProviderNotAvailableError, match="ollama serve"):
            await client.generate_text(QUESTION)
    finally:
        await sdk.close()


@pytest.fixture
def unused_ollama():
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 11434)) == 0:
            pytest.skip("an Ollama runs on this machine")


async def test_another_server_that_is_down_is_not_taken_for_one():
    async with client_of(OpenAI, f"http://127.0.0.1:{closed_port()}") as client:
        outcome = await call(client, "m", "plain")
    assert type(outcome.error) is ProviderNotAvailableError
    assert "serve" not in str(outcome.error)
