"""Addresses as people write them, and what a server says that is at another one."""

import json

import pytest

import llmkit
from llmkit import ConfigurationError, LLMMessage, ModelNotFoundError, OpenAIClient
from llmkit.core import catalog, settings
from llmkit.core.addresses import covers, place_of
from tests.support.callers import SDKS, read
from tests.support.peer import Peer, http

QUESTION = [LLMMessage("user", "Hello")]
WHOLE = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":null}'


def address(monkeypatch, provider, text, variable=None):
    known = catalog.providers()[provider]
    monkeypatch.setenv(variable or known.base_url_env[0], text)
    return settings.base_url(known)


@pytest.mark.parametrize(
    ("provider", "text", "meant"),
    [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("openai", "https://api.openai.com", "https://api.openai.com/v1"),
        ("openai", "api.openai.com/v1/", "https://api.openai.com/v1"),
        ("openai", '"https://gate.example/v1"', "https://gate.example/v1"),
        ("openai", "'https://gate.example/v1/' ", "https://gate.example/v1"),
        ("openai", "\u201chttps://gate.example/v1\u201d", "https://gate.example/v1"),
        ("openai", "https://gate.example/v1/chat/completions", "https://gate.example/v1"),
        ("openai", "https://gate.example/v1/v1", "https://gate.example/v1"),
        ("anthropic", "https://gate.example/v1/v1", "https://gate.example"),
        ("anthropic", "https://gate.example/v1/v1/messages", "https://gate.example"),
        ("google", "https://gate.example/v1beta/v1beta", "https://gate.example"),
        ("google", "https://gate.example/v1/v1beta/models", "https://gate.example"),
        ("openai", "https://gate.example//v1//", "https://gate.example/v1"),
        ("openai", "HTTPS://Gate.Example/v1", "https://gate.example/v1"),
        ("openai", "http:/127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("openai", "localhost:8000/v1", "http://localhost:8000/v1"),
        ("openai", "10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1"),
        ("openai", "[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("openai", "http://0.0.0.0:8000/v1", "http://127.0.0.1:8000/v1"),
        (
            "openai",
            "https://me.example/deployments/mini/chat/completions?api-version=1",
            "https://me.example/deployments/mini?api-version=1",
        ),
        ("anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com"),
        ("anthropic", "https://gate.example/anthropic/v1/messages", "https://gate.example/anthropic"),
        ("google", "https://gate.example/v1beta", "https://gate.example"),
        ("google", "https://gate.example/v1beta/models/gemini-x:generateContent", "https://gate.example"),
        ("groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("vllm", "http://gpu:8000", "http://gpu:8000/v1"),
        ("lmstudio", "localhost", "http://localhost:1234/v1"),
    ],
)
def test_an_address_with_one_meaning_is_normalized(monkeypatch, provider, text, meant):
    assert address(monkeypatch, provider, text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("gpubox", "http://gpubox:11434/v1"),
        ("gpubox:1234", "http://gpubox:1234/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/v1"),
        (":8080", "http://127.0.0.1:8080/v1"),
        ("http://gpubox:11434/", "http://gpubox:11434/v1"),
        ("https://ollama.example.com", "https://ollama.example.com/v1"),
        ("http://gpubox:11434/api/chat", "http://gpubox:11434/v1"),
        ("'192.168.1.5'", "http://192.168.1.5:11434/v1"),
        ("::1", "http://[::1]:11434/v1"),
    ],
)
def test_ollamas_own_variable_says_where_it_listens(monkeypatch, text, meant):
    assert address(monkeypatch, "ollama", text, "OLLAMA_HOST") == meant


def test_our_own_variable_wins_over_ollamas(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "one")
    assert address(monkeypatch, "ollama", "http://two:1/v1") == "http://two:1/v1"


@pytest.mark.parametrize("text", ["", "  ", "''"])
def test_a_blank_address_is_none(monkeypatch, text):
    assert address(monkeypatch, "openai", text) == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    "text",
    [
        "ftp://gate.example/v1",
        "https://",
        "https:///v1",
        "http://gate.example:99999/v1",
        "http://gate.example:port/v1",
        "https://gate.example/a/../v1",
        "https://gate.example/a/%2e%2E/v1",
        "https://gate.example\\v1",
        "gate example/v1",
        "https://me:secret@gate.example/v1",
        "sk-proj-0123456789abcdefghij",
    ],
)
def test_what_is_no_address_is_refused_by_its_variable_and_not_shown(monkeypatch, text):
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL") as caught:
        address(monkeypatch, "openai", text)
    assert "secret" not in str(caught.value)
    assert "sk-proj" not in str(caught.value)


def test_a_file_without_an_address_is_reported(tmp_path):
    (tmp_path / "llmkit.toml").write_text('[base_urls]\nopenai = "ftp://x"\n')
    with pytest.raises(ConfigurationError, match=r"base_urls\.openai in .*llmkit\.toml"):
        settings.base_url(catalog.providers()["openai"])


async def test_a_query_goes_behind_the_path_of_each_request(recorder):
    async with Peer() as peer:
        peer.scripts["m"] = [[http(200, WHOLE)]]
        async with OpenAIClient("k", f"{peer.url}/mini?api-version=1", model="m") as client:
            assert (await client.generate_text(QUESTION)).content == "Hi"
            assert client.address == f"{peer.url}/mini"
    assert peer.heads[0].startswith("POST /mini/chat/completions?api-version=1 ")


def test_two_queries_become_one():
    assert place_of("https://h/x?a=1", "/y?alt=sse") == "https://h/x/y?alt=sse&a=1"


@pytest.mark.parametrize(
    ("trusted", "other", "whether"),
    [
        ("https://h/team", "https://h/team", True),
        ("https://h/team", "https://h/team/v1?x=1", True),
        ("https://h", "https://h/anything", True),
        ("https://h/team", "https://h/teams", False),
        ("https://h/team", "https://h/team/%2e%2e/other", False),
        ("https://h", "http://h", False),
        ("https://h", "https://h:8443", False),
        ("https://h", "https://h.evil.example", False),
    ],
)
def test_a_trusted_address_covers_what_lies_below_it_alone(trusted, other, whether):
    assert covers(trusted, other) is whether


# What a server says of a path that it does not have ------------------------------------------------------


PATHS = {
    "go": (404, b"404 page not found\n"),
    "fastapi": (404, b'{"detail":"Not Found"}'),
    "page": (404, b"<html><body>The URL /v1/models/gemini-x was not found on this server.</body></html>"),
    "openai": (404, b'{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)"}}'),
    "anthropic": (404, b'{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}'),
    "method": (405, b'{"detail":"Method Not Allowed"}'),
}


@pytest.mark.parametrize("way", ["whole", "streamed", "models"])
@pytest.mark.parametrize("provider", SDKS)
@pytest.mark.parametrize("said", PATHS)
async def test_a_path_that_a_server_does_not_know_is_blamed_on_the_address(recorder, said, provider, way):
    async with Peer() as peer:
        peer.scripts["m"] = [[http(*PATHS[said], kind="text/plain")]]
        peer._model = lambda head, body: "m"
        async with SDKS[provider]("k", f"{peer.url}/team", model="m", max_retries=0) as client:
            ways = {
                "models": client.list_models,
                "whole": lambda: client.generate_text(QUESTION),
                "streamed": lambda: read(client.stream_text(QUESTION)),
            }
            with pytest.raises(llmkit.LLMClientError, match=rf"{peer.url}/team may be wrong") as caught:
                await ways[way]()
    assert "%llm models" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}},
        {"error": 'model "m" not found, try pulling it first'},
        {"type": "error", "error": {"type": "not_found_error", "message": "model: m"}},
        {"error": {"code": 404, "message": "models/m is not found for API version v1beta"}},
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
        {"error": {"code": 404, "message": "No endpoints found for a/m."}},
    ],
)
async def test_a_model_that_a_server_does_not_know_is_blamed_on_the_model(recorder, body):
    async with Peer() as peer:
        peer.scripts["m"] = [[http(404, json.dumps(body).encode())]]
        async with OpenAIClient("k", peer.url, model="m") as client:
            with pytest.raises(ModelNotFoundError, match="%llm models") as caught:
                await client.generate_text(QUESTION)
    assert "address" not in str(caught.value)


# Names of models -----------------------------------------------------------------------------------------


def test_a_model_of_googles_is_the_same_with_and_without_models_before_it(recorder):
    from llmkit.clients.registry import resolve

    assert str(resolve("google:models/gemini-2.5-flash")) == "google:gemini-2.5-flash"
    assert str(resolve("google:tunedModels/mine")) == "google:tunedModels/mine"
    assert str(resolve("openrouter:models/x")) == "openrouter:models/x"


@pytest.mark.parametrize("way", ["client", "call"])
async def test_the_ledger_and_the_prices_know_it_by_its_plain_name(recorder, server, way):
    name = "models/gemini-2.5-flash"
    async with llmkit.GoogleAIClient(
        "k", server.url("google"), model=name if way == "client" else None
    ) as one:
        answer = await one.generate_text(QUESTION, **({} if way == "client" else {"model": name}))
    assert recorder.last.model == "gemini-2.5-flash"
    assert answer.cost_estimate is not None
