"""The web application: finds the dialect, the answer and the fault for each request."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from llmkit.sandbox.answers.voices import speed
from llmkit.sandbox.batches import anthropic, google, openai
from llmkit.sandbox.decisions import google as decisions_google
from llmkit.sandbox.decisions import openai as decisions_openai
from llmkit.sandbox.delivery import Delivery, Pace
from llmkit.sandbox.dialects.anthropic import AnthropicDialect
from llmkit.sandbox.dialects.dialect import UNKNOWN_PREFIX, Call, Frame, RefusedError, Route, Spare
from llmkit.sandbox.dialects.google import GoogleDialect
from llmkit.sandbox.dialects.openai import OpenAIDialect
from llmkit.sandbox.dialects.responses import ResponsesDialect
from llmkit.sandbox.endpoints import Endpoint, Incoming
from llmkit.sandbox.faults import Fault, parse, split_model
from llmkit.sandbox.journal import SeenRequest
from llmkit.sandbox.mounts import MOUNTS, NOTE
from llmkit.sandbox.reply import reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from llmkit.sandbox.conversation import Answer, Ask
    from llmkit.sandbox.dialects.dialect import Action, Dialect
    from llmkit.sandbox.journal import Journal

DIALECTS: tuple[Dialect, ...] = (ResponsesDialect(), OpenAIDialect(), AnthropicDialect(), GoogleDialect())
"""The protocols that are served; the first two share an address."""

_ENDPOINTS: dict[type[Dialect], tuple[Endpoint, ...]] = {
    OpenAIDialect: (*openai.ENDPOINTS, *decisions_openai.ENDPOINTS),
    AnthropicDialect: anthropic.ENDPOINTS,
    GoogleDialect: (*google.ENDPOINTS, *decisions_google.ENDPOINTS),
}
"""The Batch APIs and the Decisions APIs."""

_JSON = "application/json"
_SSE = "text/event-stream"
# Enough for the attachments that providers accept; aiohttp's default is 1 MB.
_LARGEST_BODY = 256 * 1024 * 1024
_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please sign in</h1></body></html>"
_INVALID_KEY = "invalid"
_PLAIN_SPARE = Spare(malformed=b'"@', problem=b"", ping=b"\n")


class ServedRequest:
    """One request and its response."""

    def __init__(
        self,
        journal: Journal,
        dialect: Dialect,
        route: Route | Endpoint,
        request: web.Request,
        raw: bytes,
    ) -> None:
        self.endpoint = route if isinstance(route, Endpoint) else None
        action: Action = route.action if isinstance(route, Route) else "endpoint"
        self.raw = raw
        self.journal = journal
        self.dialect = dialect
        self.request = request
        self.sent, self.readable = _decode(raw)
        headers = {name.lower(): value for name, value in request.headers.items()}
        named = request.match_info.get("model") or self.sent.get("model")
        self.named = named if isinstance(named, str) else ""
        model, self.model_fault = split_model(self.named)
        self.call = Call(action=action, model=model, body=self.sent, query=request.query, headers=headers)
        self.fault = Fault()
        self.metered: dict[str, int] = {}  # what it takes from the rate limits
        self.seen = SeenRequest(
            protocol=dialect.name,
            method=request.method,
            path=request.path,
            model=self.named,
            stream=action == "stream" or self.sent.get("stream") is True,
            body=self.sent if self.readable else None,
            headers=headers,
        )

    async def respond(self) -> web.StreamResponse:
        """Respond; a refused request gets the provider's error."""
        try:
            self._read_fault()
            await asyncio.sleep(self.fault.slow)
            response = self._instead() or await self._act()
        except RefusedError as refused:
            response = self._refuse(refused)
        self.seen.status = response.status
        return response

    def _read_fault(self) -> None:
        header = self.call.headers.get("x-llmkit-fault", "")
        # In this order, because the last setting of an item wins.
        specs = (self.journal.fault, self.journal.next_failure(), self.model_fault, header)
        self.seen.fault = ";".join(filter(None, specs))
        try:
            self.fault = parse(self.seen.fault)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None

    def _instead(self) -> web.Response | None:
        """Return what a fault sends instead of an answer."""
        fault = self.fault
        if self.dialect.key(self.call) == _INVALID_KEY:
            raise self.dialect.invalid_key()
        if fault.html:
            headers = self._headers("text/html; charset=utf-8")
            return web.Response(text=_PAGE, status=fault.status or 200, headers=headers)
        if fault.empty:
            return web.Response(headers=self._headers(_SSE if self.seen.stream else _JSON))
        if fault.status:
            message = fault.message or f"The sandbox was asked for status {fault.status}."
            raise RefusedError(fault.status, message, code=fault.code, retry_after=fault.retry_after)
        return None

    async def _act(self) -> web.StreamResponse:
        call = self.call
        if self.endpoint:
            return await self._handle(self.endpoint)
        if call.model.startswith(UNKNOWN_PREFIX):
            raise self.dialect.unknown_model(call.model)
        if call.action == "models":
            return await self._plain(self.dialect.models())
        if call.action == "model":
            return await self._plain(self.dialect.model(call.model))
        if not self.readable:
            raise RefusedError(400, "The body of the request is not a JSON object.")
        ask = self._read()
        if call.action == "count":
            return await self._plain(self.dialect.count(ask.input_tokens))
        return await self._generate(ask)

    async def _handle(self, endpoint: Endpoint) -> web.StreamResponse:
        """Answer a request to a Batch API, to its files, or to a Decisions API."""
        request = self.request
        incoming = Incoming(
            journal=self.journal,
            dialect=self.dialect,
            owner=self.dialect.key(self.call),
            path=request.match_info,
            query=request.query,
            headers=self.call.headers,
            body=self.sent,
            raw=self.raw,
            model=self.call.model,
            admit=self._admit,
            base=f"{request.scheme}://{request.host}{MOUNTS[self.dialect.name]}",
        )
        try:
            sent = endpoint.answer(incoming)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RefusedError(400, f"A field of the request has a wrong type: {error}.") from None
        if not isinstance(sent.value, bytes):
            return await self._plain(sent.value, sent.headers)
        return web.Response(body=sent.value, headers={**self._headers(sent.content_type), **sent.headers})

    def _read(self) -> Ask:
        try:
            return self.dialect.read(self.call)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RefusedError(400, f"A field of the request has a wrong type: {error}.") from None

    async def _generate(self, ask: Ask) -> web.StreamResponse:
        fault = self.fault
        if fault.refuse and fault.refuse in self.dialect.settings(self.call):
            raise self.dialect.unsupported(fault.refuse)
        self._admit(ask)
        answer = reply(ask, fault)
        self.journal.limiter.charge(self._scope, self.dialect.metered_after(answer))
        if ask.stream:
            return await self._stream(ask, answer)
        # A whole answer arrives when the last token of a stream would have.
        await asyncio.sleep(self._pace().due(answer.length))
        return await self._plain(self.dialect.body(ask, answer))

    @property
    def _scope(self) -> tuple[str, ...]:
        """Whose rate limits hold: those of a key and a model."""
        return (self.dialect.name, self.dialect.key(self.call), self.call.model)

    def _admit(self, ask: Ask) -> None:
        """Count a request against the rate limits, or refuse it."""
        self.metered = self.dialect.metered(ask)
        if breach := self.journal.limiter.take(self._scope, self.metered):
            raise self.dialect.limited(self.call.model, breach)

    def _pace(self) -> Pace:
        delay, rate = self.fault.delay, self.fault.rate
        factor = speed(self.call.model)
        first = self.journal.first_token / factor if delay is None else delay
        return Pace(first, self.journal.rate * factor if rate is None else rate)

    async def _stream(self, ask: Ask, answer: Answer) -> web.StreamResponse:
        headers = self._headers(_SSE if ask.sse else _JSON)
        delivery = self._delivery(self._pace(), self.dialect.spare(ask), headers)
        return await delivery.send(self.dialect.frames(ask, answer))

    async def _plain(self, value: Any, headers: Mapping[str, str] | None = None) -> web.StreamResponse:
        body = orjson.dumps(value)
        if self.fault.breaks is None:
            return web.Response(body=body, headers={**self._headers(_JSON), **(headers or {})})
        if self.fault.breaks == "error":
            raise self.dialect.overloaded()
        # Half of the body counts as the one piece of text, so that a fault can come before or after it.
        half = len(body) // 2
        frames = (Frame(body[:half], "text"), Frame(body[half:], "close"))
        delivery = self._delivery(Pace(0, 0), _PLAIN_SPARE, self._headers(_JSON))
        return await delivery.send(frames)

    def _delivery(self, pace: Pace, spare: Spare, headers: Mapping[str, str]) -> Delivery:
        return Delivery(self.request, self.seen, fault=self.fault, pace=pace, spare=spare, headers=headers)

    def _refuse(self, refused: RefusedError) -> web.Response:
        value: Any = self.dialect.error(refused)
        if self.call.action == "stream" and self.call.query.get("alt") != "sse":
            value = [value]  # a JSON array is a stream, too, and errors come inside it
        headers = self._headers(_JSON)
        headers |= refused.headers
        if refused.retry_after:
            headers["retry-after"] = refused.retry_after
        return web.Response(body=orjson.dumps(value), status=refused.status, headers=headers)

    def _headers(self, content_type: str) -> dict[str, str]:
        levels = self.journal.limiter.levels(self._scope, self.metered)
        cost = self.fault.proxy_cost
        return {
            **self.dialect.limit_headers(levels),
            **({} if cost is None else {"x-litellm-response-cost": cost}),
            "content-type": content_type,
            "cache-control": "no-cache",
            self.dialect.request_id_header: f"req_{uuid.uuid4().hex[:24]}",
        }


