"""Server-sent events, however they are written and cut."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.codec import Answer
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.transport.sse import SSEReader
from tests.support.dialects import DIALECTS
from tests.support.examples import examples

PIECES = st.sampled_from(
    [
        b"data: x", b"data:y", b"data", b"data: ", b"data:  two blanks", b": note", b":", b"event: ping",
        b"event", b"id: 1", b"retry: 5", b"data: a: b", b"Data: no", b" data: no",
        b"data: \xe2\x80\xa8", b"\xef\xbb\xbf",
        b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"other: z", b"data: \xc3\xbc\xf0\x9f\x8c\x8d",
    ]
)  # fmt: skip
STREAMS = st.lists(PIECES, max_size=25).map(b"".join)


def read(*chunks):
    reader = SSEReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.close()


def datas(*chunks):
    return [data for _, data in read(*chunks)]


def by_the_book(stream):
    """WHATWG HTML 9.2.6, word for word; an event without its blank line counts, and a bare object."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines, line, place = [], b"", 0
    while place < len(stream):
        byte = stream[place : place + 1]
        place += 1
        if byte == b"\r" and stream[place : place + 1] == b"\n":
            place += 1
        if byte in b"\r\n":
            lines.append(line)
            line = b""
        else:
            line += byte
    events, data, kind, block = [], b"", b"", []
    for full in [*lines, line, b""]:
        if not full:
            if data:
                events.append((kind, data[:-1]))
            elif block and block[0].startswith(b"{"):  # as Gemini writes an error inside a stream
                events.append((b"", b"\n".join(block)))
            data, kind, block = b"", b"", []
            continue
        block.append(full)
        if full.startswith(b":"):
            continue
        field, _, value = full.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"event":
            kind = value
        elif field == b"data":
            data += value + b"\n"
    return events


