import asyncio
import gc
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import aiohttp
import blockbuster
import openai
import pytest

from llmkit import sandbox

QUESTION = {"model": "sandbox", "messages": [{"role": "user", "content": "echo: Hi"}]}


def run(code, **environment):
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", code]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


async def ask(server, **headers):
    async with aiohttp.ClientSession() as session:
        url = server.url("openai") + "/chat/completions"
        async with session.post(url, json=QUESTION, headers=headers) as response:
            return response.status, await response.json()


def test_importing_it_loads_neither_aiohttp_nor_an_sdk():
    run("import sys, llmkit.sandbox\nassert not {'aiohttp', 'orjson', 'openai'} & set(sys.modules)")


def test_the_shared_server_is_one():
    code = """
from llmkit import sandbox
assert sandbox.server() is sandbox.server()
assert sandbox.url("anthropic") == f"http://127.0.0.1:{sandbox.server().port}/anthropic"
assert sandbox.url() == sandbox.url("openai")
"""
    run(code)


def test_a_stopped_shared_server_is_replaced():
    code = """
from llmkit import sandbox
import urllib.request
first = sandbox.server()
first.stop()
assert sandbox.server() is not first
urllib.request.urlopen(sandbox.url() + "/models").close()
"""
    run(code)


def test_the_environment_sets_the_pace_of_the_shared_server():
    code = """
from llmkit import sandbox
journal = sandbox.server()._journal
assert (journal.rate, journal.first_token) == (0, 0.5)
"""
    run(code, LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0.5")


def test_a_pace_that_is_no_number_names_the_variable():
    code = """
from llmkit import sandbox
try:
    sandbox.url()
except ValueError as error:
    assert "LLMKIT_SANDBOX_RATE" in str(error)
else:
    raise SystemExit("nothing was raised")
"""
    run(code, LLMKIT_SANDBOX_RATE="fast")


def test_a_process_that_exits_in_the_middle_of_an_answer_is_quiet():
    code = """
from llmkit import sandbox
import json, urllib.request
messages = [{"role": "user", "content": "Hi"}]
body = json.dumps({"model": "sandbox!stall=1", "stream": True, "messages": messages})
with urllib.request.urlopen(sandbox.url() + "/chat/completions", data=body.encode()) as answer:
    assert answer.readline()
    raise SystemExit
"""
    assert run(code).stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_starts_its_own():
    code = """
import os, urllib.request, warnings
from llmkit import sandbox
warnings.simplefilter("ignore", DeprecationWarning)
port = sandbox.server().port
urllib.request.urlopen(sandbox.url() + "/models").close()
child = os.fork()
if not child:
    same = sandbox.server().port == port
    urllib.request.urlopen(sandbox.url() + "/models").close()
    os._exit(same)
assert os.waitpid(child, 0)[1] == 0
urllib.request.urlopen(sandbox.url() + "/models").close()
"""
    run(code)


async def test_a_server_starts_inside_a_running_loop_without_blocking_it():
    with blockbuster.blockbuster_ctx():
        server = sandbox.start(rate=0, first_token=0)
        status, _ = await ask(server)
    server.stop()
    assert status == 200


async def test_two_servers_do_not_know_each_other():
    with sandbox.start(rate=0, first_token=0) as one, sandbox.start(rate=0, first_token=0) as two:
        one.fail_next("500")
        assert (await ask(two))[0] == 200
        assert (await ask(one))[0] == 500
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_default_fault_holds_for_every_request():
    with sandbox.start(rate=0, first_token=0, fault="503") as server:
        assert [(await ask(server))[0] for _ in range(2)] == [503, 503]
        assert (await ask(server, **{"x-llmkit-fault": "418"}))[0] == 418


async def test_a_request_is_remembered_with_what_it_said(server):
    await ask(server, **{"X-Custom": "yes"})
    seen = server.requests[-1]
    assert (seen.protocol, seen.method, seen.path) == ("openai", "POST", "/openai/v1/chat/completions")
    assert (seen.model, seen.stream, seen.body, seen.status) == ("sandbox", False, QUESTION, 200)
    assert seen.headers["x-custom"] == "yes"
    assert seen.outcome == "done"


async def test_a_remembered_request_does_not_show_the_key(server):
    await ask(server, Authorization="Bearer sk-secret")
    assert server.requests[-1].headers["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(server.requests)


async def test_many_streams_at_once_are_all_whole(server):
    async with openai.AsyncOpenAI(api_key="x", base_url=server.url(), max_retries=0) as client:

        async def text(number):
            messages = [{"role": "user", "content": f"echo: {number} " + "word " * 50}]
            chunks = await client.chat.completions.create(
                model="sandbox!rate=500", messages=messages, stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

        texts = await asyncio.gather(*map(text, range(50)))
    assert texts == [f"{number} " + "word " * 50 for number in range(50)]


def test_a_stopped_server_leaves_no_thread_and_refuses():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server = sandbox.start()
        server.stop()
        server.stop()
        gc.collect()
    assert not [thread for thread in threading.enumerate() if thread is server._thread]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url() + "/models")


async def test_stopping_ends_answers_that_stall(server):
    asking = asyncio.create_task(ask(server, **{"x-llmkit-fault": "stall=0"}))
    while not server.requests:  # noqa: ASYNC110 - the server's thread adds to them
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.stop)
    with pytest.raises(aiohttp.ClientError):
        await asking
    assert server.requests[-1].outcome == "aborted"


def test_a_server_stopped_at_once_never_started():
    for _ in range(5):
        sandbox.start().stop()


def test_an_unknown_protocol_lists_the_known(server):
    with pytest.raises(ValueError, match="openai, anthropic, google"):
        server.url("gemini")


def test_an_unknown_fault_is_refused_before_anything_starts(server):
    with pytest.raises(ValueError, match="bogus"):
        sandbox.start(fault="bogus")
    with pytest.raises(ValueError, match="bogus"):
        server.fail_next("bogus")


def test_the_front_door_says_where_the_protocols_are(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/") as answer:
        page = answer.read().decode()
    assert server.url("google") in page
    assert sandbox.NOTE in page


def test_the_command_prints_the_variables_and_serves():
    command = [sys.executable, "-m", "llmkit.sandbox", "--rate", "0", "--first-token", "0"]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        lines = [process.stdout.readline() for _ in range(8)]
        exports = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines if "=" in line)
        with urllib.request.urlopen(exports["OPENAI_BASE_URL"] + "/models") as answer:
            assert answer.status == 200
        process.terminate()
    assert {"ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "OPENAI_API_KEY"} <= set(exports)
