"""Whatever a server writes, a codec returns text or raises an exception of ours."""

import contextlib
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import LLMMessage, attach
from llmkit.content.schema import Schema
from llmkit.core.errors import BadResponseError, LLMClientError
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.assembly import assembled
from llmkit.providers.codec import Answer, Request
from llmkit.providers.error_mapping import retry_after
from llmkit.providers.google import GoogleCodec
from llmkit.providers.json_fields import loads
from llmkit.providers.openai_chat import OpenAICodec
from tests.support.dialects import DIALECTS, dump, quota_failure, reason, retry_info
from tests.support.examples import examples

CODECS = {"openai": OpenAICodec(), "anthropic": AnthropicCodec(), "google": GoogleCodec()}
NUMBERS = st.one_of(st.integers(), st.floats(), st.just(10**30))
SCALARS = st.one_of(
    st.none(), st.booleans(), NUMBERS, st.text(max_size=8), st.sampled_from(["9" * 5000, "\ud83c"])
)
ODD = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2), max_leaves=5)  # fmt: skip  # noqa: E501


def deep(levels=900):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def places(value, path=()):
    """Return the path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def put(value, path, new):
    """Return a JSON value with another one at a path."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def samples(d):
    """Documents of a protocol: whole answers, events and errors."""
    frames = (d.start() + d.piece("Hi") + d.thinking + d.null + d.end()).replace(b"\r", b"").split(b"\n\n")
    events = [json.loads(frame.partition(b"data: ")[2]) for frame in frames if b"{" in frame]
    kind = {"openai": ("x", "y"), "anthropic": ("x",), "google": ("X", retry_info("7s"), reason("R"), quota_failure("PerDay"))}  # fmt: skip  # noqa: E501
    return [d.whole("Hi"), d.error(429, "slow", *kind[d.name]), *events]


def reads(codec, data):
    """Read data in every way that the codec has; only exceptions of ours may come."""
    for read in (codec.decode, codec.decode_body):
        answer = Answer()
        with contextlib.suppress(LLMClientError):
            assert isinstance(read(data, answer), str)
        assert isinstance(assembled(replace(answer, codec=codec), "someone"), tuple)
        counts = () if answer.usage is None else (answer.usage.input_tokens, answer.usage.output_tokens)
        assert all(count is None or 0 <= count <= 10**13 for count in counts)
    error = codec.classify(429, {}, data)
    assert isinstance(error, LLMClientError)
    assert str(error).isprintable()


@pytest.mark.parametrize("protocol", CODECS)
@given(data=st.data())
@examples(300)
def test_any_value_at_any_place_is_survived(protocol, data):
    sample = data.draw(st.sampled_from(samples(DIALECTS[protocol])))
    for _ in range(data.draw(st.integers(1, 3))):
        sample = put(sample, data.draw(st.sampled_from(places(sample))), data.draw(ODD))
    reads(CODECS[protocol], json.dumps(sample).encode())


@pytest.mark.parametrize("protocol", CODECS)
def test_a_nest_at_any_place_is_survived(protocol):
    for sample in samples(DIALECTS[protocol]):
        for path in places(sample):
            reads(CODECS[protocol], json.dumps(put(sample, path, deep())).encode())


@pytest.mark.parametrize("protocol", CODECS)
def test_a_document_that_is_cut_anywhere_is_survived(protocol):
    for sample in samples(DIALECTS[protocol]):
        whole = dump(sample)
        for end in range(0, len(whole), 3):
            reads(CODECS[protocol], whole[:end])


@pytest.mark.parametrize("protocol", CODECS)
@given(raw=st.binary(max_size=40))
@examples(100)
def test_any_bytes_are_survived(protocol, raw):
    reads(CODECS[protocol], raw)


IMAGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x09"
FILES = st.sampled_from([attach(IMAGE, "a.png"), attach(b"%PDF-1.4", "a.pdf"), attach(b"```\ntext", "a.md")])
SCHEMAS = st.sampled_from(
    [None, Schema(), Schema({"type": "object", "properties": {"a": {"type": "string"}}})]
)


@pytest.mark.parametrize("protocol", CODECS)
@given(text=st.text(min_size=1).filter(str.strip), files=st.lists(FILES, max_size=3), schema=SCHEMAS)
def test_whatever_is_attached_and_asked_for_is_json_with_all_its_bytes(protocol, text, files, schema):
    request = Request(messages=(LLMMessage("user", text, files),), model="m", schema=schema)
    sent = json.dumps(CODECS[protocol].encode(request).body, ensure_ascii=False)
    assert json.dumps(text, ensure_ascii=False)[1:-1] in sent
    for one in files:
        assert sent.count(one.base64) == (0 if one.kind == "text" else files.count(one))
        assert one.kind != "text" or "```\\ntext" in sent


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "x"]), st.integers(-1, 99), st.sampled_from(["Oct", "oct", "X"]),
    st.integers(-1, 99999), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99),
    st.sampled_from(["GMT", "+0100", "+99999999", "-9999", "x", ""]),
)  # fmt: skip


@given(st.one_of(DATES, st.text(max_size=20), st.floats().map(str), st.integers().map(str)))
@examples(500)
def test_any_hint_to_wait_is_seconds_or_nothing(value):
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: value})
        assert wait is None or 0 <= wait < float("inf")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>", "a web page, 'Sign in'."),
        (b"\n<html><body>Hello</body></html>", "a web page."),
    ],
)
def test_a_web_page_in_place_of_json_is_called_one_and_not_quoted(page, said):
    with pytest.raises(BadResponseError, match=re.escape(f"did not send JSON but {said}")):
        loads(page)
