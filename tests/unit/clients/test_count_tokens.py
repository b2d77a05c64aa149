"""`client.count_tokens`: by the provider's own free endpoint, else an estimate that says so."""

import json
import pickle

import anthropic.types
import pytest
from pydantic import TypeAdapter

import llmkit
from llmkit import AuthenticationError, BadResponseError, LLMMessage, LLMResponse
from llmkit.clients.engine.recorded import RecordedClient
from llmkit.content.tokens import TokenCount
from tests.support.peer import Peer, http
from tests.support.tool_servers import SERVERS

COUNTING = {
    "responses": ("/v1/responses/input_tokens", {"object": "response.input_tokens", "input_tokens": 42}),
    "messages": ("/v1/messages/count_tokens", {"input_tokens": 42}),
    "gemini": ("/v1beta/models/gemini-2.5-flash:countTokens", {"totalTokens": 42}),
}
TALK = [LLMMessage("system", "Be brief."), LLMMessage("user", "Look at Lima.")]


def look(place: str) -> str:
    """Look at a place."""
    return place


async def count(name, answer, messages=TALK, **options):
    server = SERVERS[name]
    async with Peer() as peer, server.client(peer.url) as client:
        peer.scripts[server.model] = [[answer]]
        return await client.count_tokens(messages, **options), peer


@pytest.mark.parametrize("name", COUNTING)
async def test_the_provider_counts(name):
    path, answer = COUNTING[name]
    found, peer = await count(name, http(200, json.dumps(answer).encode()), tools=[look])
    assert (found, found.exact, repr(found)) == (42, True, "42")
    assert f"POST {path} " in peer.heads[0].decode() if isinstance(peer.heads[0], bytes) else peer.heads[0]
    sent = json.dumps(peer.bodies[0])
    assert all(words in sent for words in ("Be brief.", "Look at Lima.", '"look"'))
    assert not {"stream", "max_tokens", "store", "temperature"} & peer.bodies[0].keys()


async def test_anthropic_s_sdk_knows_the_request():
    _, peer = await count("messages", http(200, b'{"input_tokens": 1}'), tools=[look])
    TypeAdapter(anthropic.types.MessageCountTokensParams).validate_python(peer.bodies[0])


async def test_gemini_gets_a_whole_request_only_where_it_is_more_than_a_conversation():
    _, peer = await count("gemini", http(200, b'{"totalTokens": 1}'), "Hi")
    assert peer.bodies[0].keys() == {"contents"}
    _, peer = await count("gemini", http(200, b'{"totalTokens": 1}'))
    assert peer.bodies[0]["generateContentRequest"]["model"] == "models/gemini-2.5-flash"


@pytest.mark.parametrize("name", COUNTING)
async def test_a_server_without_the_endpoint_leaves_an_estimate(name):
    found, _ = await count(name, http(404, b'{"error": {"message": "Not found"}}'), "Name three rivers.")
    assert (found, found.exact, repr(found)) == (8, False, "≈8")


async def test_a_compatible_server_is_not_asked():
    found, peer = await count("chat", http(500))
    assert not found.exact
    assert peer.bodies == []
    assert found < (await count("chat", http(500), tools=[look]))[0]


async def test_a_refused_key_is_an_error():
    with pytest.raises(AuthenticationError):
        await count("messages", http(401, b'{"error": {"type": "authentication_error", "message": "no"}}'))


async def test_an_answer_without_a_number_is_an_error():
    with pytest.raises(BadResponseError, match="no number of tokens"):
        await count("messages", http(200, b'{"input_tokens": "many"}'))


async def test_replay_alone_asks_no_provider(tmp_path):
    llmkit.replay(tmp_path / "a.replay")
    await llmkit.client("sandbox").generate_text("Hi")
    llmkit.replay(tmp_path / "a.replay", mode="only")
    try:
        found, peer = await count("messages", http(200, b'{"input_tokens": 42}'))
    finally:
        llmkit.replay("off")
    assert (found.exact, peer.bodies) == (False, [])


async def test_a_client_of_another_package_has_an_estimate():
    class Echo(llmkit.BaseLLMClient):
        async def generate_text(self, messages, model=None, **kwargs):
            return LLMResponse("Hi", "mine", "echo")

        async def stream_text(self, messages, model=None, **kwargs):
            yield "Hi"

        async def close(self):
            pass

    assert repr(await RecordedClient(Echo("mine")).count_tokens("Name three rivers.")) == "≈8"


def test_a_count_can_be_pickled():
    for exact in (True, False):
        copied = pickle.loads(pickle.dumps(TokenCount(3, exact=exact)))
        assert (copied, copied.exact) == (3, exact)