def _decode(raw: bytes) -> tuple[dict[str, Any], bool]:
    """Parse a body; return its JSON object and whether it had one."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}, False
    return (value, True) if isinstance(value, dict) else ({}, False)


def _handler(journal: Journal, dialect: Dialect, route: Route | Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        exchange = ServedRequest(journal, dialect, route, request, await request.read())
        # Before the response, so that an open request can be seen, too.
        journal.requests.append(exchange.seen)
        try:
            response = await exchange.respond()
        except (asyncio.CancelledError, ConnectionError):
            exchange.seen.end("aborted")
            # A write to a client that has just left is the same event, seen a moment earlier.
            raise asyncio.CancelledError from None
        exchange.seen.end("done")
        return response

    return handle


def _nowhere(dialect: Dialect) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        refused = RefusedError(404, f"Unknown request URL: {request.method} {request.path}.")
        headers = {dialect.request_id_header: f"req_{uuid.uuid4().hex[:24]}"}
        body = orjson.dumps(dialect.error(refused))
        return web.Response(body=body, status=404, content_type=_JSON, headers=headers)

    return handle


async def _welcome(request: web.Request) -> web.StreamResponse:
    value = {"note": NOTE, **{name: f"http://{request.host}{path}" for name, path in MOUNTS.items()}}
    return web.Response(body=orjson.dumps(value), content_type=_JSON)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    """Add a header that names the sandbox to every response, including aiohttp's own."""
    del request
    response.headers["x-llmkit-sandbox"] = "1"


def build(journal: Journal) -> web.Application:
    """Build the application."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(_mark)
    app.router.add_get("/", _welcome)
    for dialect in DIALECTS:
        routes: tuple[Route | Endpoint, ...] = (*dialect.routes, *_ENDPOINTS.get(type(dialect), ()))
        for route in routes:
            handler = _handler(journal, dialect, route)
            app.router.add_route(route.method, MOUNTS[dialect.name] + route.path, handler)
    # Last, because the first route that matches wins.
    for dialect in {dialect.name: dialect for dialect in DIALECTS}.values():
        app.router.add_route("*", MOUNTS[dialect.name] + "/{rest:.*}", _nowhere(dialect))
    return app
