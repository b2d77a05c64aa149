"""A call's answer is recorded once and played back for nothing."""

import asyncio
import json
import logging
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import blockbuster
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit import (
    AuthenticationError,
    BaseLLMClient,
    ConfigurationError,
    InvalidRequestError,
    LLMMessage,
    LLMResponse,
    OpenAIClient,
    ProviderNotAvailableError,
    ReplayMissError,
    StreamInterruptedError,
    records,
)
from llmkit.clients.cassettes import playback
from llmkit.clients.cassettes import replay as module
from llmkit.clients.cassettes.playback import replayed
from llmkit.clients.cassettes.replay import current
from llmkit.clients.cassettes.request_key import canonical, canonical_client_request, place, request_key
from llmkit.clients.compatible import CompatibleClient
from llmkit.clients.engine.call import Call
from llmkit.clients.registry import recorded
from llmkit.providers.codec import TEMPERATURE, Request
from tests.support.callers import PROTOCOLS, QUESTION, SDKS, TEXT, opened, read

CANARY = "canary-key-4711-0123456789"


@pytest.fixture(autouse=True)
def _afresh():
    """Every test begins as a process does."""
    yield
    module._chosen = None
    playback._warned.clear()
    assert not playback._single_flight._calls


@pytest.fixture
def file(tmp_path):
    return tmp_path / "demo.replay"


@pytest.fixture
def auto(file):
    return llmkit.replay(file)


def broken(path):
    path.write_text("no recordings " * 100)


def damage(path):
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE recordings SET answer = x'00'")


async def ask(client, *, stream=False, messages=QUESTION, **options):
    """Return the answer and how it was given."""
    if not stream:
        return await client.generate_text(messages, **options)
    text = client.stream_text(messages, **options)
    pieces = await read(text)
    assert "".join(pieces) == text.response.content
    return text.response


