"""What `data/former.replay` holds answers to: an earlier llmkit recorded it, with keys of what it sent.

That llmkit ran `record()` once; the file is never written again.
"""

import asyncio
import base64
import sys
from datetime import UTC, datetime
from pathlib import Path

import llmkit
from llmkit import (
    AnthropicClient,
    BaseLLMClient,
    GoogleAIClient,
    LLMMessage,
    LLMResponse,
    OpenAIClient,
    sandbox,
)
from llmkit.clients.registry import recorded

DATA = Path(__file__).parents[1] / "data"
FILE = DATA / "former.replay"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
SYSTEM = LLMMessage("system", "Be brief.")


def user(*attachments):
    return [SYSTEM, LLMMessage("user", "echo: one two three", tuple(attachments))]


def questions():
    """Return messages and options, by the name of what is special about them."""
    csv = llmkit.attach(b"a,b\n1,2\n", "table.csv")
    return {
        "plain": (user(), {}),
        "conversation": ([*user(), LLMMessage("assistant", "one"), LLMMessage("user", "echo: go on")], {}),
        "parameters": (user(), {"temperature": 0.2, "max_tokens": 50, "top_p": 0.5, "stop": ["four"]}),
        "contract's own temperature": (user(), {"temperature": 0.7}),
        "schema": (user(), {"schema": CITY}),
        "any JSON": (user(), {"schema": "json"}),
        "files": (user(llmkit.attach(PNG, "dot.png"), csv), {}),
        "photo": (user(llmkit.attach(DATA / "turned.jpg")), {"max_tokens": 9}),
    }


CLIENTS = {
    "openai": (OpenAIClient, "gpt-4o-mini", ""),
    "openai, reasoning": (OpenAIClient, "o3-mini", ""),
    "anthropic": (AnthropicClient, "claude-sonnet-5-5", ""),
    "anthropic, older": (AnthropicClient, "claude-3-haiku", ""),
    "google": (GoogleAIClient, "gemini-2.5-flash", ""),
    "official openai": (OpenAIClient, "gpt-4o-mini", "https://api.openai.com/v1"),
}
PROTOCOLS = {name: name.split(",")[0].split()[-1] for name in CLIENTS}


class Echo(BaseLLMClient):
    """Somebody's own client."""

    def __init__(self):
        super().__init__("echo")

    async def generate_text(self, messages, model=None, temperature=0.7, max_tokens=None, **kwargs):
        return LLMResponse("from Echo", "echo", model or "echo")

    async def stream_text(self, messages, model=None, temperature=0.7, max_tokens=None, **kwargs):
        yield "from Echo"

    async def close(self):
        pass


def client(name, address):
    kind, model, official = CLIENTS[name]
    return kind("k", official or address, model=model, max_retries=0)


async def _record():
    from llmkit.clients.cassettes.recording import Recording
    from llmkit.clients.cassettes.request_key import canonical_request, request_key

    with sandbox.start(rate=0, first_token=0) as server, llmkit.replay(FILE) as state:
        for name in CLIENTS:
            async with client(name, server.url(PROTOCOLS[name])) as made:
                for what, (messages, options) in questions().items():
                    if "official" not in name:
                        await made.generate_text(messages, **options)
                        continue
                    given = {
                        "model": None,
                        "temperature": llmkit.providers.codec.TEMPERATURE,
                        "max_tokens": None,
                    }
                    known = {k: v for k, v in options.items() if k in given}
                    extra = {k: v for k, v in options.items() if k not in given}
                    call = made._call(messages, **{**given, **known}, extra=extra, stream=False)
                    asked = canonical_request(made._endpoint.codec, made.address, call)
                    key = request_key("openai", asked.place, asked.request)
                    kept = Recording(text=f"official: {what}", recorded_at=datetime.now(UTC))
                    state.cassette.write(
                        key, kept, provider="openai", model="gpt-4o-mini", request=asked.request
                    )
        await recorded(Echo()).generate_text(user(), max_tokens=5)


if __name__ == "__main__" and sys.argv[1:] == ["record"]:
    asyncio.run(_record())
