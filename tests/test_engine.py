"""One metered call, in every protocol, through the official SDKs, against the sandbox."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import socket
import threading
import time

import anthropic
import openai
import pytest
from google import genai

from llmkit import (
    AnthropicClient,
    AuthenticationError,
    BadResponseError,
    ContextLengthError,
    GoogleAIClient,
    GoogleGenerativeAIClient,
    InvalidRequestError,
    LLMClientError,
    LLMMessage,
    LLMTimeoutError,
    ModelNotFoundError,
    OpenAIClient,
    PermissionDeniedError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)

QUESTION = [LLMMessage("system", "Be brief."), LLMMessage("user", "echo: one two three four five")]
TEXT = "one two three four five"
KINDS = ["openai", "anthropic", "google", "google-legacy", "own openai", "own anthropic", "own google"]
PROTOCOLS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "google-legacy": "google"}
SDKS = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}


def make(kind, server, **options):
    """Make a client of a kind; `own …` is a user's own SDK client."""
    options = {"model": "sandbox", **options}
    if kind == "own openai":
        sdk = openai.AsyncOpenAI(api_key="k", base_url=server.url("openai"))
        return OpenAIClient(client=sdk, **options)
    if kind == "own anthropic":
        sdk = anthropic.AsyncAnthropic(api_key="k", base_url=server.url("anthropic"))
        return AnthropicClient(client=sdk, **options)
    if kind == "own google":
        http = genai.types.HttpOptions(base_url=server.url("google"), api_version="v1beta")
        return GoogleAIClient(client=genai.Client(api_key="k", http_options=http), **options)
    factory = GoogleGenerativeAIClient if kind == "google-legacy" else SDKS[kind]
    return factory("k", server.url(PROTOCOLS[kind]), **options)


@pytest.fixture(
    params=["openai", "anthropic", "google", "google-legacy", "own openai", "own anthropic", "own google"]
)
def kind(request):
    return request.param


@pytest.fixture(params=["openai", "anthropic", "google"])
def protocol(request):
    return request.param


@pytest.fixture(scope="module", autouse=True)
def _frozen():
    gc.freeze()  # what is imported by now need not be searched after every test
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """No forgotten task, no open socket: asyncio and the collector have nothing to say."""
    yield
    gc.collect()
    said = [r.getMessage() for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.WARNING]
    assert not said


@pytest.fixture
def connect(server):
    """Return a function that makes clients, all closed at the end."""
    made = []

    def connect(kind, **options):
        made.append(make(kind, server, **options))
        return made[-1]

    return connect


@contextlib.asynccontextmanager
async def opened(kind, server, **options):
    """A client that is closed at the end, and the user's own SDK client with it."""
    client = make(kind, server, **options)
    try:
        yield client
    finally:
        await client.close()
        if kind.startswith("own "):
            sdk = getattr(client._line.carrier, "_own", None)
            await (sdk.close() if sdk is not None else client._line.carrier._client.aio.aclose())


async def closed(server, wanted="aborted"):
    """Wait until the server has seen how its last answer ended."""
    end = time.monotonic() + 5
    while server.requests[-1].outcome == "open" and time.monotonic() < end:  # noqa: ASYNC110 - the server's thread writes it
        await asyncio.sleep(0.005)
    return server.requests[-1].outcome == wanted


def hurry(client):
    """Shorten the pauses between retries."""
    client._line = dataclasses.replace(client._line, retry=RetryPolicy(base_delay=0.01))


async def read(stream, pieces=None):
    pieces = [] if pieces is None else pieces
    async for piece in stream:
        pieces.append(piece)
    return pieces


# --- a call that goes well


async def test_a_whole_answer_has_text_usage_finish_and_price(kind, server, recorder):
    async with opened(kind, server) as client:
        response = await client.generate_text(QUESTION)
    assert (response.content, response.finish_reason, response.usage_source) == (TEXT, "stop", "reported")
    assert response.completion_tokens == 5
    assert response.cost_estimate == pytest.approx((response.prompt_tokens + 4 * 5) / 1e6, abs=1e-12)


