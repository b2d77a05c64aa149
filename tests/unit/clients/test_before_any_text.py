"""An answer that breaks off before its first text is asked for again, by every client."""

import pytest

from llmkit import BadResponseError, StreamInterruptedError
from tests.faults.test_faults import QUESTION, call, client_of
from tests.support.callers import hurry
from tests.support.dialects import DIALECTS, dump
from tests.support.peer import Peer, chunked, events, http, opening

pytestmark = pytest.mark.usefixtures("quiet")


def cut(whole):
    """The same answer with a length that is never reached."""
    return (whole.replace(b"Length: ", b"Length: 9"), "close")


BREAKS = {
    "headers alone, streamed": ("stream", lambda d: (opening(), "close")),
    "headers alone, in chunks": ("stream", lambda d: (chunked().removesuffix(b"0\r\n\r\n"), "close")),
    "a start without text": ("stream", lambda d: cut(events(d.start() or d.empty))),
    "reasoning without text": ("stream", lambda d: cut(events(d.start() + d.thinking))),
    "a clean end after the start": ("stream", lambda d: (events(d.start() or d.empty),)),
    "a clean end at once": ("stream", lambda d: (events(b""),)),
    "pings alone": ("stream", lambda d: (events(b": ping\n\n"),)),
    "a whole answer that is cut": ("plain", lambda d: cut(http(200, dump(d.whole("Hi"))))),
    "half of a whole answer": ("plain", lambda d: (http(200, dump(d.whole("Hi"))[:-20]),)),
    "headers alone, plain": ("plain", lambda d: cut(http(200))),
}


def whole(d, mode):
    return (
        http(200, dump(d.whole("Hi"))) if mode == "plain" else events(d.start() + d.piece("Hi") + d.end()),
    )


@pytest.mark.product
@pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])
@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_an_answer_that_breaks_before_any_text_is_asked_for_again(protocol, name, own, recorder):
    if own and (protocol, name) == ("google", "pings alone"):
        pytest.skip("google-genai takes a comment for data")
    d, (mode, answer) = DIALECTS[protocol], BREAKS[name]
    async with Peer() as peer, client_of(d, peer.url, own=own, max_retries=1) as client:
        hurry(client)
        peer.scripts = {"m": [answer(d), whole(d, mode)]}
        outcome = await call(client, "m", mode)
    assert (outcome.error, outcome.text) == (None, "Hi")
    assert outcome.answer.attempts == 2
    assert recorder.statuses == ["ok"]


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_without_another_try_its_error_does_not_point_at_a_text(protocol, name):
    d, (mode, answer) = DIALECTS[protocol], BREAKS[name]
    async with Peer() as peer, client_of(d, peer.url) as client:
        peer.scripts = {"m": [answer(d)]}
        outcome = await call(client, "m", mode)
    assert isinstance(outcome.error, (StreamInterruptedError, BadResponseError))
    assert outcome.error.retryable
    assert not outcome.error.partial
    assert ".partial" not in str(outcome.error)
    assert "<" not in str(outcome.error)
    assert "400" not in str(outcome.error)


@pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_an_answer_that_breaks_after_text_is_not_asked_for_again(protocol, own, recorder):
    d = DIALECTS[protocol]
    async with Peer() as peer, client_of(d, peer.url, own=own, max_retries=2) as client:
        hurry(client)
        peer.scripts = {"m": [cut(events(d.start() + d.piece("one"))), whole(d, "stream")]}
        outcome = await call(client, "m", "stream")
    assert isinstance(outcome.error, StreamInterruptedError)
    assert (outcome.error.partial, outcome.text) == ("one", "one")
    assert "The partial text is in .partial" in str(outcome.error)
    assert "<" not in str(outcome.error)
    assert len(peer.asked["m"]) == 1
    assert recorder.statuses == ["interrupted"]


async def test_a_page_in_place_of_an_answer_is_not_asked_for_again():
    d = DIALECTS["openai"]
    async with Peer() as peer, client_of(d, peer.url, max_retries=2) as client:
        peer.scripts = {"m": [(http(200, b"<html>Log in</html>"),)]}
        with pytest.raises(BadResponseError, match="base URL"):
            await client.generate_text(QUESTION, "m")
    assert len(peer.asked["m"]) == 1


async def test_other_models_replace_one_whose_answer_breaks_before_any_text():
    d = DIALECTS["openai"]
    async with Peer() as peer, client_of(d, peer.url, model="m") as other:
        peer.scripts = {"first": [cut(events(d.start()))], "m": [whole(d, "stream")]}
        async with client_of(d, peer.url, fallback=[other]) as client:
            outcome = await call(client, "first", "stream")
    assert (outcome.error, outcome.text) == (None, "Hi")
    assert outcome.answer.fallback_from == "openai:first"