def test_an_event_is_its_name_and_its_data():
    assert read(b"event: ping\ndata: {}\n\n") == [(b"ping", b"{}")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_as_they_like(end):
    assert datas(b"data: 1", end, end, b"data: 2", end, end) == [b"1", b"2"]


def test_line_ends_may_be_mixed():
    assert datas(b"data: 1\r\n\ndata: 2\r\rdata: 3\n\r\n") == [b"1", b"2", b"3"]


def test_a_crlf_that_is_cut_in_two_is_one_line_end():
    assert datas(b"data: 1\r", b"\n", b"data: 2\r", b"\n\r", b"\n") == [b"1\n2"]


def test_an_empty_chunk_between_a_cr_and_its_lf_changes_nothing():
    assert datas(b"data: 1\r", b"", b"\ndata: 2\r\n\r\n") == [b"1\n2"]


def test_a_cr_at_the_end_of_a_chunk_ends_the_line_at_once():
    reader = SSEReader()
    assert reader.feed(b"data: 1\r\r") == [(b"", b"1")]


def test_the_blank_after_the_colon_may_be_missing():
    assert datas(b"data:1\n\ndata:  2\n\n") == [b"1", b" 2"]


def test_the_lines_of_one_event_are_joined():
    assert datas(b"data: {\ndata: }\n\n") == [b"{\n}"]


def test_a_data_line_may_be_empty():
    assert datas(b"data\n\n", b"data:\n\n", b"data: a\ndata\n\n") == [b"", b"", b"a\n"]


def test_an_event_without_data_is_none():
    assert read(b"event: ping\n\n: note\n\nid: 7\nretry: 10\n\n\n\n") == []


def test_comments_ids_and_unknown_fields_are_passed_over():
    assert datas(b": note\nid: 7\nretry: 10\nother: x\ndata: 1\n\n") == [b"1"]


@pytest.mark.parametrize("cut", range(4))
def test_a_byte_order_mark_is_dropped_wherever_it_is_cut(cut):
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    assert datas(stream[:cut], stream[cut:]) == [b"1"]


def test_only_the_first_byte_order_mark_is_one():
    assert datas(b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\ndata: \xef\xbb\xbf\n\n") == [b"\xef\xbb\xbf"]


def test_a_missing_last_blank_line_does_not_lose_the_event():
    assert datas(b"data: 1\n\ndata: 2") == [b"1", b"2"]


def test_line_separators_of_unicode_are_text():
    text = "a\u2028b\u2029c\x85d\x0be\x0cf".encode()
    assert datas(b"data: " + text + b"\n\n") == [text]


def test_an_event_comes_as_soon_as_it_is_whole():
    reader = SSEReader()
    assert reader.feed(b"data: 1\n") == []
    assert reader.feed(b"\nda") == [(b"", b"1")]
    assert reader.feed(b"ta: 2\n\n") == [(b"", b"2")]


def test_a_large_event_in_small_pieces_is_whole():
    data = b"x" * 200_000
    stream = b"data: " + data + b"\n\n"
    assert datas(*(stream[i : i + 997] for i in range(0, len(stream), 997))) == [data]


@given(STREAMS)
@examples(500)
def test_it_reads_what_the_standard_reads(stream):
    assert read(stream) == by_the_book(stream)


@given(STREAMS, st.data())
@examples(500)
def test_where_the_chunks_are_cut_does_not_matter(stream, data):
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(*chunks) == read(stream) == read(*(stream[i : i + 1] for i in range(len(stream))))


@given(st.binary(max_size=60))
@examples(300)
def test_any_bytes_are_read_as_the_standard_reads_them(stream):
    assert read(stream) == by_the_book(stream)


# --- framings of whole streams, through the codecs

CODECS = {"openai": OpenAICodec(), "anthropic": AnthropicCodec(), "google": GoogleCodec()}
NOISE = st.lists(
    st.sampled_from([": note", ":", "id: 7", "id", "retry: 5", "other: x", "retry", "Data: no"]), max_size=2
)


@st.composite
def framed(draw, protocol):
    """A stream of a protocol, framed in one of the legal ways and cut anywhere; the bare events, too."""
    dialect = DIALECTS[protocol]
    texts = draw(st.lists(st.text(min_size=1, max_size=12), max_size=6))
    stream = dialect.start() + b"".join(map(dialect.piece, texts)) + dialect.end()
    events = [line[6:] for line in re.split(rb"\r?\n", stream) if line.startswith(b"data: ")]
    ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
    one = draw(st.one_of(st.none(), ends))  # the same line end everywhere, or a mixture
    end = ends if one is None else st.just(one)
    out = [draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))]
    for event in events:
        lines = draw(broken_up(event))
        blank = draw(st.sampled_from([b"", b" "]))
        frame = [b"data:" + blank + line for line in lines]
        if draw(st.booleans()):
            frame.insert(draw(st.integers(0, len(frame))), b"event: x")
        for noise in draw(NOISE):
            frame.insert(draw(st.integers(0, len(frame))), noise.encode())
        for line in frame:
            out += [line, draw(end)]
        # A CR and an LF would be one line end: the blank line ends as the line before it.
        out += [out[-1]] * draw(st.integers(1, 2))
    stream = b"".join(out)
    if draw(st.booleans()):
        stream = stream.rstrip(b"\r\n")
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    return texts, events, [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@st.composite
def broken_up(draw, event):
    """The data of an event in one line or several: between tokens JSON takes a line end."""
    if not event.startswith(b"{"):
        return [event]
    value = json.loads(event)
    indent = draw(st.sampled_from([None, None, 0, 1]))
    return json.dumps(value, indent=indent, ensure_ascii=draw(st.booleans())).encode().split(b"\n")


def decoded(protocol, events):
    """What a codec makes of events: the text, and what it knows of the answer."""
    answer = Answer()
    text = "".join([CODECS[protocol].decode(data, answer) for data in events])
    return text, answer


def told(protocol, chunks):
    """What becomes of the bytes of a stream."""
    reader = SSEReader()
    events = [data for chunk in chunks for _, data in reader.feed(chunk)]
    return decoded(protocol, events + [data for _, data in reader.close()])


def check_framing(protocol, stream):
    texts, events, chunks = stream
    truth = decoded(protocol, events)
    text, answer = told(protocol, chunks)
    assert text == "".join(texts)
    assert (text, answer) == truth
    assert (answer.ended, answer.finish_reason) == (True, "stop")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 9)


@pytest.mark.parametrize("protocol", CODECS)
@given(data=st.data())
@examples(300)
def test_a_legal_framing_changes_nothing(protocol, data):
    check_framing(protocol, data.draw(framed(protocol)))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("protocol", CODECS)
@given(data=st.data())
@settings(max_examples=10_000)
def test_a_legal_framing_changes_nothing_10000_times(protocol, data):
    check_framing(protocol, data.draw(framed(protocol)))
