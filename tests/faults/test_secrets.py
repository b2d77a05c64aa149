"""A key is shown nowhere: not in a repr, a message, a log, a traceback, a pickle, the ledger's file."""

import base64
import copy
import html
import io
import json
import logging
import pickle
import traceback
import types
import urllib.parse
from contextlib import redirect_stdout

import anthropic
import openai
import pytest
from aiohttp import web
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import llmkit
from llmkit import (
    AnthropicClient,
    APIKeyManager,
    GoogleAIClient,
    GoogleGenerativeAIClient,
    LLMClientError,
    LLMMessage,
    OpenAIClient,
    records,
)
from llmkit.core.redaction import HIDDEN, Secret, redact, redact_error
from llmkit.costs.ledger import Ledger
from tests.support.callers import read

SHAPED = "sk-proj-Canary0123456789abcdefABCDEF"
PLAIN = "canary/of+no.known~shape42"
QUESTION = [LLMMessage("user", "Hello")]
FACTORIES = {
    "openai": OpenAIClient,
    "anthropic": AnthropicClient,
    "google": GoogleAIClient,
    "google-legacy": GoogleGenerativeAIClient,
}


@pytest.fixture(params=[SHAPED, PLAIN], ids=["shaped", "plain"])
def key(request):
    return request.param


@pytest.fixture(params=FACTORIES)
def provider(request):
    return request.param


@pytest.fixture
async def gossip():
    """A provider that refuses every key and repeats it, in its message, the body and a header."""

    async def refuse(request):
        sent = json.dumps(dict(request.headers))
        error = {"message": f"Incorrect key: {sent}", "code": "invalid_api_key", "status": "UNAUTHENTICATED"}
        body = {"error": error, "echo": {"headers": [sent]}}
        return web.json_response(body, status=403, headers={"x-echo": sent.replace("\n", " ")})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", refuse)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def failure(provider, url, key):
    client = FACTORIES[provider](key, url, model="m", max_retries=0)
    try:
        await client.generate_text(QUESTION)
    except LLMClientError as error:
        return error
    finally:
        await client.close()
    raise AssertionError("the key was accepted")


def chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def test_a_client_does_not_show_its_key(provider, key):
    client = FACTORIES[provider](key, "http://127.0.0.1:1", model="m")
    public = {name: getattr(client, name) for name in dir(client) if not name.startswith("_")}
    assert key not in f"{client!r} {client} {vars(client)} {public}"
    line = client._endpoint
    assert key not in f"{line!r} {vars(line.transport)}"


def test_a_key_manager_does_not_show_its_keys(key):
    manager = APIKeyManager({"openai": [key]})
    assert key not in f"{manager!r} {vars(manager)} {manager.find('openai')} {manager.find('openai')!r}"


def test_a_key_is_not_pickled(key):
    assert key.encode() not in pickle.dumps(APIKeyManager({"openai": [key]}).find("openai"))


async def test_an_exception_and_its_causes_do_not_show_the_key(gossip, provider, key):
    error = await failure(provider, gossip, key)
    for one in chain(error):
        said = f"{one} {one!r} {one.args} {getattr(one, 'body', '')} {getattr(one, 'message', '')}"
        assert key not in said
    assert key not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("length", range(330, 420, 7))
