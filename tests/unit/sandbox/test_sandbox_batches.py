"""The Batch APIs, through the official SDKs."""

import io
import json

import anthropic
import openai
import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
from google import genai
from google.genai import errors, types
from openai.types import Batch, FileObject
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import TypeAdapter

from llmkit.sandbox import SandboxServer

DAY = 24 * 3600


@pytest.fixture
def server():
    """A server on whose clock no time passes by itself; a batch takes an hour."""
    with SandboxServer(rate=0, first_token=0, batch_seconds=3600, clock=lambda: 1_800_000_000.0) as running:
        yield running


@pytest.fixture
def slow():
    """A server whose batches take longer than any window."""
    with SandboxServer(rate=0, first_token=0, batch_seconds=100 * DAY, clock=lambda: 1.8e9) as running:
        yield running


def of_openai(server, key="x"):
    return openai.OpenAI(api_key=key, base_url=server.url("openai"), max_retries=0)


def of_anthropic(server, key="x"):
    return anthropic.Anthropic(api_key=key, base_url=server.url("anthropic"), max_retries=0)


def of_google(server, key="x"):
    options = types.HttpOptions(
        base_url=server.url("google"), retry_options=types.HttpRetryOptions(attempts=1)
    )
    return genai.Client(api_key=key, http_options=options)


def conforms(value, kind):
    """Check an object of an SDK strictly: the SDKs themselves accept anything."""
    TypeAdapter(kind).validate_python(json.loads(value.model_dump_json()))
    return value


def chat(number, model="sandbox"):
    body = {"model": model, "messages": [{"role": "user", "content": f"echo: answer {number}"}]}
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def jsonl(lines):
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def upload(client, data):
    return client.files.create(file=("rows.jsonl", data), purpose="batch")


def begin(client, lines, endpoint="/v1/chat/completions", **more):
    file = upload(client, jsonl(lines))
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"job": "j1"}, **more
    )


def lines_of(client, file):
    return [json.loads(line) for line in client.files.content(file).text.splitlines()]


def test_openai_uploads_runs_and_answers_in_another_order(server):
    with of_openai(server) as client:
        file = conforms(upload(client, jsonl(map(chat, range(3)))), FileObject)
        assert (file.purpose, file.filename) == ("batch", "rows.jsonl")
        begun = conforms(begin(client, map(chat, range(3))), Batch)
        assert (begun.status, begun.metadata, begun.request_counts.total) == ("validating", {"job": "j1"}, 3)
        server.advance(1300)
        running = conforms(client.batches.retrieve(begun.id), Batch)
        assert (running.status, running.request_counts.completed) == ("in_progress", 1)
        server.advance(2300)
        done = conforms(client.batches.retrieve(begun.id), Batch)
        assert (done.status, done.request_counts.completed, done.error_file_id) == ("completed", 3, None)
        lines = lines_of(client, done.output_file_id)
    assert [line["custom_id"] for line in lines] == ["row-2", "row-1", "row-0"]
    answer = TypeAdapter(ChatCompletion).validate_python(lines[2]["response"]["body"])
    assert answer.choices[0].message.content == "answer 0"
    assert done.usage.total_tokens == 3 * answer.usage.total_tokens


def test_openai_answers_responses_too(server):
    body = {"model": "sandbox", "input": "echo: hi"}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body}
    with of_openai(server) as client:
        begun = begin(client, [line], "/v1/responses")
        server.advance(3600)
        done = client.batches.retrieve(begun.id)
        answer = lines_of(client, done.output_file_id)[0]["response"]["body"]
    assert Response.model_validate(answer).output_text == "hi"
    assert done.usage.output_tokens == 1


def test_openai_puts_requests_that_fail_into_the_error_file(server):
    server.fail_in_batch("429")
    with of_openai(server) as client:
        begun = begin(client, map(chat, range(2)))
        server.advance(3600)
        done = conforms(client.batches.retrieve(begun.id), Batch)
        (wrong,) = lines_of(client, done.error_file_id)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 1, 1)
    assert (wrong["custom_id"], wrong["response"]["status_code"], wrong["error"]) == ("row-0", 429, None)
    assert wrong["response"]["body"]["error"]["code"] == "rate_limit_exceeded"


