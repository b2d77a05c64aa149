"""Who is compared: llmkit, the official SDKs, and aiohttp with orjson. Each returns text and tokens."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import orjson
from frames import MODELS, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROMPT = "Say something about foxes."
MESSAGES = [{"role": "user", "content": PROMPT}]
KEY = "made-up"
LIMIT = 4_096

LLMKIT, LLMKIT_AIOHTTP = "llmkit", "llmkit, SDK on aiohttp"
SDK, SDK_AIOHTTP, BARE = "SDK", "SDK on aiohttp", "aiohttp + orjson"

_ASK = """
import asyncio, sys, llmkit
async def main():
    async with llmkit.client({model!r}, api_key={key!r}, base_url=sys.argv[1]) as client:
        messages = [llmkit.LLMMessage(role="user", content={prompt!r})]
        print((await client.generate_text(messages, max_tokens={limit})).content)
asyncio.run(main())
"""
_OPENAI = """
import asyncio, sys, openai
async def main():
    async with openai.AsyncOpenAI(api_key={key!r}, base_url=sys.argv[1]) as client:
        messages = [{{"role": "user", "content": {prompt!r}}}]
        create = client.chat.completions.create
        answer = await create(model={model!r}, messages=messages, max_completion_tokens={limit})
        print(answer.choices[0].message.content)
asyncio.run(main())
"""
_ANTHROPIC = """
import asyncio, sys, anthropic
async def main():
    async with anthropic.AsyncAnthropic(api_key={key!r}, base_url=sys.argv[1]) as client:
        messages = [{{"role": "user", "content": {prompt!r}}}]
        answer = await client.messages.create(model={model!r}, messages=messages, max_tokens={limit})
        print(answer.content[0].text)
asyncio.run(main())
"""
_GOOGLE_SDK = """
import asyncio, sys
from google import genai
async def main():
    client = genai.Client(api_key={key!r}, http_options={{"base_url": sys.argv[1], "api_version": "v1beta"}})
    config = {{"max_output_tokens": {limit}}}
    answer = await client.aio.models.generate_content(model={model!r}, contents={prompt!r}, config=config)
    print(answer.text)
    await client.aio.aclose()
asyncio.run(main())
"""


def _program(code: str, model: str) -> str:
    return code.format(model=model, key=KEY, prompt=PROMPT, limit=LIMIT)


FIRST = {
    LLMKIT: {name: _program(_ASK, f"{name}:{model}") for name, model in MODELS.items()},
    SDK: {
        "openai": _program(_OPENAI, MODELS["openai"]),
        "anthropic": _program(_ANTHROPIC, MODELS["anthropic"]),
        "google": _program(_GOOGLE_SDK, MODELS["google"]),
    },
}
"""Programs that make one call, by contestant and provider: what a user would write."""


class Contestant(Protocol):
    async def call(self) -> Reply:
        """Make a plain call."""
        ...

    async def stream(self) -> Reply:
        """Make a streamed call and read it to its end."""
        ...

    async def close(self) -> None: ...


class LLMKit:
    """llmkit as a user has it: metered, priced, every call a row in the ledger's file."""

    def __init__(self, provider: str, **options: Any) -> None:
        import llmkit

        self._client = llmkit.client(f"{provider}:{MODELS[provider]}", **options)
        self._messages = [llmkit.LLMMessage(role="user", content=PROMPT)]

    async def call(self) -> Reply:
        response = await self._client.generate_text(self._messages, max_tokens=LIMIT)
        return Reply(response.content, response.prompt_tokens, response.completion_tokens)

    async def stream(self) -> Reply:
        stream = self._client.stream_text(self._messages, max_tokens=LIMIT)
        text = "".join([piece async for piece in stream])
        return Reply(text, stream.usage.input_tokens, stream.usage.output_tokens)

    async def close(self) -> None:
        await self._client.close()


class OpenAISDK:
    def __init__(self, url: str, *, on_aiohttp: bool = False) -> None:
        import openai

        http = openai.DefaultAioHttpClient() if on_aiohttp else None
        self.client = openai.AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0, http_client=http)
        self._body: Any = {
            "model": MODELS["openai"],
            "messages": MESSAGES,
            "max_completion_tokens": LIMIT,
        }

    async def call(self) -> Reply:
        answer = await self.client.chat.completions.create(**self._body)
        usage = answer.usage
        return Reply(answer.choices[0].message.content, usage.prompt_tokens, usage.completion_tokens)

    async def stream(self) -> Reply:
        options = {"include_usage": True}
        chunks = await self.client.chat.completions.create(**self._body, stream=True, stream_options=options)
        parts, usage = [], None
        async for chunk in chunks:
            if chunk.choices and (content := chunk.choices[0].delta.content):
                parts.append(content)
            usage = chunk.usage or usage
        return Reply("".join(parts), usage.prompt_tokens, usage.completion_tokens)

    async def close(self) -> None:
        await self.client.close()


class AnthropicSDK:
    def __init__(self, url: str, *, on_aiohttp: bool = False) -> None:
        import anthropic

        http = anthropic.DefaultAioHttpClient() if on_aiohttp else None
        self.client = anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0, http_client=http)
        self._body: Any = {"model": MODELS["anthropic"], "messages": MESSAGES, "max_tokens": LIMIT}

    async def call(self) -> Reply:
        answer = await self.client.messages.create(**self._body)
        return Reply(answer.content[0].text, answer.usage.input_tokens, answer.usage.output_tokens)

    async def stream(self) -> Reply:
        events = await self.client.messages.create(**self._body, stream=True)
        parts, usage = [], None
        async for event in events:
            if event.type == "content_block_delta":
                parts.append(event.delta.text)
            elif event.type == "message_delta":
                usage = event.usage
        return Reply("".join(parts), usage.input_tokens, usage.output_tokens)

    async def close(self) -> None:
        await self.client.close()