class TestChoosing:
    def test_it_is_off_unless_somebody_says_otherwise(self):
        assert current().mode == "off"
        assert not current()

    def test_the_default_file_is_among_the_users_data(self):
        assert llmkit.replay().path == Path(os.environ["XDG_DATA_HOME"], "llmkit", "replay.sqlite")

    def test_it_says_what_is_in_force(self, file):
        state = llmkit.replay(file, pace="natural")
        assert (state.path, state.mode, state.pace, len(state)) == (file, "auto", "natural", 0)
        assert current() is state
        assert state  # although it is empty
        assert repr(state) == f"Replay(auto, {str(file)!r}, 0 recorded)"
        assert not file.exists()

    @pytest.mark.parametrize("mode", ["off", "auto"])
    def test_a_word_is_the_mode(self, mode):
        assert llmkit.replay(mode).mode == mode
        assert llmkit.replay(mode).path.name == "replay.sqlite"

    def test_a_relative_path_means_where_it_was_said(self, tmp_path, monkeypatch):
        (tmp_path / "a").mkdir()
        state = llmkit.replay("x/../demo.replay")
        monkeypatch.chdir(tmp_path / "a")
        assert state.path == tmp_path / "demo.replay"

    def test_home_is_understood(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert llmkit.replay("~/demo.replay").path == tmp_path / "demo.replay"

    def test_a_block_restores_what_was_before(self, file):
        outer = llmkit.replay(file)
        with llmkit.replay("off") as inner:
            assert current() is inner
            with llmkit.replay(file, pace=3):
                assert current().pace == 3
            assert current() is inner
        assert current() is outer
        with outer:
            assert current() is outer
        assert current().mode == "off"
        with pytest.raises(KeyError), outer:
            raise KeyError
        assert current().mode == "off"

    def test_the_environment_turns_it_on(self, monkeypatch, tmp_path):
        monkeypatch.setenv("LLMKIT_REPLAY", "auto")
        monkeypatch.setenv("LLMKIT_REPLAY_FILE", "demo.replay")
        assert (current().mode, current().path) == ("auto", tmp_path / "demo.replay")
        assert llmkit.replay("off").mode == current().mode == "off"
        assert llmkit.replay().path == tmp_path / "demo.replay"

    def test_a_settings_file_turns_it_on_and_names_a_file_beside_itself(self, tmp_path, monkeypatch):
        (tmp_path / "llmkit.toml").write_text('replay = "only"\nreplay_file = "x/demo.replay"\n')
        (tmp_path / "notebooks").mkdir()
        monkeypatch.chdir(tmp_path / "notebooks")
        assert (current().mode, current().path) == ("only", tmp_path / "x" / "demo.replay")

    @pytest.mark.parametrize(("name", "value"), [("mode", "always"), ("mode", None), ("pace", 0)])
    def test_what_cannot_be_is_refused(self, file, name, value):
        with pytest.raises(ConfigurationError, match=name):
            llmkit.replay(file, **{name: value})
        assert current().mode == "off"

    @pytest.mark.parametrize("mode", ["auto", "only"])
    def test_a_foreign_file_is_refused_at_once(self, file, mode):
        broken(file)
        with pytest.raises(ConfigurationError, match=r"demo\.replay is not a file of recordings"):
            llmkit.replay(file, mode=mode)
        assert current().mode == "off"
        assert "not a file of recordings" in repr(llmkit.replay(file, mode="off"))

    def test_only_needs_a_file(self, file):
        with pytest.raises(ConfigurationError, match=r"Recording not found: .*demo\.replay"):
            llmkit.replay(file, mode="only")


class TestCalls:
    """Through every kind of client."""

    @pytest.mark.product
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_an_answer_is_recorded_and_played_back(self, kind, server, recorder, auto, streamed):
        async with opened(kind, server) as client:
            first = await ask(client, stream=streamed)
            for stream in (False, True):
                again = await ask(client, stream=stream)
                assert again.content == first.content == TEXT
                assert again.finish_reason == first.finish_reason == "stop"
                assert (again.usage, again.model) == (first.usage, first.model)
                assert again.request_id == first.request_id
                assert (again.replayed, first.replayed) == (True, False)
                assert again.simulated == first.simulated
                assert again.cost_estimate == 0
        assert len(server.requests) == len(auto) == 1
        assert recorder.statuses == ["ok", "replayed", "replayed"]
        assert recorder.last.cost_nanos == 0
        assert recorder.last.saved_nanos == recorder.records[0].cost_nanos
        assert recorder.last.attempts == 0

    async def test_neither_a_key_nor_a_server_is_needed(self, protocol, server, recorder, auto):
        async with opened(protocol, server) as client:
            await ask(client)
        server.stop()
        async with SDKS[protocol](base_url=server.url(protocol), model="sandbox") as client:
            assert (await ask(client, stream=True)).content == TEXT
            with pytest.raises(AuthenticationError):
                await ask(client, max_tokens=3)

    async def test_only_plays_back(self, kind, server, recorder, auto, file):
        async with opened(kind, server) as client:
            await ask(client)
            llmkit.replay(file, mode="only")
            assert (await ask(client, stream=True)).content == TEXT
            with pytest.raises(ReplayMissError) as caught:
                await ask(client, max_tokens=77)
            with pytest.raises(ReplayMissError):
                await ask(client, max_tokens=77, stream=True)
        said = str(caught.value)
        assert f"{client.provider_name}:sandbox" in said
        assert str(file) in said
        assert "the most similar of its 1 recordings differs in" in said
        assert len(said) <= 500
        assert caught.value.provider == client.provider_name
        assert len(server.requests) == 1
        assert recorder.statuses == ["ok", "replayed"]

    @pytest.mark.parametrize("part", ["text", "model", "temperature", "max_tokens", "extra"])
    async def test_any_change_is_another_request(self, protocol, server, recorder, auto, part):
        changes = {
            "text": {"messages": [LLMMessage("user", "echo: another")]},
            "model": {"model": "sandbox-2"},
            "temperature": {"temperature": 0.1},
            "max_tokens": {"max_tokens": 3},
            "extra": {"metadata": {"a": "b"}},
        }
        async with opened(protocol, server) as client:
            await ask(client)
            assert not (await ask(client, **changes[part])).replayed
            assert (await ask(client, **changes[part])).replayed
        assert len(auto) == 2

    async def test_providers_are_distinguished(self, server, recorder, auto):
        for make in (OpenAIClient, partial(CompatibleClient, "ollama")):
            async with make("k", base_url=server.url(), model="sandbox") as client:
                assert not (await ask(client)).replayed
        assert len(auto) == 2

    async def test_a_parameter_that_the_server_refused_does_not_matter(self, server, recorder, auto):
        async with opened("openai", server) as client:
            server.fail_next("refuse=temperature")
            with pytest.warns(UserWarning, match="does not support temperature"):
                await ask(client, temperature=0.2)
            assert "temperature" not in server.requests[-1].body
            assert (await ask(client, temperature=0.2)).replayed
        async with opened("openai", server) as client:
            assert (await ask(client, temperature=0.2)).replayed

    async def test_the_port_of_this_machine_does_not_matter(self, server, recorder, auto):
        async with opened("openai", server) as client:
            await ask(client)
        with llmkit.sandbox.start(rate=0, first_token=0) as other:
            assert other.url() != server.url()
            async with opened("openai", other) as client:
                assert (await ask(client)).replayed

    async def test_a_failed_call_is_not_recorded(self, kind, server, recorder, auto):
        async with opened(kind, server, max_retries=0) as client:
            server.fail_next("cut=2")
            with pytest.raises(StreamInterruptedError):
                await ask(client, stream=True)
            assert len(auto) == 0
            assert not (await ask(client)).replayed

    async def test_a_stream_that_was_left_is_not_recorded(self, kind, server, recorder, auto, quiet):
        async with opened(kind, server) as client:
            stream = client.stream_text([LLMMessage("user", "echo: " + "word " * 2_000)])
            await anext(stream)
            await stream.aclose()
        assert len(auto) == 0
        assert recorder.statuses == ["cancelled"]

    async def test_refreshing_calls_again_and_replaces(self, protocol, server, recorder, auto):
        async with opened(protocol, server, max_retries=0) as client:
            await ask(client)
            with records.calling(replay="refresh"):
                assert not (await ask(client)).replayed
                server.fail_next("500")
                with pytest.raises(ProviderNotAvailableError):
                    await ask(client)
            assert (await ask(client)).replayed
        assert len(auto) == 1

    async def test_without_replay_nothing_is_read_or_recorded(self, protocol, server, recorder, auto):
        async with opened(protocol, server) as client:
            with records.calling(replay="off"):
                await ask(client)
            assert len(auto) == 0
            await ask(client)
            with records.calling(replay="off"):
                assert not (await ask(client)).replayed
        assert len(auto) == 1

    @pytest.mark.parametrize("wish", ["refresh", "off", None])
    async def test_while_it_is_off_a_call_is_just_a_call(self, server, recorder, file, wish):
        async with opened("openai", server) as client:
            with records.calling(replay=wish):
                assert not (await ask(client)).replayed
        assert not file.exists()
        assert not current().path.exists()

    async def test_only_never_calls_whatever_a_cell_wishes(self, server, recorder, auto, file):
        async with opened("openai", server) as client:
            await ask(client)
            llmkit.replay(file, mode="only")
            for wish in ("refresh", "off"):
                with (
                    records.calling(replay=wish),
                    pytest.raises(ReplayMissError, match="this mode never calls"),
                ):
                    await ask(client)
        assert len(server.requests) == 1

    async def test_the_settings_are_followed_from_call_to_call(self, server, recorder, monkeypatch):
        monkeypatch.setenv("LLMKIT_REPLAY_FILE", "demo.replay")
        async with opened("openai", server) as client:
            await ask(client)
            monkeypatch.setenv("LLMKIT_REPLAY", "auto")
            assert [(await ask(client)).replayed for _ in range(2)] == [False, True]
            monkeypatch.setenv("LLMKIT_REPLAY", "only")
            assert (await ask(client)).replayed
            with pytest.raises(ReplayMissError):
                await ask(client, max_tokens=1)
            monkeypatch.delenv("LLMKIT_REPLAY")
            assert not (await ask(client)).replayed

    async def test_only_without_a_file_says_so(self, server, recorder, monkeypatch):
        monkeypatch.setenv("LLMKIT_REPLAY", "only")
        async with opened("openai", server) as client:
            with pytest.raises(ReplayMissError, match="the file is empty or missing"):
                await ask(client)
        assert not server.requests

    async def test_a_streamed_replay_keeps_the_pace(self, server, recorder, file):
        llmkit.replay(file, pace=1_000)
        async with opened("openai", server) as client:
            await ask(client)
            assert await read(client.stream_text(QUESTION)) == ["one ", "two ", "three ", "four ", "five"]
            llmkit.replay(file, pace=0.001)
            async with asyncio.timeout(60):  # a whole answer is not watched: it comes at once
                assert (await ask(client)).content == TEXT

    async def test_a_replay_that_is_left_is_closed(self, server, recorder, file, quiet):
        llmkit.replay(file, pace=0.001)
        async with opened("openai", server) as client:
            await ask(client)
            stream = client.stream_text(QUESTION)
            assert await anext(stream) == "one "
            await stream.aclose()
        assert len(recorder.records) == 2
        assert recorder.last.cost_nanos == 0


class TestSharing:
    """Concurrent identical requests share one call."""

    async def test_a_hundred_requests_are_one_call(self, protocol, server, recorder, auto):
        async with opened(protocol, server) as client:
            calls = (ask(client, stream=n % 2 == 0) for n in range(100))
            answers = await asyncio.gather(*calls)
        assert {answer.content for answer in answers} == {TEXT}
        assert len(server.requests) == 1
        assert sorted(recorder.statuses) == ["ok"] + ["replayed"] * 99

    async def test_if_the_first_one_fails_one_other_calls(self, server, recorder, auto):
        async with opened("openai", server, max_retries=0) as client:
            server.fail_next("500")
            results = await asyncio.gather(*(ask(client) for _ in range(20)), return_exceptions=True)
        assert sum(isinstance(result, ProviderNotAvailableError) for result in results) == 1
        assert len(server.requests) == 2
        assert sorted(recorder.statuses) == ["error", "ok"] + ["replayed"] * 18

    async def test_if_all_fail_no_caller_is_left_waiting(self, server, recorder, auto):
        async with opened("openai", server, max_retries=0) as client:
            server.fail_next("500", 5)
            results = await asyncio.gather(*(ask(client) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(result, ProviderNotAvailableError) for result in results)
        assert len(server.requests) == 5

    async def test_if_the_first_one_is_cancelled_one_other_calls(self, server, recorder, auto, quiet):
        async with opened("openai", server) as client:
            server.fail_next("slow=60")
            first = asyncio.create_task(ask(client))
            await arrived(server, 1)
            others = [asyncio.create_task(ask(client)) for _ in range(20)]
            await waiting(20)
            others[3].cancel()
            first.cancel()
            results = await asyncio.gather(*others, return_exceptions=True)
            with pytest.raises(asyncio.CancelledError):
                await first
        assert isinstance(results.pop(3), asyncio.CancelledError)
        assert {result.content for result in results} == {TEXT}
        assert len(server.requests) == 2
        assert sorted(recorder.statuses) == ["cancelled", "ok"] + ["replayed"] * 18

    async def test_a_stream_that_is_left_hands_over(self, server, recorder, auto, quiet):
        async with opened("openai", server) as client:
            stream = client.stream_text(QUESTION)
            await anext(stream)
            other = asyncio.create_task(ask(client))
            await waiting(1)
            await stream.aclose()
            assert not (await other).replayed
        assert recorder.statuses == ["cancelled", "ok"]

    async def test_two_streams_that_are_read_in_turns_do_not_wait_for_each_other(
        self, server, recorder, auto, monkeypatch
    ):
        monkeypatch.setattr(playback._single_flight, "_patience", 0.3)
        async with opened("openai", server) as client:
            one, two = client.stream_text(QUESTION), client.stream_text(QUESTION)
            pieces = [await anext(one)]
            async with asyncio.timeout(60):
                rest = await read(two)
            pieces += await read(one)
        assert "".join(pieces) == "".join(rest) == TEXT
        assert len(auto) == 1

    async def test_a_call_whose_model_is_slow_is_waited_for(self, server, recorder, auto, monkeypatch):
        monkeypatch.setattr(playback._single_flight, "_patience", 0.5)
        async with opened("openai", server) as client:
            server.fail_next("rate=1.6")  # tokens a second: between two of them patience would end
            stream = client.stream_text(QUESTION, max_tokens=3)
            pieces = [await anext(stream)]
            other = asyncio.create_task(read(client.stream_text(QUESTION, max_tokens=3)))
            await waiting(1)
            pieces += await read(stream)
            assert "".join(await other) == "".join(pieces)
        assert len(server.requests) == 1
        assert recorder.statuses == ["ok", "replayed"]

    async def test_two_loops_in_two_threads_share_the_call(self, server, recorder, auto):
        server.fail_next("slow=0.3")
        results = []

        async def main():
            async with opened("openai", server) as client:
                results.extend(await asyncio.gather(*(ask(client) for _ in range(10))))

        threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join, 60)
        assert [result.content for result in results] == [TEXT] * 20
        assert len(server.requests) == 1

    async def test_different_requests_do_not_wait_for_each_other(self, server, recorder, auto):
        async with opened("openai", server) as client:
            server.fail_next("slow=60")
            first = asyncio.create_task(ask(client))
            await arrived(server, 1)
            assert (await ask(client, max_tokens=3)).content == "one two three"
            first.cancel()
            await asyncio.wait([first])


async def arrived(server, number):
    async with asyncio.timeout(30):
        while len(server.requests) < number:  # noqa: ASYNC110 - the server's thread counts them
            await asyncio.sleep(0.001)


async def waiting(number):
    """Wait until so many wait for another's call."""
    async with asyncio.timeout(30):
        while sum(len(shared.waiting) for shared in playback._single_flight._calls.values()) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class TestTrouble:
    @pytest.mark.parametrize("mode", ["auto", "only"])
    async def test_a_foreign_file_stops_the_call(self, server, recorder, file, monkeypatch, mode):
        broken(file)
        monkeypatch.setenv("LLMKIT_REPLAY", mode)
        monkeypatch.setenv("LLMKIT_REPLAY_FILE", str(file))
        async with opened("openai", server) as client:
            with pytest.raises(ConfigurationError, match="not a file of recordings"):
                await ask(client)
            with pytest.raises(ConfigurationError, match="not a file of recordings"):
                await ask(client, stream=True)
        assert not server.requests

    async def test_a_file_that_cannot_be_written_does_not_cost_the_answer(
        self, server, recorder, tmp_path, caplog
    ):
        (tmp_path / "file").touch()
        llmkit.replay(tmp_path / "file" / "demo.replay")
        async with opened("openai", server) as client:
            answers = await asyncio.gather(*(ask(client) for _ in range(3)))
            assert (await ask(client)).content == TEXT
        assert {answer.content for answer in answers} == {TEXT}
        assert len(server.requests) == 2  # those who waited have it all the same
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert warnings[0].startswith("Cannot record answers: ")

    async def test_a_damaged_recording_is_made_again(self, server, recorder, auto, file, caplog):
        async with opened("openai", server) as client:
            await ask(client)
            damage(file)
            assert [(await ask(client)).replayed for _ in range(2)] == [False, True]
        assert "is damaged" in caplog.text

    async def test_a_damaged_recording_is_an_error_if_nothing_may_be_sent(self, server, recorder, auto, file):
        async with opened("openai", server) as client:
            await ask(client)
            damage(file)
            llmkit.replay(file, mode="only")
            with pytest.raises(ConfigurationError, match=r"A recording in .* is damaged"):
                await ask(client)
        assert len(server.requests) == 1

    async def test_no_key_gets_into_the_file(self, protocol, server, recorder, auto, file):
        async with SDKS[protocol](CANARY, server.url(PROTOCOLS[protocol]), model="sandbox") as client:
            await ask(client)
            await ask(client, messages=[LLMMessage("user", f"count to 3; my key is {CANARY}")])
        assert len(auto) == 2
        with closing(sqlite3.connect(file)) as database:
            rows = database.execute("SELECT answer, request FROM recordings").fetchall()
        kept = b"".join(zlib.decompress(data) for row in rows for data in row)
        assert CANARY.encode() not in kept + file.read_bytes()
        assert b"my key is [redacted]" in kept
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    async def test_an_answer_that_holds_a_key_is_not_recorded(self, server, recorder, auto, caplog):
        async with OpenAIClient(CANARY, server.url(), model="sandbox") as client:
            answer = await ask(client, messages=[LLMMessage("user", f"echo: {CANARY}")])
        assert answer.content == CANARY
        assert len(auto) == 0
        assert "was not recorded because part of it looks like a key" in caplog.text
        assert CANARY not in caplog.text

    async def test_clearing_makes_all_requests_new(self, server, recorder, auto):
        async with opened("openai", server) as client:
            await ask(client)
            assert auto.clear() == 1
            assert len(auto) == 0
            assert not (await ask(client)).replayed

    async def test_a_fallbacks_answer_is_not_recorded_as_the_first_models(self, server, recorder, auto):
        other = OpenAIClient("k", server.url(), model="sandbox-2")
        async with OpenAIClient(
            "k", server.url(), model="sandbox", max_retries=0, fallback=[other]
        ) as client:
            server.fail_next("500")
            assert (await ask(client)).fallback_from
            assert len(auto) == 0
            assert not (await ask(client)).replayed
        await other.close()
        assert len(auto) == 1


class Plain(BaseLLMClient):
    """A client of a user's own, which knows nothing of us."""

    def __init__(self):
        super().__init__("plain")
        self.asked = []

    async def generate_text(self, messages, model=None, temperature=TEMPERATURE, max_tokens=None, **options):
        self.asked.append((model, float(temperature), max_tokens, options))
        return LLMResponse(content=TEXT, provider="plain", model="m", prompt_tokens=3, completion_tokens=4)

    async def stream_text(self, messages, model=None, temperature=TEMPERATURE, max_tokens=None, **options):
        self.asked.append((model, float(temperature), max_tokens, options))
        for word in TEXT.split(" "):
            yield word

    async def close(self):
        pass


class TestPlainClients:
    async def test_their_answers_are_recorded_too(self, recorder, auto):
        inner = Plain()
        client = recorded(inner)
        answers = [await ask(client, stream=stream) for stream in (False, True, False)]
        assert [answer.replayed for answer in answers] == [False, True, True]
        assert {answer.content for answer in answers} == {TEXT}
        assert [answer.completion_tokens for answer in answers] == [4, 4, 4]
        assert len(inner.asked) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"messages": [LLMMessage("user", "other")]},
            {"model": "other"},
            {"temperature": 0.7},
            {"max_tokens": 3},
            {"seed": 1},
        ],
    )
    async def test_any_change_is_another_request(self, recorder, auto, change):
        client = recorded(Plain())
        await ask(client)
        assert not (await ask(client, **change)).replayed
        assert (await ask(client, **change)).replayed

    async def test_what_is_no_json_is_neither_recorded_nor_replayed(self, recorder, auto, file):
        client = recorded(Plain())
        for _ in range(2):
            assert not (await ask(client, tool=object())).replayed
        assert not file.exists()
        await ask(client)
        llmkit.replay(file, mode="only")
        with pytest.raises(ReplayMissError, match=r"object is not a JSON value"):
            await ask(client, tool=object())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def shuffled(value):
    """The same JSON, written in another way."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return tuple(map(shuffled, value))
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and float(value) == value
        and abs(value) < 2**53
    ):
        return float(value)
    return value


class TestKeys:
    @given(JSON)
    def test_the_same_json_has_the_same_key(self, value):
        assert request_key("p", "h", value) == request_key("p", "h", shuffled(value))

    @given(JSON, JSON)
    def test_different_json_has_different_keys(self, one, other):
        same = json.dumps(canonical(one), sort_keys=True) == json.dumps(canonical(other), sort_keys=True)
        assert (request_key("p", "h", one) == request_key("p", "h", other)) == same

    def test_a_key_stays_what_it_was(self):
        """Files that people committed depend on it; whoever changes it makes `FORMAT` 3."""
        payload = {"path": "/x", "body": {"n": [1, 2.0, 0.7, True, None], "t": "ü\U0001f600\ud800"}}
        key = request_key("openai", "api.openai.com/v1", payload, version=1)
        assert key == "c00ccb676460efef5ddf2ef933873ea98ee649f542fa379be91358b6857f1717"

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("a", "bc", 1), ("ab", "c", 1)),
            (("a", "b", 1), ("a", "b", "1")),
            (("a", "b", 1), ("a", "b", True)),
            (("a", "b", 0), ("a", "b", None)),
            (("a", "b", 0), ("a", "b", False)),
            (("a", "b", []), ("a", "b", {})),
            (("a", "b", "\u00e9"), ("a", "b", "e\u0301")),
            (("a", "b", {"x": [1, 2]}), ("a", "b", {"x": [2, 1]})),
            (("a", "b", 2**63), ("a", "b", 2**63 + 1)),
            (("a", "b", 0.1), ("a", "b", 0.1 + 1e-17 * 2)),
        ],
    )
    def test_what_differs_has_another_key(self, one, other):
        assert request_key(*one) != request_key(*other)

    @pytest.mark.parametrize("zero", [0.0, -0.0])
    def test_zero_is_zero(self, zero):
        assert request_key("a", "b", zero) == request_key("a", "b", 0)

    @pytest.mark.parametrize("value", [object(), b"x", {1: 2}, {1, 2}, float("nan"), float("inf")])
    def test_what_is_no_json_has_no_key(self, value):
        with pytest.raises(InvalidRequestError, match="Cannot encode the request as JSON"):
            request_key("a", "b", {"x": value})

    def test_what_contains_itself_has_no_key(self):
        loop = []
        loop.append(loop)
        with pytest.raises(InvalidRequestError, match="Cannot encode the request as JSON"):
            request_key("a", "b", loop)

    @pytest.mark.parametrize(
        ("address", "simulated", "expected"),
        [
            ("https://api.openai.com/v1", False, "api.openai.com/v1"),
            ("https://api.openai.com/v1/", False, "api.openai.com/v1"),
            ("https://API.openai.com:8443/v1?key=x#y", False, "api.openai.com:8443/v1"),
            ("https://me:secret@host/v1", False, "host/v1"),
            ("http://127.0.0.1:1234/v1", False, "127.0.0.1/v1"),
            ("http://localhost:11434/v1", False, "localhost/v1"),
            ("http://[::1]:80", False, "::1"),
            ("http://10.0.0.1:80", False, "10.0.0.1:80"),
            ("http://127.0.0.1:1234/v1", True, "sandbox"),
            ("", False, ""),
            ("http://host:99999/v1", False, "http://host:99999/v1"),
            ("http://[host/v1", False, "http://[host/v1"),
        ],
    )
    def test_the_server_counts_as_far_as_it_matters(self, address, simulated, expected):
        assert place(address, simulated=simulated) == expected


class Words:
    """A source of texts, and whether it was touched."""

    def __init__(self, *texts):
        self.texts = list(texts)
        self.closed = 0

    async def next(self):
        return self.texts.pop(0) if self.texts else None

    async def aclose(self):
        self.closed += 1


def new_call():
    return Call(Request(messages=tuple(QUESTION), model="m"), "p")


class TestSource:
    def test_while_it_is_off_the_source_is_itself(self):
        source = Words()
        assert replayed(new_call(), source, pytest.fail) is source
        llmkit.replay("off")
        assert replayed(new_call(), source, pytest.fail) is source

    async def test_it_is_closed_once_and_for_all(self, auto):
        source, call = Words(["a"], ["b"]), new_call()
        wrapped = replayed(call, source, lambda: canonical_client_request(call))
        assert await wrapped.next() == ["a"]
        await wrapped.aclose()
        await wrapped.aclose()
        assert source.closed == 2
        assert len(auto) == 0

    async def test_an_answer_without_text_is_one_too(self, auto):
        for expected in (1, 1):
            call = new_call()
            wrapped = replayed(call, Words(), lambda: canonical_client_request(call))  # noqa: B023
            assert await wrapped.next() is None
            assert await wrapped.next() is None
            await wrapped.aclose()
            assert len(auto) == expected
        assert call.replayed

    async def test_the_times_of_the_call_are_recorded(self, auto):
        call = new_call()
        wrapped = replayed(call, Words(["a"], ["b"]), lambda: canonical_client_request(call))
        assert await read_all(wrapped) == ["a", "b"]
        key = canonical_client_request(call).key()
        recording = auto.cassette.read(key)
        assert 0 <= recording.first_token_s <= recording.duration_s
        assert recording.recorded_at >= call.time
        await wrapped.aclose()

    async def test_a_call_that_is_cancelled_while_it_is_written_down_has_its_answer_kept(self, auto, file):
        call = new_call()
        wrapped = replayed(call, Words(["a"]), lambda: canonical_client_request(call))
        assert await wrapped.next() == ["a"]
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            task = asyncio.create_task(wrapped.next())
            await asyncio.sleep(0.01)  # into the thread that writes, or not yet: both are fine
            task.cancel()
            await asyncio.wait([task])
            other.execute("COMMIT")
        await wrapped.aclose()
        async with asyncio.timeout(30):
            while not len(auto):  # noqa: ASYNC110 - another thread writes
                await asyncio.sleep(0.01)

    async def test_a_call_that_is_cancelled_before_a_thread_is_free_has_its_answer_kept(self, auto):
        call, free = new_call(), threading.Event()
        wrapped = replayed(call, Words(["a"]), lambda: canonical_client_request(call))
        assert await wrapped.next() == ["a"]
        with ThreadPoolExecutor(1) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            threads.submit(free.wait, 60)
            task = asyncio.create_task(wrapped.next())
            await asyncio.sleep(0)  # its write waits for the thread by now
            task.cancel()
            await asyncio.wait([task])
            free.set()
        await wrapped.aclose()
        assert task.cancelled()
        assert len(auto) == 1

    async def test_the_event_loop_is_never_held_up(self, auto):
        llmkit.replay(auto.path, pace=1_000)
        for _ in range(2):  # recorded, played back
            call = Call(Request(messages=tuple(QUESTION), model="m", stream=True), "p")
            wrapped = replayed(call, Words(["a b c"]), lambda: canonical_client_request(call))  # noqa: B023
            with blockbuster.blockbuster_ctx():
                while (texts := await wrapped.next()) is not None:
                    for text in texts:
                        call.add(text)
                await wrapped.aclose()
            assert call.text == "a b c"
        assert call.replayed
        with pytest.raises(blockbuster.BlockingError), blockbuster.blockbuster_ctx():
            len(auto)  # it would have been noticed


async def read_all(source):
    pieces = []
    while (texts := await source.next()) is not None:
        pieces += texts
    return pieces


PROGRAM = """
import asyncio, sys
from llmkit import LLMMessage, OpenAIClient, ledger

