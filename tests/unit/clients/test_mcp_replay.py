"""Runs with the tools of an MCP server play back without the server."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import llmkit
from llmkit import LLMClientError
from tests.support.peer import Peer
from tests.support.tool_servers import SERVERS, failure

if importlib.util.find_spec("mcp") is None and not os.environ.get("CI"):
    pytest.skip("needs the extra mcp", allow_module_level=True)

PROGRAM = Path(__file__).parents[3] / "tests/support/mcp_server.py"
ADD = ("call_1", "add", '{"a": 1, "b": 2}')
CHAT = SERVERS["chat"]


class Program:
    """A server's program that leaves a mark when it starts."""

    def __init__(self, folder):
        self.mark, self.file = folder / "started", folder / "server.py"
        self.file.write_text(
            f"import pathlib, runpy\npathlib.Path({str(self.mark)!r}).touch()\n"
            f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n"
        )

    @property
    def command(self):
        return [sys.executable, str(self.file)]

    async def run(self, client, **options):
        with llmkit.mcp(self.command, approve="never", **options) as server:
            return await client.run("What is 1 + 2?", server)


@pytest.fixture
def program(tmp_path):
    return Program(tmp_path)


@pytest.fixture
async def peer():
    async with Peer() as made:
        made.scripts[CHAT.model] = [[CHAT.answer("", [ADD])], [CHAT.answer("Three.")], [failure()]]
        yield made


@pytest.fixture
async def client(peer):
    async with CHAT.client(peer.url) as made:
        yield made


@pytest.fixture
def recordings(tmp_path):
    return tmp_path / "r.replay"


@pytest.mark.full
async def test_only_starts_no_server(program, client, recordings):
    with llmkit.replay(recordings):
        live = await program.run(client)
    assert program.mark.exists()
    program.mark.unlink()
    with llmkit.replay(recordings, mode="only"):
        played = await program.run(client)
    assert (live.text, played.text, played.cost) == ("Three.", "Three.", 0)
    assert list(played.steps["replayed"]) == [True] * 3
    assert not program.mark.exists()


async def test_auto_plays_back_although_the_server_is_gone(program, client, recordings):
    with llmkit.replay(recordings):
        await program.run(client)
        program.file.unlink()
        played = await program.run(client)
    assert (played.text, played.cost) == ("Three.", 0)


async def test_auto_asks_a_server_that_is_there(program, client, recordings):
    with llmkit.replay(recordings):
        await program.run(client)
        program.mark.unlink()
        assert (await program.run(client)).cost == 0
    assert program.mark.exists()


async def test_without_replay_a_server_that_is_gone_is_an_error(program, client, recordings):
    with llmkit.replay(recordings):
        await program.run(client)
    program.file.unlink()
    with pytest.raises(LLMClientError):
        await program.run(client)


async def test_another_server_has_other_tools(program, client, recordings, tmp_path):
    with llmkit.replay(recordings):
        await program.run(client)
        (tmp_path / "other").mkdir()
        other = Program(tmp_path / "other")
        other.file.unlink()
        with pytest.raises(LLMClientError):
            await other.run(client)


@pytest.mark.full
async def test_a_recorded_description_runs_nothing_that_the_server_describes_differently(
    program, client, recordings, monkeypatch
):
    from llmkit.clients.mcp import recorded_tools

    real = recorded_tools.read
    with llmkit.replay(recordings):
        with llmkit.mcp(program.command) as server:
            list(server)
        told = [{**one, "description": "Harmless."} for one in real("\n" + "\n".join(program.command))]
        monkeypatch.setattr(recorded_tools, "read", lambda _: told)
    with llmkit.replay(recordings, mode="only"), llmkit.mcp(program.command) as server:
        tool = next(one for one in server if one.name == "add")
        assert tool.description == "Harmless."
        with pytest.raises(LLMClientError, match="changed the description"):
            tool(a=1, b=2)
