"""Dry runs: the request, its tokens and its price, without a call."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmkit import prices
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.engine.engine import ProviderClient
from llmkit.clients.registry import shared_client
from llmkit.content import tokens
from llmkit.content.media import most_tokens
from llmkit.content.messages import Usage
from llmkit.content.schema import instruction
from llmkit.content.tools import Tool, described
from llmkit.core.bridge import bridge
from llmkit.core.money import format_money, from_nanos
from llmkit.core.redaction import redact
from llmkit.notebook.request import Part
from llmkit.providers.choices import WORDS
from llmkit.providers.codec import ContractTemperature
from llmkit.providers.formats import codec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.clients.registry import ModelName
    from llmkit.clients.stream import TextStream
    from llmkit.notebook.request import Prompt
    from llmkit.notebook.tools.stream import ToolStream
    from llmkit.providers.codec import Request

MAX_TEXT = 20_000
"""Longer parts are printed without their middle, in characters."""


def dry_run(outgoing: Prompt, name: ModelName, stream: TextStream | ToolStream) -> str:
    """Report what a call would send, to which address, and its price."""
    request, host = stream.request, _host(name)
    parts = [*_parts(outgoing), *_tools(request), *_schema(request)]
    rows = [_row(part, request, name.provider) for part in parts]
    lines = [
        f"Dry run: nothing was sent. A call would go to {name.provider}:{request.model} at {host}.",
        "",
        *_table([("part", "role", "tokens", "price"), *rows]),
        "",
        _total(request, name.provider),
        *_parameters(request, name),
    ]
    return "\n".join([*lines, *(_letter(part) for part in parts)])


def counted(name: ModelName, stream: TextStream | ToolStream) -> str:
    """Let the provider count the tokens of a request, and report them with their price."""
    request = stream.request
    client = shared_client(str(name))
    count = bridge.run(client.count_tokens(list(request.messages), request.model, request.tools))
    price = prices.price(name.provider, (request.model,), Usage(input_tokens=int(count), output_tokens=0))
    who = f"{name.provider} counts" if count.exact else f"{name.provider} does not count tokens; about"
    return f"{who} {count:,} tokens of prompt: {format_money(None if price is None else price.usd)}."


def _parts(outgoing: Prompt) -> list[Part]:
    history = [
        Part(title=f"message {n}", role=message.role, text=message.content)  # type: ignore[arg-type]  # a role
        for n, message in enumerate(outgoing.history, 1)
    ]
    files = [
        Part(title=f"message {n}: {file.name or file.media_type}", attachment=file)
        for n, message in enumerate(outgoing.history, 1)
        for file in message.attachments
    ]
    return [*outgoing.system, *history, *files, *outgoing.parts]


def _schema(request: Request) -> list[Part]:
    """Return what asks for the form of the answer."""
    if request.schema is None:
        return []
    return [Part(title="schema", role="system", text=instruction(request.schema))]


def _tools(request: Request) -> list[Part]:
    """Return what the model is told about each tool."""
    return [
        Part(title=f"tool {one.name}", role="system", text=described([one]))
        if isinstance(one, Tool)
        else Part(title=f"tool {one.get('type', 'of the provider')}", role="system", text=described([one]))
        for one in request.tools
    ]


def _host(name: ModelName) -> str:
    """Return the address of the call, if it is known."""
    client = shared_client(str(name))
    if not isinstance(client, ProviderClient):
        return "the address of its own client"
    host = urlsplit(client.address).netloc or client.address
    return f"{host} (the sandbox: nothing leaves this machine)" if client.simulated else host


def _row(part: Part, request: Request, provider: str) -> tuple[str, str, str, str]:
    count = _count(part, request.model, provider)
    price = prices.price(provider, (request.model,), Usage(input_tokens=count, output_tokens=0))
    return part.title, part.role, f"≈{count:,}", format_money(None if price is None else price.usd)


def _count(part: Part, model: str, provider: str) -> int:
    file = part.attachment
    if file is not None and file.kind != "text":
        return most_tokens(file, codec_of(provider).image_tokens, model)
    return max(1, tokens.count(part.text if file is None else file.text, model))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _total(request: Request, provider: str) -> str:
    most = cost_bound(request, provider)
    usd = from_nanos(most.nanos)
    return (
        f"At most {most.input_tokens:,} tokens of prompt and {most.output_tokens:,} of answer: "
        f"{format_money(usd)}."
    )


def _parameters(request: Request, name: ModelName) -> list[str]:
    choices = {choice: getattr(request, choice) for choice in WORDS}
    given = {"max_tokens": request.max_tokens, **choices, **request.extra}
    sent = [f"{key}={value!r}" for key, value in given.items() if _is_sent(key, value, request)]
    sent = [*_temperature(request, name), *sent]
    return [redact(f"Parameters: {', '.join(sent)}.")] if sent else []


def _temperature(request: Request, name: ModelName) -> list[str]:
    """Return the temperature that is sent; some servers get a default that the user did not set."""
    value = request.temperature
    if not isinstance(value, ContractTemperature):
        return [f"temperature={value!r}"] if _is_sent("temperature", value, request) else []
    client = shared_client(str(name))
    sent = client.temperature_of(request) if isinstance(client, ProviderClient) else None
    return [] if sent is None else [f"temperature={sent!r} (llmkit's default)"]


def _is_sent(name: str, value: object, request: Request) -> bool:
    return value is not None and name not in request.without


def _letter(part: Part) -> str:
    """Return a part verbatim, under its title."""
    file = part.attachment
    if file is None:
        body = part.text
    elif file.url:
        body = f"{file.kind} at {file.shown_url}: the provider downloads it"
    elif file.kind == "text":
        body = file.text
    else:
        body = f"{file.media_type}, {len(file.data):,} bytes"
    if len(body) > MAX_TEXT:
        half = MAX_TEXT // 2
        body = f"{body[:half]}\n… {len(body) - MAX_TEXT:,} more characters …\n{body[-half:]}"
    return f"\n── {part.title} ({part.role}) ──\n{body}"
