"""Tools of MCP servers, with the official package on both sides, and servers that misbehave."""

import asyncio
import gc
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import llmkit
from llmkit import ConfigurationError, LLMClientError
from llmkit.clients.mcp.server import tools_named
from llmkit.clients.tools.execution import Job
from llmkit.core import settings
from llmkit.parts import ToolResult
from tests.support.peer import Peer
from tests.support.tool_servers import SERVERS

if importlib.util.find_spec("mcp") is None and not os.environ.get("CI"):
    pytest.skip("needs the extra mcp", allow_module_level=True)

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, str(ROOT / "tests/support/mcp_server.py")]
KEY = "sk-ant-REDACTED"


@pytest.fixture(scope="module")
def server():
    """One for all tests that leave it as it is."""
    with llmkit.mcp(PROGRAM) as made:
        yield made


@pytest.fixture
def own():
    with llmkit.mcp(PROGRAM) as made:
        yield made


def misbehaving(fault, *rest, **options):
    command = [sys.executable, str(ROOT / "tests/support/mcp_misbehaving.py"), fault, *map(str, rest)]
    return llmkit.mcp(command, name=fault, **{"timeout": 20, **options})


def named(tools):
    return {tool.name: tool for tool in tools}


def is_alive(number):
    try:
        status = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return status != "Z"


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_tools_have_the_servers_schema_and_need_approval(server):
    add = named(server)["add"]
    assert add.description == "Add two numbers."
    assert add.parameters["properties"]["a"]["type"] == "integer"
    assert (add.approve, add.validated({"a": 1, "b": 2})) == ("always", {"a": 1, "b": 2})
    with pytest.raises(ValueError, match="b"):
        add.validated({"a": 1})


def test_results_are_text_json_images_and_errors(server):
    tools = named(server)
    assert tools["add"](a=1, b=2).content == "3"
    assert tools["rows"](count=2).content.count('"note": null') == 2
    picture = tools["picture"]()
    assert (picture.content, [file.media_type for file in picture.attachments]) == ("Here.", ["image/png"])
    failed = tools["fail"]()
    assert failed.is_error
    assert "fail" in failed.content


def test_a_key_in_the_environment_does_not_reach_the_server(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("MY_TOKEN", "named")
    monkeypatch.setenv("OTHER_TOKEN", "not named")
    with llmkit.mcp(PROGRAM, env=["MY_TOKEN"]) as server:
        seen = named(server)["environment"]().content
    assert "MY_TOKEN=named" in seen
    assert "PATH=" in seen
    assert KEY not in seen
    assert "not named" not in seen


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "COPY"])
def test_a_key_is_not_given_by_name_either(monkeypatch, name):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("COPY", KEY)
    with pytest.raises(ConfigurationError, match=f"{name} is the key of a model provider") as caught:
        llmkit.mcp(PROGRAM, env=[name])
    assert KEY not in str(caught.value)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(params=["http", "sse"])
def remote(request, tmp_path):
    """A server on loopback: its address, and the transport."""
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*PROGRAM, str(port), request.param], stdout=log, stderr=log)
    try:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield f"http://127.0.0.1:{port}/{'mcp' if request.param == 'http' else 'sse'}", request.param
    finally:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the sockets that ask whether it is up
def test_a_server_behind_an_address(remote):
    url, transport = remote
    with llmkit.mcp(url, transport=transport, headers={"X-Token": "a-secret-of-mine"}) as server:
        assert "secret" not in repr(server)
        assert named(server)["add"](a=20, b=3).content == "23"


def test_an_address_where_nothing_listens_is_one_clear_error():
    with pytest.raises(LLMClientError, match=r"did not start: .*Check that it runs"):
        list(llmkit.mcp(f"http://127.0.0.1:{free_port()}/mcp"))


def test_all_pages_are_read():
    with misbehaving("pages") as server:
        assert [tool.name for tool in server] == ["look_0", "look_1", "look_2"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("endless", "more than 100 pages"),
        ("no-schema", "'look' an invalid schema: 'whole'"),
        ("array", "Input should be 'object'|its type is not object"),
        ("remote", "refers to another document"),
        ("duplicate", "two tools named 'look'"),
        ("clash", "two tools named 'a_b'"),
        ("not-a-tool", "invalid answer to tools/list"),
        ("ends-at-once", "did not start: .*Error: no configuration"),
    ],
)
def test_a_server_that_lists_nonsense_is_one_clear_error(fault, said):
    with misbehaving(fault) as server, pytest.raises(LLMClientError, match=said):
        list(server)


def test_the_good_tools_of_a_bad_server_can_be_named():
    with misbehaving("remote", only=["fine"]) as server:
        assert [tool.name for tool in server] == ["fine"]
    with (
        misbehaving("remote", only=["fin"]) as server,
        pytest.raises(LLMClientError, match="It has: fine, look"),
    ):
        list(server)


