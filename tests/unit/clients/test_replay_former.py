"""Recordings are found although what goes over the wire has changed since: by what was asked."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

import llmkit
from llmkit import LLMMessage, ReplayMissError
from llmkit.clients.cassettes import replay as module
from llmkit.clients.cassettes.request_key import request_key
from llmkit.clients.registry import recorded
from tests.support.dialects import DIALECTS
from tests.support.former import CLIENTS, FILE, PROTOCOLS, Echo, client, questions, user
from tests.support.peer import Peer, http
from tests.unit.clients.test_refused_parameters import MODEL, refusing, said
from tests.unit.clients.test_refused_parameters import client as asker

pytestmark = pytest.mark.usefixtures("recorder")

NOWHERE = {
    "openai": "http://127.0.0.1:9/openai/v1",
    "anthropic": "http://127.0.0.1:9/anthropic",
    "google": "http://127.0.0.1:9/google",
}
"""The sandbox's addresses but for the port, which a recording does not know; nobody listens there."""


@pytest.fixture(autouse=True)
def _afresh():
    yield
    module._chosen = None


@pytest.fixture
def file(tmp_path):
    return shutil.copy(FILE, tmp_path / "former.replay")


def nowhere(name):
    return client(name, NOWHERE[PROTOCOLS[name]])


def rows(path):
    with closing(sqlite3.connect(path)) as opened:
        return opened.execute("SELECT key, answer, request FROM recordings ORDER BY key").fetchall()


@pytest.mark.filterwarnings("ignore:.*does not support temperature")
class TestAFileOfAnEarlierLlmkit:
    @pytest.mark.parametrize("name", CLIENTS)
    @pytest.mark.parametrize("what", questions())
    async def test_plays_without_a_request(self, name, what, file):
        before = rows(file)
        llmkit.replay(file, mode="only")
        messages, options = questions()[what]
        async with nowhere(name) as made:
            answer = await made.generate_text(messages, **options)
            text = made.stream_text(messages, **options)
            assert "".join([piece async for piece in text]) == answer.content
        assert text.response.replayed
        assert answer.replayed
        assert answer.content
        assert rows(file) == before

    async def test_plays_for_a_client_of_ones_own(self, file):
        llmkit.replay(file, mode="only")
        assert (await recorded(Echo()).generate_text(user(), max_tokens=5)).replayed

    async def test_plays_in_auto_mode_beside_what_is_new(self, file, server):
        state = llmkit.replay(file)
        old = len(state)
        async with client("openai", server.url()) as made:
            assert (await made.generate_text(user())).replayed
            new = [LLMMessage("user", "echo: something new")]
            assert [(await made.generate_text(new)).replayed for _ in range(2)] == [False, True]
        assert len(server.requests) == 1
        assert len(state) == old + 1

    async def test_says_what_the_nearest_of_its_recordings_differs_in(self, file):
        llmkit.replay(file, mode="only")
        async with nowhere("openai") as made:
            with pytest.raises(ReplayMissError, match="differs in max_tokens"):
                await made.generate_text(user(), max_tokens=77)

    @pytest.mark.parametrize("change", [{"top_p": 0.1}, {"temperature": 0.9}, {"schema": {"type": "object"}}])
    async def test_does_not_play_for_another_request(self, file, change):
        llmkit.replay(file, mode="only")
        async with nowhere("openai") as made:
            with pytest.raises(ReplayMissError):
                await made.generate_text(user(), **change)

    async def test_can_be_refreshed(self, file, server):
        llmkit.replay(file)
        async with client("openai", server.url()) as made:
            with llmkit.records.calling(replay="refresh"):
                fresh = await made.generate_text(user())
            again = await made.generate_text(user())
        assert (fresh.replayed, again.replayed) == (False, True)
        assert len(server.requests) == 1


class TestTheKey:
    @pytest.mark.parametrize("protocol", DIALECTS)
    async def test_does_not_know_of_a_parameter_that_was_left_out(self, protocol, tmp_path):
        """Recorded where the server refused it, played where no server is asked."""
        llmkit.replay(tmp_path / "new.replay")
        async with Peer() as server:
            told = said(protocol, "temperature is not supported")
            server.scripts[MODEL] = refusing(protocol, "temperature", told)
            async with asker(protocol, server) as made:
                with pytest.warns(UserWarning, match="temperature"):
                    await made.generate_text(user(), temperature=0.5)
                assert (await made.generate_text(user(), temperature=0.5)).replayed
                assert (await made.generate_text(user())).replayed is False
        assert len(server.bodies) == 3

    async def test_does_not_know_the_names_that_a_server_has_for_the_limit(self, tmp_path):
        llmkit.replay(tmp_path / "new.replay")
        async with Peer() as server:
            told = said("openai", "max_tokens is not supported")
            server.scripts[MODEL] = refusing("openai", "max_tokens", told)
            async with asker("openai", server) as made:
                await made.generate_text(user(), max_tokens=5)
                assert (await made.generate_text(user(), max_tokens=5)).replayed

    async def test_is_not_made_in_the_former_way_where_nothing_former_is(self, tmp_path, monkeypatch):
        llmkit.replay(tmp_path / "new.replay")
        made = []
        monkeypatch.setattr("llmkit.clients.cassettes.request_key._on_wire", lambda *a: made.append(a) or {})
        async with Peer() as server:
            server.scripts[MODEL] = [[http(200, json.dumps(DIALECTS["openai"].whole("Lima")).encode())]]
            async with asker("openai", server) as one:
                await one.generate_text(user())
                await one.generate_text(user(), seed=1)
        assert not made

    def test_stays_what_it_is(self):
        """Files that people committed depend on it."""
        payload = {"messages": [["user", "Hi"]], "model": "m", "temperature": None, "extra": {"n": 2.0}}
        key = request_key("openai", "api.openai.com/v1", payload)
        assert key == "758a964cdff3de69dcc9bd11edf3eb56de39cb15de645d0a15819eda7da5f1d0"