def test_openai_expires_what_is_not_done_in_a_day(slow):
    with of_openai(slow) as client:
        begun = begin(client, map(chat, range(200)))
        slow.advance(DAY)
        done = conforms(client.batches.retrieve(begun.id), Batch)
        assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("expired", 2, 198)
        late = lines_of(client, done.error_file_id)
    assert len(late) == 198
    assert {line["error"]["code"] for line in late} == {"batch_expired"}


def test_openai_cancels_and_keeps_what_was_done(server):
    with of_openai(server) as client:
        begun = begin(client, map(chat, range(4)))
        server.advance(1800)
        assert conforms(client.batches.cancel(begun.id), Batch).status == "cancelling"
        done = conforms(client.batches.retrieve(begun.id), Batch)
        assert (done.status, done.request_counts.completed) == ("cancelled", 2)
        assert len(lines_of(client, done.output_file_id)) == 2
        assert {line["error"]["code"] for line in lines_of(client, done.error_file_id)} == {"batch_cancelled"}
        with pytest.raises(openai.BadRequestError, match="status 'cancelled'"):
            client.batches.cancel(begun.id)


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty_file", None),
        (b"{nonsense\n", "invalid_json_line", 1),
        (jsonl([chat(0), chat(0)]), "duplicate_custom_id", 2),
        (jsonl([chat(0), chat(1, "sandbox-mini")]), "mismatched_model", None),
        (jsonl([{**chat(0), "url": "/v1/responses"}]), "invalid_url", 1),
        (jsonl([{**chat(0), "method": "GET"}]), "invalid_method", 1),
        (jsonl([{"custom_id": "a"}]), "missing_required_parameter", 1),
    ],
)
def test_openai_fails_a_batch_whose_file_is_wrong(server, data, code, line):
    with of_openai(server) as client:
        made = client.batches.create(
            input_file_id=upload(client, data).id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        failed = conforms(client.batches.retrieve(made.id), Batch)
    assert (failed.status, failed.output_file_id) == ("failed", None)
    assert (failed.errors.data[0].code, failed.errors.data[0].line) == (code, line)


def test_openai_lists_the_batches_of_a_key_by_pages(server):
    with of_openai(server) as client, of_openai(server, "y") as other:
        made = [begin(client, [chat(0)]).id for _ in range(3)]
        assert [one.id for one in client.batches.list(limit=2)] == made[::-1]
        assert list(other.batches.list()) == []
        with pytest.raises(openai.NotFoundError):
            other.batches.retrieve(made[0])


def test_openai_files_can_be_listed_and_deleted(server):
    with of_openai(server) as client:
        file = upload(client, jsonl([chat(0)]))
        assert [one.id for one in client.files.list(purpose="batch")] == [file.id]
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            client.files.content(file.id)


def params(number, model="sandbox", **more):
    asked = [{"role": "user", "content": f"echo: answer {number}"}]
    return {"custom_id": f"row-{number}", "params": {"model": model, "max_tokens": 50, "messages": asked}}


def test_anthropic_runs_and_answers_in_another_order(server):
    with of_anthropic(server) as client:
        begun = conforms(client.messages.batches.create(requests=list(map(params, range(3)))), MessageBatch)
        assert (begun.processing_status, begun.request_counts.processing) == ("in_progress", 3)
        with pytest.raises(anthropic.AnthropicError, match="Has it finished processing"):
            client.messages.batches.results(begun.id)
        server.advance(3600)
        done = conforms(client.messages.batches.retrieve(begun.id), MessageBatch)
        assert (done.processing_status, done.request_counts.succeeded) == ("ended", 3)
        results = list(client.messages.batches.results(begun.id))
    assert [conforms(one, MessageBatchIndividualResponse).custom_id for one in results] == [
        "row-2",
        "row-1",
        "row-0",
    ]
    message = results[0].result.message
    assert (message.content[0].text, message.usage.service_tier) == ("answer 2", "batch")


def test_anthropic_marks_requests_that_fail(server):
    requests = [params(0), params(1, "no-such-model"), params(2)]
    server.fail_in_batch("529")
    with of_anthropic(server) as client:
        begun = client.messages.batches.create(requests=requests)
        server.advance(3600)
        results = {
            one.custom_id: conforms(one, MessageBatchIndividualResponse).result
            for one in client.messages.batches.results(begun.id)
        }
        counts = client.messages.batches.retrieve(begun.id).request_counts
    assert results["row-0"].error.error.type == "overloaded_error"
    assert results["row-1"].error.error.type == "not_found_error"
    assert results["row-2"].type == "succeeded"
    assert (counts.succeeded, counts.errored, counts.processing) == (1, 2, 0)


def test_anthropic_expires_what_is_not_done_in_a_day(slow):
    with of_anthropic(slow) as client:
        begun = client.messages.batches.create(requests=list(map(params, range(200))))
        slow.advance(DAY)
        counts = client.messages.batches.retrieve(begun.id).request_counts
        kinds = [one.result.type for one in client.messages.batches.results(begun.id)]
    assert (counts.succeeded, counts.expired) == (2, 198)
    assert (kinds.count("succeeded"), kinds.count("expired")) == (2, 198)


def test_anthropic_cancels_and_keeps_what_was_done(server):
    with of_anthropic(server) as client:
        begun = client.messages.batches.create(requests=list(map(params, range(4))))
        server.advance(1800)
        asked = conforms(client.messages.batches.cancel(begun.id), MessageBatch)
        assert asked.processing_status == "canceling"
        done = client.messages.batches.retrieve(begun.id)
        assert (done.processing_status, done.request_counts.canceled) == ("ended", 2)
        assert client.messages.batches.delete(begun.id).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(begun.id)


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        ([], "at least 1 item"),
        ([params(0), params(0)], "must be unique"),
        ([{**params(0), "custom_id": "a b"}], "custom_id: String should match"),
        ([{"custom_id": "a"}], "params: Field required"),
    ],
)
def test_anthropic_refuses_a_batch_that_is_wrong(server, requests, why):
    with of_anthropic(server) as client, pytest.raises(anthropic.BadRequestError, match=why):
        client.messages.batches.create(requests=requests)