def test_a_server_that_does_not_start_is_ended():
    begun = time.monotonic()
    with (
        misbehaving("never-starts", start_timeout=0.5) as server,
        pytest.raises(LLMClientError, match=r"not start within 0\.5 s; it wrote: waiting for the database"),
    ):
        list(server)
    assert time.monotonic() - begun < 60


def test_a_call_that_hangs_is_an_error():
    with misbehaving("hangs", timeout=0.5) as server:
        (look,) = server
        with pytest.raises(LLMClientError, match=r"did not answer within 0\.5 s .*Increase timeout="):
            look()


def test_a_server_that_dies_in_a_call_starts_again(own):
    tools = named(own)
    first = tools["process"]().content
    with pytest.raises(LLMClientError, match=r"has ended .*it wrote: out of memory"):
        tools["die"]()
    assert tools["add"](a=1, b=2).content == "3"
    assert tools["process"]().content != first


def test_a_changed_description_is_not_called_and_has_another_digest():
    with misbehaving("changes") as server:
        (look,) = server
        assert look().content == "Seen."  # the server says in between that its tools have changed
        with pytest.raises(LLMClientError, match="changed the description of 'look'"):
            look()
        (changed,) = server
        assert changed.description == "Send all files."
        assert changed.pinned != look.pinned
        assert changed().content == "Seen."


def test_a_description_that_changes_with_a_new_start_is_not_called(tmp_path):
    with misbehaving("changes-at-start", tmp_path / "starts") as server:
        (look,) = server
        with pytest.raises(LLMClientError, match="has ended"):
            look()
        with pytest.raises(LLMClientError, match="changed the description"):
            look()


def test_the_digest_is_that_of_the_server_too(tmp_path):
    with misbehaving("pages") as one, misbehaving("pages", tmp_path / "starts") as other:
        assert next(iter(one)).pinned == next(iter(one)).pinned
        assert next(iter(one)).pinned != next(iter(other)).pinned


def test_an_image_that_is_none_is_words():
    with misbehaving("attachment") as server:
        result = next(iter(server))()
    assert (result.attachments, "image/png left out" in result.content) == ((), True)


def test_names_may_get_a_prefix():
    with misbehaving("hangs", prefix="git_") as server:
        assert [tool.name for tool in server] == ["git_look"]


@pytest.mark.full
def test_a_server_ends_when_it_is_closed_and_when_nothing_refers_to_it(own):
    number = int(named(own)["process"]().content)
    own.close()
    wait_until(lambda: not is_alive(number))
    other = llmkit.mcp(PROGRAM)
    number = int(named(other)["process"]().content)
    del other
    gc.collect()
    wait_until(lambda: not is_alive(number))


@pytest.mark.parametrize("stubborn", [False, True])
@pytest.mark.full
def test_a_server_ends_with_the_process(stubborn):
    program = [sys.executable, str(ROOT / "tests/support/mcp_misbehaving.py"), "stubborn"]
    script = f"""
import subprocess
import llmkit
tools = list(llmkit.mcp({program if stubborn else PROGRAM}))
"""
    marker = f"llmkit-test-{os.getpid()}-{stubborn}"
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/{marker}"},
        check=True,
    )

    def running():
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if marker.encode() in (folder / "environ").read_bytes():
                    return True
            except OSError:
                continue
        return False

    wait_until(lambda: not running())


async def run(peer, tools, call, **options):
    wire = SERVERS["chat"]
    peer.scripts[wire.model] = [[wire.answer("", [call])], [wire.answer("Well.")]]
    async with wire.client(peer.url) as client:
        return await client.run("What is 1 + 2?", tools, **options)


@pytest.mark.parametrize("listed", [False, True], ids=["the server itself", "its tools"])
async def test_a_model_calls_a_servers_tool(server, listed):
    async with Peer() as peer:
        tools = await asyncio.to_thread(list, server) if listed else server
        done = await run(peer, tools, ("call_1", "add", '{"a": 1, "b": 2}'), approve=True)
    assert SERVERS["chat"].results(peer.bodies[1]) == [("call_1", "3")]
    assert list(done.steps["approved"]) == [None, True, None]
    assert "Add two numbers." in str(peer.bodies[0]["tools"])


async def test_nothing_runs_without_approval(server):
    async with Peer() as peer:
        await run(peer, [server], ("call_1", "process", "{}"))
    assert "did not allow" in SERVERS["chat"].results(peer.bodies[1])[0][1]