async def test_a_key_is_blanked_out_before_a_message_is_cut(length):
    error = OpenAIClient(SHAPED, "http://127.0.0.1:1")._endpoint.codec.classify(
        400, {}, b"x " * (length // 2) + SHAPED.encode()
    )
    assert SHAPED[:12] not in str(error)


async def test_an_exception_that_is_pickled_does_not_hold_the_key(gossip, key):
    error = await failure("openai", gossip, key)
    assert key.encode() not in pickle.dumps(error)


async def test_an_error_inside_a_stream_does_not_show_the_key(recorder, key):
    async def stream(request):
        error = json.dumps({"error": {"message": f"bad {request.headers['authorization']}", "code": 401}})
        return web.Response(text=f"data: {error}\n\n", content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/chat/completions", stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with OpenAIClient(key, f"http://127.0.0.1:{runner.addresses[0][1]}", model="m") as client:
        with pytest.raises(LLMClientError) as caught:
            [piece async for piece in client.stream_text(QUESTION)]
    await runner.cleanup()
    assert key not in "".join(traceback.format_exception(caught.value))


async def test_the_list_of_models_does_not_show_the_key(gossip, provider, key):
    async with FACTORIES[provider](key, gossip, model="m") as client:
        health = await client.health_check()
    assert not health
    assert all(key not in f"{one} {one!r} {one.args}" for one in chain(health.error))
    assert key not in repr(health)


async def test_no_logger_tells_the_key(gossip, provider, key, caplog):
    with caplog.at_level(logging.DEBUG):
        for name in ("llmkit", "openai", "anthropic", "httpx2", "httpcore2", "aiohttp", "google", "urllib3"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        await failure(provider, gossip, key)
    said = [f"{r.getMessage()} {r.args} {r.exc_text}" for r in caplog.records]
    assert not [line for line in said if key in line]


async def cell(provider, url, mode):
    """Run a call as a cell of IPython; return what it shows and the exception."""
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    client = FACTORIES[provider](SHAPED, url, model="m", max_retries=0)
    shell.user_ns.update(client=client, question=QUESTION)
    out = io.StringIO()
    with redirect_stdout(out):
        shell.run_line_magic("xmode", mode)
        code = shell.transform_cell("await client.generate_text(question)")
        result = await shell.run_cell_async(code, transformed_cell=code)
    await client.close()
    return out.getvalue(), result.error_in_exec


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Minimal"])
async def test_no_traceback_of_a_refused_key_shows_it(gossip, mode, provider):
    shown, error = await cell(provider, gossip, mode)
    assert isinstance(error, LLMClientError)
    assert "Incorrect key" in shown
    assert SHAPED not in shown


@pytest.mark.product
@pytest.mark.parametrize("mode", ["Context", "Verbose"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://nowhere.invalid", "nowhere.invalid"])
async def test_no_traceback_of_a_failed_connection_shows_the_key(url, mode, provider):
    shown, error = await cell(provider, url, mode)
    assert isinstance(error, LLMClientError)
    assert SHAPED not in shown


async def test_the_ledger_does_not_hold_the_key(gossip, provider, key, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    try:
        with records.calling(tags={"project": "x"}):
            await failure(provider, gossip, key)
    finally:
        records.set_recorder(before)
    assert ledger.flush(10)
    ledger.close()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert provider.encode() in held
    assert key.encode() not in held
    assert b"Hello" not in held


def own_client(kind, url, key):
    """A user's own SDK client, with its key where users put one; and what closes it."""
    from google import genai

    from llmkit.transport.genai_legacy import load_sdk

    if kind == "openai":
        own = openai.AsyncOpenAI(api_key=key, base_url=url)
        return OpenAIClient(client=own, model="m", max_retries=0), own.close
    if kind == "openai, in a header":
        own = openai.AsyncOpenAI(api_key="-", base_url=url, default_headers={"api-key": key})
        return OpenAIClient(client=own, model="m", max_retries=0), own.close
    if kind == "anthropic":
        own = anthropic.AsyncAnthropic(auth_token=key, base_url=url)
        return AnthropicClient(client=own, model="m", max_retries=0), own.close
    if kind == "google-legacy":
        load_sdk().configure(api_key=key, transport="rest", client_options={"api_endpoint": url})
        model = load_sdk().GenerativeModel("m")

        async def forget():
            load_sdk().configure(api_key="", transport="rest")

        return GoogleGenerativeAIClient(client=model, model="m", max_retries=0), forget
    headers = {"headers": {"authorization": f"Bearer {key}"}} if kind == "google, in a header" else {}
    own = genai.Client(api_key="-" if headers else key, http_options={"base_url": url, **headers})
    return GoogleAIClient(client=own, model="m", max_retries=0), own.aio.aclose


@pytest.mark.product
@pytest.mark.parametrize("way", ["whole", "streamed", "models"])
@pytest.mark.parametrize(
    "kind",
    ["openai", "openai, in a header", "anthropic", "google", "google, in a header", "google-legacy"],
)
async def test_the_key_of_a_users_own_sdk_client_is_not_shown(gossip, key, kind, way, caplog):
    client, close = own_client(kind, gossip, key)
    ways = {
        "whole": lambda: client.generate_text(QUESTION),
        "streamed": lambda: read(client.stream_text(QUESTION)),
        "models": client.list_models,
    }
    with caplog.at_level(logging.INFO), pytest.raises(LLMClientError) as caught:
        await ways[way]()
    await close()
    shown = "".join(f"{one} {one!r} {one.args} {vars(one)}" for one in chain(caught.value))
    assert "ncorrect key" in shown
    assert key not in shown
    assert key not in "".join(traceback.format_exception(caught.value))
    assert key not in caplog.text


async def test_a_key_that_a_users_sdk_client_was_given_later_is_not_shown(gossip, key):
    client, close = own_client("openai", gossip, "the-first-key-0123")
    client._endpoint.transport._own.api_key = key
    with pytest.raises(LLMClientError) as caught:
        await client.generate_text(QUESTION)
    await close()
    assert all(key not in f"{one} {one!r}" for one in chain(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        "sk-abcdefgh12345678",
        "sk-ant-api03-AbCd_1234-efgh",
        "AIzaSyA1234567890abcdefghijklmnopqrstu",
        "gsk_abcdefghijklmnop1234",
        "xai-abcdefghijklmnop1234",
        "Bearer abc.def-ghi_jkl",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "sk-or-v1-0123456789abcdef0123456789abcdef",
    ],
)
def test_what_looks_like_a_key_is_blanked_out(text):
    secret = text.removeprefix("Bearer ")
    assert secret not in redact(f"Incorrect API key provided: {text}.")


def test_ordinary_words_are_left_alone():
    text = "The task-specific risk-free model gpt-4o-mini failed at /v1/chat?x=1"
    assert redact(text) == text


def test_the_configuration_does_not_show_keys(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", PLAIN)
    assert PLAIN not in f"{llmkit.LLM_CONFIG} {llmkit.LLM_CONFIG!r}"


def encodings(key):
    """The key as servers may write it back."""
    coded = [
        base64.b64encode(f"{before}{key}{after}".encode())
        for before in ("", "u", "ur", "user:")
        for after in ("", "x")
    ]
    yield from [key, key.upper(), key.lower(), urllib.parse.quote(key, safe=""), urllib.parse.quote(key)]
    yield from [
        key.encode().hex(),
        key.encode().hex().upper(),
        json.dumps(key)[1:-1],
        key.replace("/", "\\/"),
    ]
    yield from [
        key.replace("=", "\\u003d").replace("+", "\\u002B"),
        html.escape(key),
        html.escape(key).replace("/", "&#x2F;"),
    ]
    yield from [code.decode() for code in coded]
    yield from [code.translate(bytes.maketrans(b"+/", b"-_")).decode().rstrip("=") for code in coded]
    yield from [key[:20], key[:20] + "...", key[:6] + "*" * 12 + key[-4:], key[:5] + "…" + key[-4:]]


@pytest.mark.parametrize(
    "known", [SHAPED, PLAIN, "a/b+c=d&e'f<g>h~1234567890", "0123456789abcdef0123456789abcdef"]
)
def test_a_key_in_use_is_found_in_every_encoding(known):
    held = Secret(known, "a test")
    for form in encodings(known):
        said = redact(f"you sent {form}, which is wrong")
        assert HIDDEN in said, form
        assert form not in said
        assert said.startswith("you sent ")
        assert said.endswith("which is wrong")
    assert held.source == "a test"


def test_a_wrapped_key_stays_wrapped():
    secret = Secret(PLAIN, "a test")
    assert copy.copy(secret) is copy.deepcopy([secret])[0] is secret
    assert f"{secret:>12}" == "  [redacted]"
    assert (
        PLAIN
        not in f"{secret} {secret!r} {secret.__getstate__()} {[getattr(secret, n) for n in dir(secret)]}"
    )
    assert pickle.loads(pickle.dumps(secret)).reveal() == ""
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)


def test_placeholders_for_a_key_are_not_hidden():
    held = [Secret(word, "a test") for word in ("EMPTY", "ollama", "k", "")]
    assert redact("EMPTY ollama k") == "EMPTY ollama k"
    assert len(held) == 4


def test_every_part_of_an_exception_is_cleaned():
    held = Secret(PLAIN, "a test")
    cause = OSError(5, f"bad {PLAIN}", f"/tmp/{PLAIN}")
    cause.body = {PLAIN: [f"x{PLAIN}".encode(), (PLAIN,)]}
    cause.request = types.SimpleNamespace(headers={"x-api-key": PLAIN, "accept": "all"})
    error = LLMClientError(f"No: {PLAIN}", hint=f"Not {PLAIN}")
    error.add_note(f"with {PLAIN}")
    error.__cause__ = ExceptionGroup("several", [cause, ValueError(PLAIN)])
    redact_error(error)
    said = f"{error} {error.hint} {error.__notes__} {cause} {cause.args} {cause.body} {cause.request.headers}"
    assert PLAIN not in said + "".join(traceback.format_exception(error))
    assert cause.request.headers == {"x-api-key": HIDDEN, "accept": "all"}
    assert held.reveal() == PLAIN


@pytest.mark.parametrize("odd", ["*.+?(k)[0-9]^$|\\", "k\ud800y-with-a-half-pair", "schlüssel-ключ-鍵-1234"])
def test_a_key_with_odd_characters_is_found_too(odd):
    held = Secret(odd, "a test")
    assert redact(f"<{odd}> and others") == "<[redacted]> and others"
    assert held.reveal() == odd