async def test_a_stream_brings_the_same_as_a_whole_answer(kind, server, recorder):
    async with opened(kind, server) as client:
        whole = await client.generate_text(QUESTION)
        stream = client.stream_text(QUESTION)
        pieces = await read(stream)
    assert "".join(pieces) == whole.content == stream.response.content
    for name in ("usage", "finish_reason", "cost_estimate", "model", "usage_source", "tokens_used"):
        assert getattr(stream.response, name) == getattr(whole, name)


async def test_a_stream_comes_in_pieces(kind, server, recorder):
    async with opened(kind, server) as client:
        assert await read(client.stream_text(QUESTION)) == ["one", " two", " three", " four", " five"]


async def test_a_finished_call_leaves_one_row(kind, server, recorder):
    async with opened(kind, server) as client:
        response = await client.generate_text(QUESTION)
    row = recorder.last
    assert recorder.statuses == ["ok"]
    assert (row.uid, row.input_tokens, row.output_tokens) == (response.uid, response.prompt_tokens, 5)
    assert row.cost_nanos == row.input_tokens * 1000 + 5 * 4000
    assert row.duration_s >= row.first_token_s >= 0


async def test_an_answer_of_the_sandbox_is_marked_as_simulated(protocol, server, recorder):
    async with opened(protocol, server) as client:
        assert (await client.generate_text(QUESTION)).simulated
    assert recorder.last.simulated


async def test_the_request_id_of_the_provider_is_kept(protocol, server, recorder):
    async with opened(protocol, server) as client:
        assert (await client.generate_text(QUESTION)).request_id.startswith("req_")


async def test_a_long_answer_that_is_cut_by_its_limit_says_length(kind, server, recorder):
    async with opened(kind, server) as client:
        response = await client.generate_text(QUESTION, max_tokens=2)
    assert (response.content, response.finish_reason) == ("one two", "length")


async def test_counts_of_caches_and_reasoning_arrive(kind, server, recorder):
    server.fail_next("cached=3;reasoning=7")
    async with opened(kind, server) as client:
        usage = (await client.generate_text(QUESTION)).usage
    assert (usage.cache_read_tokens, usage.reasoning_tokens, usage.output_tokens) == (3, 7, 12)