class GoogleSDK:
    """The `google-genai` SDK, whose default transport is aiohttp."""

    def __init__(self, url: str) -> None:
        from google import genai

        options = {"base_url": url, "api_version": "v1beta"}
        self._client = genai.Client(api_key=KEY, http_options=options)
        self._body: Any = {
            "model": MODELS["google"],
            "contents": PROMPT,
            "config": {"max_output_tokens": LIMIT, "temperature": 0.7},
        }

    async def call(self) -> Reply:
        answer = await self._client.aio.models.generate_content(**self._body)
        usage = answer.usage_metadata
        return Reply(answer.text, usage.prompt_token_count, usage.candidates_token_count)

    async def stream(self) -> Reply:
        parts, usage = [], None
        async for chunk in await self._client.aio.models.generate_content_stream(**self._body):
            parts.append(chunk.text)
            usage = chunk.usage_metadata
        return Reply("".join(parts), usage.prompt_token_count, usage.candidates_token_count)

    async def close(self) -> None:
        await self._client.aio.aclose()


class Bare:
    """The least that will do: aiohttp, orjson, and the fields that are wanted."""

    def __init__(self, provider: str, url: str) -> None:
        self._read = {"openai": _openai, "anthropic": _anthropic, "google": _google}[provider]
        self._session = aiohttp.ClientSession(
            headers={"content-type": "application/json"} | _HEADERS[provider]
        )
        self._paths = [url + path for path in _PATHS[provider]]
        self._bodies = [_BODIES[provider], _BODIES[provider] | _STREAMED[provider]]

    async def call(self) -> Reply:
        async with self._session.post(self._paths[0], data=orjson.dumps(self._bodies[0])) as response:
            parts, tokens = [], [0, 0]
            self._read(orjson.loads(await response.read()), parts, tokens)
            return Reply("".join(parts), *tokens)

    async def stream(self) -> Reply:
        async with self._session.post(self._paths[1], data=orjson.dumps(self._bodies[1])) as response:
            parts, tokens, rest = [], [0, 0], b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        self._read(orjson.loads(line[6:]), parts, tokens)
            return Reply("".join(parts), *tokens)

    async def close(self) -> None:
        await self._session.close()


def _openai(data: dict[str, Any], parts: list[str], tokens: list[int]) -> None:
    for choice in data["choices"]:
        if text := (choice.get("delta") or choice.get("message", {})).get("content"):
            parts.append(text)
    if usage := data["usage"]:
        tokens[:] = usage["prompt_tokens"], usage["completion_tokens"]


def _anthropic(data: dict[str, Any], parts: list[str], tokens: list[int]) -> None:
    if data["type"] == "content_block_delta":
        parts.append(data["delta"]["text"])
    elif data["type"] == "message":
        parts.extend(block["text"] for block in data["content"])
    if usage := data.get("usage"):
        tokens[:] = usage["input_tokens"], usage["output_tokens"]


def _google(data: dict[str, Any], parts: list[str], tokens: list[int]) -> None:
    parts.extend(part["text"] for part in data["candidates"][0]["content"]["parts"])
    usage = data["usageMetadata"]
    tokens[:] = usage["promptTokenCount"], usage["candidatesTokenCount"]


_HEADERS = {
    "openai": {"authorization": f"Bearer {KEY}"},
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "google": {"x-goog-api-key": KEY},
}
_GOOGLE = f"/v1beta/models/{MODELS['google']}"
_PATHS = {
    "openai": ["/chat/completions"] * 2,
    "anthropic": ["/v1/messages"] * 2,
    "google": [f"{_GOOGLE}:generateContent", f"{_GOOGLE}:streamGenerateContent?alt=sse"],
}
_BODIES: dict[str, dict[str, Any]] = {
    "openai": {"model": MODELS["openai"], "messages": MESSAGES, "max_completion_tokens": LIMIT},
    "anthropic": {"model": MODELS["anthropic"], "messages": MESSAGES, "max_tokens": LIMIT},
    "google": {
        "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
        "generationConfig": {"maxOutputTokens": LIMIT, "temperature": 0.7},
    },
}
_STREAMED: dict[str, dict[str, Any]] = {
    "openai": {"stream": True, "stream_options": {"include_usage": True}},
    "anthropic": {"stream": True},
    "google": {},
}


def _make(provider: str, url: str) -> dict[str, Contestant]:
    url += "/v1" if provider == "openai" else ""
    found: dict[str, Contestant] = {LLMKIT: LLMKit(provider, api_key=KEY, base_url=url)}
    if provider == "google":
        found[SDK] = GoogleSDK(url)
    else:
        sdk = {"openai": OpenAISDK, "anthropic": AnthropicSDK}[provider]
        fast = sdk(url, on_aiohttp=True)
        found |= {LLMKIT_AIOHTTP: LLMKit(provider, client=fast.client), SDK: sdk(url), SDK_AIOHTTP: fast}
    return found | {BARE: Bare(provider, url)}


@asynccontextmanager
async def contestants(provider: str, url: str) -> AsyncIterator[dict[str, Contestant]]:
    """Open the contestants of one provider, by name.

    Args:
        provider: `"openai"`, `"anthropic"` or `"google"`.
        url: The fake server's address.
    """
    found = _make(provider, url)
    try:
        yield found
    finally:
        for contestant in found.values():
            await contestant.close()