async def main():
    async with OpenAIClient(base_url=sys.argv[1], model="sandbox") as client:
        for text in ("echo: one", "echo: two"):
            async for piece in client.stream_text([LLMMessage("user", text)]):
                print(piece)

asyncio.run(main())
print(list(ledger.df["status"]), ledger.total())
"""


def test_a_program_that_runs_again_costs_nothing(server, tmp_path):
    price = "[prices.sandbox]\ninput = 1\noutput = 1\n"
    (tmp_path / "llmkit.toml").write_text(f'replay = "auto"\nreplay_file = "demo.replay"\n{price}')
    said = []
    for key in ({"OPENAI_API_KEY": CANARY}, {"LLMKIT_REPLAY": "only"}):
        environment = {**os.environ, "LLMKIT_LEDGER": str(tmp_path / f"{len(said)}.sqlite"), **key}
        command = [sys.executable, "-W", "error", "-c", PROGRAM, server.url()]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, timeout=100
        )
        assert not done.stderr
        said.append(done.stdout.splitlines())
        server.stop()
    assert said[0][:-1] == said[1][:-1] == ["one", "two"]
    assert "saved" not in said[0][-1]
    assert re.fullmatch(
        r"\['replayed', 'replayed'\] \$0\.00 over 2 simulated calls, \$0\.0*[1-9]\d* saved by replay",
        said[1][-1],
    )


def test_a_mode_alone_keeps_the_file_in_force(tmp_path):
    with llmkit.replay(tmp_path / "demo.replay"):
        assert llmkit.replay("off").path == tmp_path / "demo.replay"
        assert llmkit.replay(mode="auto").path == tmp_path / "demo.replay"
