"""Clients that are left open print nothing under a cell."""

import subprocess
import sys
import textwrap

import pytest

from llmkit import sandbox

NOISE = ("nclosed", "destroyed", "never awaited", "Traceback", "Exception ignored", "Event loop is closed")

LEFT = {
    "dropped while the loop runs": """
        async def main():
            for _ in range(3):
                client = make()
                await client.generate_text(question)
            del client
            gc.collect()
            await asyncio.sleep(0.1)
        asyncio.run(main())
    """,
    "kept until the process ends": """
        client = make()
        asyncio.run(client.generate_text(question))
        asyncio.run(client.generate_text(question))
    """,
    "a loop that is closed by hand": """
        loop = asyncio.new_event_loop()
        client = make()
        loop.run_until_complete(client.generate_text(question))
        loop.close()
        del client, loop
        gc.collect()
    """,
    "a loop that is never closed": """
        loop = asyncio.new_event_loop()
        client = make()
        loop.run_until_complete(client.generate_text(question))
        del client
        gc.collect()
    """,
    "a loop that is never closed, and the client neither": """
        loop = asyncio.new_event_loop()
        client = make()
        loop.run_until_complete(client.generate_text(question))
    """,
    "a stream that is left half-way": """
        async def main():
            async for _ in make().stream_text(question):
                break
            gc.collect()
            await asyncio.sleep(0.1)
        asyncio.run(main())
    """,
    "a stream that is left half-way on a loop closed by hand": """
        async def main():
            global stream
            stream = make().stream_text(question)
            async for _ in stream:
                break
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        del stream, loop
        gc.collect()
    """,
    "a stream that is left half-way on a loop that is never closed": """
        async def main():
            global stream
            stream = make().stream_text(question)
            async for _ in stream:
                break
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        del stream
        gc.collect()
    """,
    "a call that runs when the process ends": """
        from llmkit.core.bridge import bridge
        async def read():
            async for _ in make().stream_text(slow):
                pass
        bridge.submit(read())
        time.sleep(0.5)
    """,
    "threads with loops of their own": """
        client = make()
        def ask():
            asyncio.run(client.generate_text(question))
        threads = [threading.Thread(target=ask) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        del client
        gc.collect()
    """,
    "an exception in the cell": """
        async def main():
            client = make()
            await client.generate_text(question)
            raise ZeroDivisionError
        try:
            asyncio.run(main())
        except ZeroDivisionError:
            pass
        gc.collect()
    """,
}


@pytest.fixture(scope="module")
def slow_server():
    with sandbox.start(rate=200, first_token=0) as running:
        yield running


HALF_WAY = "a stream that is left half-way on a loop that is never closed"
WARNS = pytest.mark.xfail(
    sys.version_info >= (3, 13),
    reason="asyncio schedules aclose() of any async generator on its loop, which never runs again; since 3.13"
    " Python warns that this aclose() was never awaited",
)


@pytest.mark.product
@pytest.mark.parametrize("protocol", ["openai", "google"])
@pytest.mark.parametrize("way", [pytest.param(way, marks=WARNS if way == HALF_WAY else ()) for way in LEFT])
@pytest.mark.full
def test_a_client_that_is_left_open_makes_no_noise(slow_server, tmp_path, way, protocol):
    kind = {"openai": "OpenAIClient", "google": "GoogleAIClient"}[protocol]
    script = f"""
import asyncio, gc, threading, time
import llmkit
question = [llmkit.LLMMessage("user", "echo: one two three four five six seven eight nine ten")]
slow = [llmkit.LLMMessage("user", "echo: " + "word " * 2000)]
def make():
    return llmkit.{kind}("k", "{slow_server.url(protocol)}", model="sandbox")
"""
    code = script + textwrap.dedent(LEFT[way])
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if any(word in line for word in NOISE)], done.stderr