def test_anthropic_lists_the_batches_of_a_key_by_pages(server):
    with of_anthropic(server) as client, of_anthropic(server, "y") as other:
        made = [client.messages.batches.create(requests=[params(0)]).id for _ in range(3)]
        assert [one.id for one in client.messages.batches.list(limit=2)] == made[::-1]
        assert list(other.messages.batches.list()) == []


def inlined(number, **config):
    content = types.Content(role="user", parts=[types.Part(text=f"echo: answer {number}")])
    return types.InlinedRequest(
        contents=[content],
        metadata={"key": f"row-{number}"},
        config=types.GenerateContentConfig(**config) if config else None,
    )


def test_google_answers_inlined_requests_in_their_order(server):
    with of_google(server) as client:
        requests = [inlined(0, max_output_tokens=1), inlined(1)]
        begun = client.batches.create(model="sandbox", src=requests, config={"display_name": "job j1"})
        assert (begun.state.name, begun.display_name) == ("JOB_STATE_PENDING", "job j1")
        assert client.batches.get(name=begun.name).state.name == "JOB_STATE_RUNNING"
        server.advance(3600)
        done = client.batches.get(name=begun.name)
    assert (done.state.name, done.model) == ("JOB_STATE_SUCCEEDED", "models/sandbox")
    answers = done.dest.inlined_responses
    assert [one.response.text for one in answers] == ["answer", "answer 1"]
    assert [one.metadata for one in answers] == [{"key": "row-0"}, {"key": "row-1"}]


