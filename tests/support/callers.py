"""Clients of every kind, against the sandbox, for the tests of a call."""

import asyncio
import contextlib
import dataclasses
import time

import anthropic
import openai
from google import genai

from llmkit import (
    AnthropicClient,
    GoogleAIClient,
    GoogleGenerativeAIClient,
    LLMMessage,
    OpenAIClient,
    RetryPolicy,
)

QUESTION = [LLMMessage("system", "Be brief."), LLMMessage("user", "echo: one two three four five")]
TEXT = "one two three four five"
PROTOCOLS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "google-legacy": "google"}
SDKS = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}


def make(kind, server, **options):
    """Make a client of a kind; see `KINDS`."""
    options = {"model": "sandbox", **options}
    kind, _, http = kind.partition(" on ")
    if kind == "own openai":
        http = openai.DefaultAioHttpClient() if http else None
        sdk = openai.AsyncOpenAI(api_key="k", base_url=server.url("openai"), http_client=http)
        return OpenAIClient(client=sdk, **options)
    if kind == "own anthropic":
        http = anthropic.DefaultAioHttpClient() if http else None
        sdk = anthropic.AsyncAnthropic(api_key="k", base_url=server.url("anthropic"), http_client=http)
        return AnthropicClient(client=sdk, **options)
    if kind == "own google":
        http = genai.types.HttpOptions(base_url=server.url("google"), api_version="v1beta")
        return GoogleAIClient(client=genai.Client(api_key="k", http_options=http), **options)
    factory = GoogleGenerativeAIClient if kind == "google-legacy" else SDKS[kind]
    return factory("k", server.url(PROTOCOLS[kind]), **options)


@contextlib.asynccontextmanager
async def opened(kind, server, **options):
    """A client that is closed at the end, and the user's own SDK client with it."""
    client = make(kind, server, **options)
    try:
        yield client
    finally:
        await client.close()
        if kind.startswith("own "):
            sdk = getattr(client._endpoint.transport, "_own", None)
            await (sdk.close() if sdk is not None else client._endpoint.transport._client.aio.aclose())


KINDS = (
    "openai",
    "anthropic",
    "google",
    "google-legacy",
    "own openai",
    "own anthropic",
    "own google",
    "own openai on aiohttp",
    "own anthropic on aiohttp",
)
"""Every kind of client; `own …` is a user's own SDK client, `on aiohttp` with that HTTP library."""


async def at_once(kinds, server, check, **options):
    """Run a check with a client of each kind at the same time, so that they share one wait.

    All clients are made first: an SDK that loads in the meantime would use up the others' deadlines.
    """
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(opened(kind, server, **options)) for kind in kinds]
        results = await asyncio.gather(*map(check, clients), return_exceptions=True)
    failed = [
        f"{kind}: {result!r}" for kind, result in zip(kinds, results, strict=True) if result is not None
    ]
    assert not failed, "\n".join(failed)


async def closed(server, wanted="aborted"):
    """Wait until the server has seen how its last answer ended."""
    end = time.monotonic() + 5
    while server.requests[-1].outcome == "open" and time.monotonic() < end:  # noqa: ASYNC110 - the server's thread writes it
        await asyncio.sleep(0.005)
    return server.requests[-1].outcome == wanted


def hurry(client):
    """Shorten the pauses between retries."""
    client._endpoint = dataclasses.replace(client._endpoint, retry=RetryPolicy(base_delay=0.01))


async def read(stream, pieces=None):
    pieces = [] if pieces is None else pieces
    async for piece in stream:
        pieces.append(piece)
    return pieces
