"""A provider that charges: it counts what it sends, and goes wrong as often as it is told to."""

import asyncio
import contextlib
import json
import random
import threading

from aiohttp import web

PROMPT = 9
"""Tokens that it counts for every prompt."""

INPUT, OUTPUT = 150, 600
"""Billionths of a dollar for a token of gpt-4o-mini."""


class Provider:
    """OpenAI's streaming wire format on loopback, without the sandbox's mark: its answers cost money.

    Attributes:
        nanos: What it has charged so far, in billionths of a dollar.
        requests: How many requests came.
    """

    def __init__(self, seed, faults=0.4):
        self.random = random.Random(seed)
        self.faults = faults
        self.nanos = 0
        self.requests = 0

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *problem):
        await self._runner.cleanup()

    async def answer(self, request):
        self.requests += 1
        body = await request.json()
        fault = self.random.choice(["503", "429", "cut", "in-band", "slow"])
        fault = fault if self.random.random() < self.faults else ""
        if fault.isdigit():
            return web.json_response({"error": {"message": "no", "type": "x"}}, status=int(fault))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.nanos += PROMPT * INPUT
        count = self.random.randint(1, body["max_tokens"])
        for number in range(count):
            if fault == "cut" and number == count // 2:
                request.transport.abort()
                return response
            if fault == "in-band" and number == count // 2:
                await self.send(response, {"error": {"message": "overloaded", "type": "server_error"}})
                return response
            self.nanos += OUTPUT
            await self.send(response, {"choices": [{"index": 0, "delta": {"content": "word "}}]})
            if fault == "slow" or number % 8 == 0:
                await asyncio.sleep(0.002)
        usage = {"prompt_tokens": PROMPT, "completion_tokens": count, "total_tokens": PROMPT + count}
        await self.send(response, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await self.send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def send(self, response, event):
        await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")


@contextlib.contextmanager
def charging(seed=1):
    """A provider without faults, served by a thread."""
    loop, provider = asyncio.new_event_loop(), Provider(seed, faults=0)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(provider.__aenter__(), loop).result()
    try:
        yield provider
    finally:
        asyncio.run_coroutine_threadsafe(provider.__aexit__(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