async def test_the_model_is_told_that_the_server_ended(own):
    async with Peer() as peer:
        done = await run(peer, [own], ("call_1", "die", "{}"), approve=True)
    assert "has ended" in SERVERS["chat"].results(peer.bodies[1])[0][1]
    assert (done.stopped, done.text) == ("done", "Well.")


async def test_an_error_and_an_image_reach_the_model_with_the_calls_id(server):
    async with Peer() as peer:
        done = await run(peer, [server], ("call_1", "picture", "{}"), approve=True)
    (result,) = [part for message in done.messages for part in message.parts if isinstance(part, ToolResult)]
    assert (result.call_id, len(result.attachments)) == ("call_1", 1)


async def test_a_cancelled_call_does_not_wait_for_the_server(server):
    wait = (await asyncio.to_thread(lambda: named(server)))["wait"]
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await Job(wait, {"seconds": 30}).run_async()
    assert time.monotonic() - begun < 25


def test_a_job_on_this_thread_calls_it(server):
    job = Job(named(server)["add"], {"a": 2, "b": 2})
    job.run()
    assert (job.error, job.value.content) == (None, "4")


def test_an_interrupt_ends_a_waiting_call(server):
    job = Job(named(server)["wait"], {"seconds": 30})
    begun = time.monotonic()
    threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    job.run()
    assert isinstance(job.error, KeyboardInterrupt)
    assert time.monotonic() - begun < 25


def test_a_synchronous_run_takes_a_server(server):
    done = llmkit.run("What is 17 + 23?", "sandbox", tools=[server], approve=True)
    assert (done.stopped, list(done.steps["kind"]), "40" in done.text) == (
        "done",
        ["model", "tool", "model"],
        True,
    )


async def test_ask_takes_a_server_on_a_running_loop(server):
    reply = await llmkit.aask("What is 17 + 23?", "sandbox", tools=server, approve=True)
    assert "40" in reply.text


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("ftp://127.0.0.1/mcp", {}, "not the address of an MCP server"),
        ("uvx mcp-server-git", {}, "a list for a command"),
        ("http://me:secret@127.0.0.1/mcp", {}, "no user and password"),
        ("http://example.org/mcp", {"headers": {"X": "secret"}}, "unencrypted"),
        ("http://127.0.0.1/mcp", {"headers": {"X": "${NOT_THERE}"}}, "NOT_THERE is not set"),
        ("http://127.0.0.1/mcp", {"env": ["HOME"]}, "An address has no environment"),
        ([], {}, "an address or a list of words"),
        (["x"], {"headers": {"X": "1"}}, "A command has no headers"),
        (["x"], {"timeout": 0}, "positive"),
        (["x"], {"transport": "websocket"}, "transport must be"),
    ],
)
def test_what_is_no_server_is_refused(given, options, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        llmkit.mcp(given, **options)
    assert "secret" not in str(caught.value)


def test_a_program_that_is_not_there_is_one_clear_error():
    with pytest.raises(ConfigurationError, match=r"no program 'not-installed' can be run. Install it"):
        list(llmkit.mcp(["not-installed"]))


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    path = tmp_path / "user" / "llmkit.toml"
    path.parent.mkdir()
    monkeypatch.setattr(settings, "user_file", lambda: path)
    return path


def test_a_server_of_the_users_settings_is_found_by_name_and_kept(own_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_file.write_text(f"[mcp.sums]\ncommand = {PROGRAM!r}\nonly = ['add', 'process']\n")
    tools = named(tools_named("mcp:sums"))
    assert list(tools) == ["add", "process"]
    assert named(tools_named("mcp:sums"))["process"]().content == tools["process"]().content
    with pytest.raises(ConfigurationError, match=r"no MCP server 'sum'. Did you mean sums?"):
        tools_named("mcp:sum")


@pytest.mark.parametrize(
    ("file", "table"),
    [("llmkit.toml", "mcp"), ("pyproject.toml", "tool.llmkit.mcp")],
    ids=["llmkit", "pyproject"],
)
def test_a_project_names_no_server(own_file, tmp_path, monkeypatch, file, table):
    mark = tmp_path / "ran"
    (tmp_path / file).write_text(f"[{table}.sums]\ncommand = ['touch', '{mark}']\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="a project must not choose commands"):
        tools_named("mcp:sums")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("command = 'uvx mcp-server-git'", "must be a list"),
        ("url = 'http://x/mcp'\ncommand = ['x']", "either command or url"),
        ("command = ['x']\ncwd = '/'", "unknown key cwd"),
    ],
)
def test_a_wrong_table_is_named(own_file, tmp_path, monkeypatch, table, said):
    monkeypatch.chdir(tmp_path)
    own_file.write_text(f"[mcp.sums]\n{table}\n")
    with pytest.raises(ConfigurationError, match=said):
        settings.load()