async def test_without_reported_usage_the_counts_are_estimated(protocol, server, recorder):
    server.fail_next("no-usage")
    async with opened(protocol, server) as client:
        response = await client.generate_text(QUESTION)
    assert (response.usage_source, response.completion_tokens) == ("estimated", len(TEXT) // 4)
    assert recorder.last.usage_source == "estimated"


# --- calls that end early


async def test_a_break_leaves_a_cancelled_row_and_closes_the_socket(kind, server, recorder):
    server.fail_next("rate=20;tokens=100")
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        async with contextlib.aclosing(stream):
            async for _ in stream:
                break
        assert recorder.statuses == ["cancelled"]
        assert await closed(server)
    assert stream.response is None
    assert stream.outcome.content == "one"


async def test_a_cancelled_task_leaves_a_row_and_closes_the_socket(kind, server, recorder):
    server.fail_next("rate=20;tokens=100")
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        task = asyncio.create_task(read(stream))
        while len(stream.text) < len("one two three"):  # noqa: ASYNC110 - text comes when it comes
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert recorder.statuses == ["cancelled"]
        assert recorder.last.output_tokens >= 3
        assert await closed(server)


async def test_a_cancelled_whole_call_leaves_a_row(kind, server, recorder):
    server.fail_next("slow=5")
    async with opened(kind, server) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not server.requests:  # noqa: ASYNC110 - the server's thread adds to them
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorder.statuses == ["cancelled"]
    assert recorder.last.cost_nanos is None


async def test_a_stream_left_to_the_collector_leaves_a_row(protocol, server, recorder):
    server.fail_next("rate=20;tokens=100")
    async with opened(protocol, server) as client:
        stream = client.stream_text(QUESTION)
        assert await anext(stream) == "one"
        del stream
        gc.collect()
        assert await closed(server)
    assert recorder.statuses == ["cancelled"]


async def test_a_stream_that_was_never_read_leaves_no_row_and_sends_nothing(kind, server, recorder):
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        await stream.aclose()
        client.stream_text(QUESTION)
    assert not recorder.records
    assert not server.requests


async def test_an_exception_thrown_into_a_stream_leaves_a_row(protocol, server, recorder):
    async with opened(protocol, server) as client:
        stream = client.stream_text(QUESTION)
        await anext(stream)
        with pytest.raises(KeyError):
            await stream.athrow(KeyError("mine"))
    assert recorder.statuses == ["error"]


def test_a_loop_that_closes_before_the_stream_is_collected_leaves_a_row(protocol, server, recorder):
    kept = []

    async def leave():
        stream = make(protocol, server).stream_text(QUESTION)
        kept.append(stream)
        assert await anext(stream) == "one"

    asyncio.run(leave())
    kept.clear()
    gc.collect()
    assert recorder.statuses == ["cancelled"]


def test_an_interrupt_leaves_a_row_and_closes_the_socket(protocol, server, recorder):
    async def interrupted():
        stream = make(protocol, server).stream_text(QUESTION)
        async for _ in stream:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    assert recorder.statuses == ["cancelled"]
    assert asyncio.run(closed(server, "done")) or server.requests[-1].outcome == "aborted"


# --- calls that fail

FAILURES = {
    "401": AuthenticationError,
    "403": PermissionDeniedError,
    "404": ModelNotFoundError,
    "402": QuotaExceededError,
    "429": RateLimitError,
    "413": ContextLengthError,
    "400": InvalidRequestError,
    "422": InvalidRequestError,
    "408": ProviderNotAvailableError,
    "409": ProviderNotAvailableError,
    "500": ProviderNotAvailableError,
    "503": ProviderNotAvailableError,
    "529": ProviderNotAvailableError,
}


@pytest.mark.parametrize("status", FAILURES)
async def test_each_status_is_its_own_exception(kind, server, recorder, status):
    server.fail_next(status, times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises(LLMClientError) as caught:
            await client.generate_text(QUESTION)
    assert type(caught.value) is FAILURES[status]
    assert (caught.value.status_code, caught.value.model) == (int(status), "sandbox")
    assert recorder.last.attempts == 1
    # google-auth itself sends a refused key three times.
    assert len(server.requests) == (3 if (kind, status) == ("google-legacy", "401") else 1)
    assert (recorder.last.status, recorder.last.error) == ("error", FAILURES[status].__name__)
    assert (recorder.last.cost_nanos, recorder.last.input_tokens) == (None, None)


@pytest.mark.parametrize("fault", ["400", "401", "403", "404", "422", "402"])
async def test_what_cannot_succeed_is_not_tried_again(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server) as client:
        with pytest.raises(LLMClientError):
            await read(client.stream_text(QUESTION))
    assert recorder.last.attempts == 1
    # The former SDK cannot read errors of streams: it is asked once more, plainly.
    assert kind == "google-legacy" or len(server.requests) == 1


@pytest.mark.parametrize("fault", ["429", "503", "500"])
async def test_what_may_succeed_is_tried_again_as_often_as_allowed(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server) as client:
        hurry(client)
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 3
    assert recorder.statuses == ["error"]
    assert recorder.last.attempts == 3


async def test_a_stream_whose_request_failed_is_tried_again(kind, server, recorder):
    server.fail_next("503")
    async with opened(kind, server) as client:
        hurry(client)
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT


async def test_an_answer_after_two_failures_is_an_answer(kind, server, recorder):
    server.fail_next("503", times=2)
    async with opened(kind, server) as client:
        hurry(client)
        response = await client.generate_text(QUESTION)
    assert (response.content, response.attempts, recorder.last.attempts) == (TEXT, 3, 3)
    assert recorder.statuses == ["ok"]


async def test_retry_after_is_never_undercut(protocol, server, recorder):
    server.fail_next("429;retry-after=0.6")
    async with opened(protocol, server) as client:
        await client.generate_text(QUESTION)
    first, second = server.requests
    assert second.started_at - first.ended_at >= 0.6


async def test_a_long_retry_after_raises_at_once(protocol, server, recorder):
    server.fail_next("429;retry-after=3600")
    async with opened(protocol, server) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.generate_text(QUESTION)
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_a_wait_that_would_pass_the_total_timeout_is_not_begun(protocol, server, recorder):
    server.fail_next("429;retry-after=30")
    async with opened(protocol, server, timeout=5) as client:
        with pytest.raises(RateLimitError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["cut=2", "reset=2", "end=2"])
async def test_an_answer_that_breaks_off_raises_with_its_text(kind, server, recorder, fault):
    server.fail_next(fault)
    pieces = []
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        with pytest.raises(StreamInterruptedError) as caught:
            await read(stream, pieces)
    assert pieces == ["one", " two"]
    assert caught.value.partial == stream.text == "one two"
    assert stream.response is None
    assert recorder.statuses == ["interrupted"]
    assert recorder.last.usage_source in {"estimated", "partial"}
    assert recorder.last.cost_nanos > 0
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["cut=1", "reset=1", "end=1"])
async def test_a_whole_answer_that_is_cut_is_an_error(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises((StreamInterruptedError, BadResponseError, ProviderNotAvailableError)):
            await client.generate_text(QUESTION)
    assert recorder.last.status in {"error", "interrupted"}


async def test_an_error_inside_the_stream_is_raised_by_its_type(kind, server, recorder):
    server.fail_next("error=2")
    async with opened(kind, server) as client:
        with pytest.raises(ProviderNotAvailableError) as caught:
            await read(client.stream_text(QUESTION))
    assert caught.value.partial == "one two"
    assert len(server.requests) == 1
    # The former SDK reads past the error and finds no end.
    expected = "StreamInterruptedError" if kind == "google-legacy" else "ProviderNotAvailableError"
    assert recorder.last.error == expected


async def test_an_error_inside_the_stream_before_any_text_is_tried_again(protocol, server, recorder):
    server.fail_next("error=0")
    async with opened(protocol, server) as client:
        hurry(client)
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["html", "empty", "malformed=2"])
async def test_what_is_not_the_protocol_is_a_bad_response(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises((BadResponseError, StreamInterruptedError)):
            await read(client.stream_text(QUESTION))
    assert recorder.last.status in {"error", "interrupted"}


@pytest.mark.parametrize("fault", ["html", "empty"])
async def test_a_whole_answer_that_is_not_the_protocol_is_a_bad_response(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server) as client:
        with pytest.raises(BadResponseError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


async def test_a_page_of_a_proxy_with_an_error_status_is_told_shortly(kind, server, recorder):
    server.fail_next("html;status=502", times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError, match="502") as caught:
            await client.generate_text(QUESTION)
    assert "<html" not in str(caught.value)


async def test_a_server_that_is_not_there_is_not_available(kind, server, recorder):
    server.stop()
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError):
            await client.generate_text(QUESTION)
    assert (recorder.last.status, recorder.last.attempts) == ("error", 1)


async def test_a_host_that_does_not_exist_is_not_available(recorder):
    async with OpenAIClient("k", "http://nowhere.invalid/v1", model="m", max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError, match=r"nowhere\.invalid"):
            await client.generate_text(QUESTION)


async def test_a_refused_key_is_an_authentication_error(protocol, server, recorder):
    factory = SDKS[protocol]
    async with factory("invalid", server.url(protocol), model="sandbox") as client:
        with pytest.raises(AuthenticationError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


async def test_the_exception_of_the_sdk_is_the_cause(server, recorder):
    server.fail_next("400")
    async with opened("own openai", server) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.generate_text(QUESTION)
    assert isinstance(caught.value.__cause__, openai.BadRequestError)


# --- deadlines


async def test_the_first_token_timeout_is_named(kind, server, recorder):
    server.fail_next("stall=0", times=9)
    async with opened(kind, server, max_retries=0, timeout=Timeouts(first_token=0.3)) as client:
        with pytest.raises(LLMTimeoutError, match="first-token timeout of 0"):
            await read(client.stream_text(QUESTION))
    assert recorder.last.error == "LLMTimeoutError"


async def test_the_idle_timeout_is_named_and_keeps_the_text(protocol, server, recorder):
    server.fail_next("stall=3")
    async with opened(protocol, server, timeout=Timeouts(idle=0.3)) as client:
        with pytest.raises(LLMTimeoutError, match="idle timeout passed: no text for 0") as caught:
            await read(client.stream_text(QUESTION))
        assert await closed(server)
    assert caught.value.partial == "one two three"
    assert len(server.requests) == 1


async def test_keep_alives_do_not_count_as_text(protocol, server, recorder):
    server.fail_next("ping=0.02")
    async with opened(protocol, server, timeout=Timeouts(idle=0.4)) as client:
        with pytest.raises(LLMTimeoutError, match="idle"):
            await read(client.stream_text(QUESTION))


async def test_the_total_timeout_is_named(kind, server, recorder):
    server.fail_next("rate=20;tokens=200")
    async with opened(kind, server, timeout=0.5) as client:
        with pytest.raises(LLMTimeoutError, match="total timeout of 0"):
            await read(client.stream_text(QUESTION))


async def test_the_total_timeout_ends_a_whole_call(kind, server, recorder):
    server.fail_next("slow=3")
    async with opened(kind, server, timeout=0.3) as client:
        with pytest.raises(LLMTimeoutError, match="total timeout of 0"):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


async def test_the_idle_and_first_token_timeouts_do_not_punish_a_whole_call(protocol, server, recorder):
    server.fail_next("slow=0.5")
    async with opened(protocol, server, timeout=Timeouts(first_token=0.1, idle=0.1)) as client:
        assert (await client.generate_text(QUESTION)).content == TEXT


async def test_a_first_token_timeout_is_tried_again(protocol, server, recorder):
    server.fail_next("stall=0")
    async with opened(protocol, server, timeout=Timeouts(first_token=0.3)) as client:
        hurry(client)
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT


async def test_a_reader_slower_than_the_idle_timeout_is_not_punished(protocol, server, recorder):
    async with opened(protocol, server, timeout=Timeouts(idle=0.2)) as client:
        pieces = []
        async for piece in client.stream_text(QUESTION):
            pieces.append(piece)
            await asyncio.sleep(0.3)
    assert "".join(pieces) == TEXT


async def test_reasoning_counts_as_progress(server, recorder):
    async with opened("openai", server, timeout=Timeouts(first_token=5)) as client:
        server.fail_next("reasoning=5")
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT


async def test_the_connect_timeout_is_named(recorder):
    # A socket that listens but never accepts, its queue full: the kernel answers no more handshakes.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        address = silent.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        timeouts = Timeouts(connect=0.3)
        async with OpenAIClient(
            "k", f"http://127.0.0.1:{address[1]}/v1", model="m", max_retries=0, timeout=timeouts
        ) as client:
            with pytest.raises(LLMTimeoutError, match="connect timeout"):
                await client.generate_text(QUESTION)
        for one in crowd:
            one.close()


# --- parameters


async def test_a_refused_parameter_is_dropped_once_and_remembered(protocol, server, recorder):
    name = {"openai": "top_p", "anthropic": "top_p", "google": "topP"}[protocol]
    server.fail_next(f"refuse={name}", times=9)
    async with opened(protocol, server) as client:
        with pytest.warns(UserWarning, match="does not take"):
            await client.generate_text(QUESTION, top_p=0.5)
        await client.generate_text(QUESTION, top_p=0.5)
    assert len(server.requests) == 3


async def test_the_other_name_of_the_limit_is_tried(server, recorder):
    server.fail_next("refuse=max_tokens", times=9)
    async with opened("openai", server) as client:
        assert (await client.generate_text(QUESTION, max_tokens=3)).content == "one two three"
    assert [("max_completion_tokens" in r.body) for r in server.requests] == [False, True]


async def test_a_chosen_temperature_is_sent(protocol, server, recorder):
    async with opened(protocol, server) as client:
        await client.generate_text(QUESTION, temperature=0.2)
    body = server.requests[-1].body
    assert body.get("generationConfig", body)["temperature"] == 0.2


async def test_a_reasoning_model_is_sent_no_temperature(server, recorder):
    async with opened("openai", server) as client:
        await client.generate_text(QUESTION, model="o3-mini")
    assert "temperature" not in server.requests[-1].body


async def test_a_chosen_temperature_that_a_model_does_not_take_warns(server, recorder):
    async with opened("openai", server) as client:
        with pytest.warns(UserWarning, match="o3-mini does not take temperature"):
            await client.generate_text(QUESTION, model="o3-mini", temperature=0.1)
    assert "temperature" not in server.requests[-1].body


async def test_further_parameters_travel_as_they_are(protocol, server, recorder):
    async with opened(protocol, server) as client:
        response = await client.generate_text(QUESTION, stop=["three"])
    assert response.content.strip() == "one two"


@pytest.mark.parametrize("messages", [[], ["text"], [{"role": "user", "content": "x"}]])
async def test_what_is_no_conversation_is_refused_before_anything_is_sent(server, recorder, messages):
    async with opened("openai", server) as client:
        with pytest.raises(InvalidRequestError):
            await client.generate_text(messages)
    assert not server.requests


async def test_what_json_cannot_say_is_refused(protocol, server, recorder):
    async with opened(protocol, server) as client:
        with pytest.raises(InvalidRequestError):
            await client.generate_text(QUESTION, metadata={"x": object()})
    assert not server.requests


# --- loops, threads, many calls


def test_a_client_works_in_one_asyncio_run_after_another(kind, server, recorder):
    client = make(kind, server)
    if kind.startswith("own "):
        pytest.skip("the user's own SDK client belongs to one loop")
    for _ in range(3):
        assert asyncio.run(client.generate_text(QUESTION)).content == TEXT
    assert recorder.statuses == ["ok"] * 3


def test_a_client_works_in_several_threads_at_once(protocol, server, recorder):
    client = make(protocol, server)
    texts = []

    def ask():
        texts.append(asyncio.run(client.generate_text(QUESTION)).content)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [TEXT] * 4


async def test_a_client_works_again_after_it_was_closed(kind, server, recorder):
    if kind.startswith("own "):
        pytest.skip("the user's own SDK client is not ours to close")
    async with opened(kind, server) as client:
        await client.generate_text(QUESTION)
        await client.close()
        assert (await client.generate_text(QUESTION)).content == TEXT


async def test_fifty_streams_at_once_are_all_whole(protocol, server, recorder):
    async with opened(protocol, server) as client:

        async def text(number):
            message = [LLMMessage("user", f"echo: {number} " + "word " * 30)]
            return "".join(await read(client.stream_text(message)))

        texts = await asyncio.gather(*map(text, range(50)))
    assert texts == [f"{number} " + "word " * 30 for number in range(50)]
    assert recorder.statuses == ["ok"] * 50


async def test_an_own_sdk_client_stays_open(server, recorder):
    async with openai.AsyncOpenAI(api_key="k", base_url=server.url("openai")) as sdk:
        async with OpenAIClient(client=sdk, model="sandbox") as client:
            await client.generate_text(QUESTION)
        assert not sdk.is_closed()


# --- the books


async def test_a_cancellation_while_the_ledger_writes_still_leaves_the_row(server, recorder):
    held = recorder.hold()
    async with opened("openai", server) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not held:  # noqa: ASYNC110 - the record comes when it comes
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorder.statuses == ["ok"]


async def test_a_recorder_whose_future_fails_does_not_cost_the_answer(server, recorder):
    held = recorder.hold()
    async with opened("openai", server) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not held:  # noqa: ASYNC110 - the record comes when it comes
            await asyncio.sleep(0.005)
        held[0].set_exception(OSError("disk full"))
        assert (await task).content == TEXT
