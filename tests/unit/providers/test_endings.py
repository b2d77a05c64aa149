"""How an answer ended: the servers' words for it, and answers that they themselves call broken."""

import pytest

from llmkit import ProviderNotAvailableError, StreamInterruptedError
from tests.faults.test_faults import call, client_of
from tests.support.callers import hurry
from tests.support.dialects import DIALECTS, Anthropic, Google, OpenAI, dump
from tests.support.peer import Peer, events, http

pytestmark = pytest.mark.usefixtures("quiet")

MODES = pytest.mark.parametrize("mode", ["plain", "stream"])
OWN = pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])


async def asked(d, answer, mode, *, own=False, **options):
    """Make one call to a server that answers with these bytes."""
    async with Peer() as peer, client_of(d, peer.url, own=own, **options) as client:
        peer.scripts = {"m": [(answer,)]}
        return await call(client, "m", mode)


def ending(d, word, mode, text="Hi"):
    if mode == "plain":
        return http(200, dump(d.whole(text, word)))
    return events(d.start() + (d.piece(text) if text else b"") + d.end(word))


@pytest.mark.product
@OWN
@MODES
@pytest.mark.parametrize(
    ("protocol", "word"),
    [
        *[("openai", word) for word in ("error", "network_error", "insufficient_system_resource", "abort")],
        *[("openai", word) for word in ("unknown_error", "engine_overloaded", "read_timeout", "time_limit")],
        *[("anthropic", word) for word in ("error", "malformed_tool_use")],
        *[("google", word) for word in ("MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL")],
    ],
)
async def test_an_answer_that_its_server_calls_broken_is_no_success(protocol, word, mode, own, recorder):
    d = DIALECTS[protocol]
    outcome = await asked(d, ending(d, word, mode), mode, own=own)
    assert isinstance(outcome.error, StreamInterruptedError)
    assert outcome.error.partial == "Hi"
    assert word.lower() in str(outcome.error)
    assert recorder.statuses == ["interrupted"]
    assert recorder.last.output_tokens == 9  # what came after it was read


@pytest.mark.product
@MODES
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_a_broken_answer_without_text_is_asked_for_again(protocol, mode):
    d = DIALECTS[protocol]
    word = {"openai": "network_error", "anthropic": "error", "google": "MALFORMED_FUNCTION_CALL"}[protocol]
    async with Peer() as peer, client_of(d, peer.url, max_retries=1) as client:
        hurry(client)
        peer.scripts = {"m": [(ending(d, word, mode, ""),), (ending(d, "stop", mode),)]}
        outcome = await call(client, "m", mode)
    assert (outcome.error, outcome.text, outcome.answer.attempts) == (None, "Hi", 2)


@pytest.mark.product
@OWN
@MODES
@pytest.mark.parametrize(
    ("protocol", "word", "means"),
    [
        *[
            ("openai", word, "stop")
            for word in ("stop", "eos", "eos_token", "stop_sequence", "end_turn", "STOP")
        ],
        *[("openai", word, "length") for word in ("length", "model_length", "max_tokens", "MAX_TOKENS")],
        *[("openai", word, "content_filter") for word in ("content_filter", "sensitive", "SAFETY")],
        *[("openai", word, "tool_calls") for word in ("tool_calls", "function_call", "tool_use")],
        ("openai", "repetition_limit", "repetition_limit"),
        ("anthropic", "stop_sequence", "stop"),
        ("anthropic", "model_context_window_exceeded", "length"),
        ("anthropic", "tool_use", "tool_calls"),
        ("anthropic", "refusal", "refusal"),
        ("anthropic", "pause_turn", "pause_turn"),
        *[("google", word, "content_filter") for word in ("SAFETY", "RECITATION", "BLOCKLIST", "SPII")],
        *[("google", word, "content_filter") for word in ("PROHIBITED_CONTENT", "IMAGE_SAFETY")],
        ("google", "MAX_TOKENS", "length"),
    ],
)
async def test_each_word_has_its_meaning_and_unknown_ones_pass(protocol, word, means, mode, own):
    d = DIALECTS[protocol]
    outcome = await asked(d, ending(d, word, mode), mode, own=own)
    assert (outcome.error, outcome.text) == (None, "Hi")
    assert outcome.answer.finish_reason == means


FAILED = {"code": 502, "message": "upstream went away"}


@MODES
@pytest.mark.parametrize("word", ["error", None])
async def test_an_error_in_a_choice_is_reported_with_the_text(word, mode, recorder):
    more = {"error": FAILED, "finish_reason": word, "index": 0}
    if mode == "plain":
        message = {"role": "assistant", "content": "The first half"}
        answer = http(200, dump({"id": "c", "choices": [{**more, "message": message}]}))
    else:
        chunk = OpenAI.event({"choices": [{**more, "delta": {"content": " half"}}]})
        answer = events(OpenAI.start() + OpenAI.piece("The first") + chunk + b"data: [DONE]\n\n")
    outcome = await asked(OpenAI, answer, mode)
    assert isinstance(outcome.error, StreamInterruptedError)
    assert outcome.error.partial == "The first half"
    assert "upstream went away" in str(outcome.error)
    assert recorder.statuses == ["interrupted"]