def test_google_takes_a_file_and_answers_in_a_file(server):
    contents = [{"parts": [{"text": "echo: hi"}]}]
    lines = [{"key": key, "request": {"contents": contents}} for key in ("a", "b")]
    with of_google(server) as client:
        config = {"mime_type": "jsonl", "display_name": "rows"}
        file = client.files.upload(file=io.BytesIO(jsonl(lines)), config=config)
        assert (file.state.name, file.size_bytes) == ("ACTIVE", len(jsonl(lines)))
        server.fail_in_batch("503")
        begun = client.batches.create(model="sandbox", src=file.name)
        server.advance(3600)
        done = client.batches.get(name=begun.name)
        data = client.files.download(file=done.dest.file_name)
        second, first = [json.loads(line) for line in data.splitlines()]
        client.files.delete(name=done.dest.file_name)
        with pytest.raises(errors.ClientError, match="may not exist"):
            client.files.get(name=done.dest.file_name)
    assert first == {"key": "a", "error": {"code": 14, "message": "The sandbox was asked for status 503."}}
    assert types.GenerateContentResponse.model_validate(second["response"]).text == "hi"


def test_google_marks_requests_that_fail(server):
    server.fail_in_batch("429;code=RESOURCE_EXHAUSTED;message=Too much.")
    with of_google(server) as client:
        begun = client.batches.create(model="sandbox", src=[inlined(0), inlined(1)])
        server.advance(3600)
        first, second = client.batches.get(name=begun.name).dest.inlined_responses
    assert (first.error.code, first.error.message, first.response) == (8, "Too much.", None)
    assert (second.error, second.response.text) == (None, "answer 1")


def test_google_expires_after_two_days_without_results(slow):
    with of_google(slow) as client:
        begun = client.batches.create(model="sandbox", src=[inlined(0), inlined(1)])
        slow.advance(2 * DAY)
        done = client.batches.get(name=begun.name)
    assert (done.state.name, done.dest) == ("JOB_STATE_EXPIRED", None)


def test_google_cancels_deletes_and_lists(server):
    with of_google(server) as client, of_google(server, "y") as other:
        made = [client.batches.create(model="sandbox", src=[inlined(0), inlined(1)]).name for _ in range(3)]
        assert [one.name for one in client.batches.list(config={"page_size": 2})] == made[::-1]
        assert list(other.batches.list()) == []
        server.advance(1800)
        client.batches.cancel(name=made[0])
        done = client.batches.get(name=made[0])
        assert done.state.name == "JOB_STATE_CANCELLED"
        assert [one.error and one.error.code for one in done.dest.inlined_responses] == [None, 1]
        client.batches.delete(name=made[0])
        with pytest.raises(errors.ClientError):
            client.batches.get(name=made[0])


def test_google_fails_a_batch_whose_file_is_wrong(server):
    with of_google(server) as client:
        file = client.files.upload(file=io.BytesIO(b"{}\n"), config={"mime_type": "jsonl"})
        begun = client.batches.create(model="sandbox", src=file.name)
        assert client.batches.get(name=begun.name).state.name == "JOB_STATE_FAILED"


def test_every_request_of_a_batch_is_among_the_requests_seen(server):
    with of_openai(server) as client:
        begun = begin(client, map(chat, range(3)))
        server.advance(3600)
        for _ in range(2):
            client.batches.retrieve(begun.id)
    seen = [one for one in server.requests if one.method == "BATCH"]
    assert [(one.model, one.status, one.outcome) for one in seen] == [("sandbox", 200, "done")] * 3


@pytest.mark.parametrize("key", ["invalid"])
def test_an_invalid_key_and_faults_hold_for_the_batch_apis_too(server, key):
    with of_openai(server, key) as client, pytest.raises(openai.AuthenticationError):
        client.batches.list()
    server.fail_next("503")
    with of_openai(server) as client, pytest.raises(openai.InternalServerError):
        client.batches.list()