@MODES
async def test_an_error_beside_the_choices_does_not_lose_their_text(mode, recorder):
    message = {"content": "The first half"}
    choice = {"index": 0, "finish_reason": "error", "message": message, "delta": message}
    told = {"error": FAILED, "choices": [choice]}
    answer = http(200, dump(told)) if mode == "plain" else events(OpenAI.event(told))
    outcome = await asked(OpenAI, answer, mode)
    assert type(outcome.error) is ProviderNotAvailableError
    assert (outcome.error.partial, outcome.error.message) == ("The first half", "upstream went away.")
    assert recorder.statuses == ["error"]


async def test_what_gemini_says_of_a_broken_answer_is_in_the_message():
    answer = Google.whole("Hi", "MALFORMED_FUNCTION_CALL")
    answer["candidates"][0]["finishMessage"] = "Malformed function call: print(x)"
    outcome = await asked(Google, http(200, dump(answer)), "plain")
    assert "Malformed function call: print(x)" in str(outcome.error)


class TestWithoutALastMarker:
    """What a server leaves out at the end of an answer."""

    @OWN
    @pytest.mark.parametrize("close", [True, False], ids=["a clean end", "a cut"])
    async def test_anthropic_without_message_stop_is_whole(self, own, close, recorder):
        body = Anthropic.start() + Anthropic.piece("It is Lima.") + Anthropic.end()
        stream = events(body.partition(b"event: message_stop")[0])
        steps = (stream,) if close else (stream.replace(b"Length: ", b"Length: 9"), "close")
        async with Peer() as peer, client_of(Anthropic, peer.url, own=own) as client:
            peer.scripts = {"m": [steps]}
            outcome = await call(client, "m", "stream")
        assert (outcome.error, outcome.text) == (None, "It is Lima.")
        assert (outcome.answer.finish_reason, outcome.answer.note) == ("stop", "")
        assert (recorder.last.status, recorder.last.usage_source) == ("ok", "reported")

    @OWN
    async def test_anthropic_without_a_stop_reason_is_interrupted(self, own, recorder):
        body = Anthropic.start() + Anthropic.piece("It is L")
        outcome = await asked(Anthropic, events(body), "stream", own=own)
        assert isinstance(outcome.error, StreamInterruptedError)
        assert outcome.error.partial == "It is L"
        assert recorder.statuses == ["interrupted"]

    @OWN
    @MODES
    async def test_an_end_without_a_reason_is_flagged_and_not_refused(self, mode, own):
        usage = {"prompt_tokens": 5, "completion_tokens": 2}
        if mode == "plain":
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
            answer = http(200, dump({"choices": [choice], "usage": usage}))
        else:
            last = OpenAI.event({"choices": [], "usage": usage})
            answer = events(OpenAI.piece("Hi") + last + b"data: [DONE]\n\n")
        outcome = await asked(OpenAI, answer, mode, own=own)
        assert (outcome.error, outcome.text, outcome.answer.finish_reason) == (None, "Hi", None)
        assert "sent no finish reason" in outcome.answer.note

    @OWN
    @pytest.mark.parametrize("protocol", ["anthropic", "google"])
    async def test_so_is_a_whole_answer_of_the_other_protocols(self, protocol, own):
        d = DIALECTS[protocol]
        outcome = await asked(d, http(200, dump(d.whole("Hi", None))), "plain", own=own)
        assert (outcome.error, outcome.text, outcome.answer.finish_reason) == (None, "Hi", None)
        assert "sent no finish reason" in outcome.answer.note

    @pytest.mark.parametrize("protocol", DIALECTS)
    async def test_a_stream_with_neither_reason_nor_marker_broke_off(self, protocol, recorder):
        d = DIALECTS[protocol]
        outcome = await asked(d, events(d.start() + d.piece("Hi")), "stream")
        assert isinstance(outcome.error, StreamInterruptedError)
        assert recorder.statuses == ["interrupted"]

    @MODES
    @pytest.mark.parametrize("protocol", DIALECTS)
    async def test_an_answer_with_its_reason_has_no_note(self, protocol, mode):
        d = DIALECTS[protocol]
        good = {"openai": "stop", "anthropic": "end_turn", "google": "STOP"}[protocol]
        outcome = await asked(d, ending(d, good, mode), mode)
        assert (outcome.answer.finish_reason, outcome.answer.note) == ("stop", "")
        assert outcome.answer.raw_parts == ()
