"""JSON Lines: the same events, however the bytes are split."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from llmkit.transport.json_lines import JSONLinesReader


def read(*chunks: bytes) -> list[bytes]:
    reader = JSONLinesReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.close()
    assert {name for name, _ in events} <= {b""}
    return [data for _, data in events]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}\n{"a": 2}\n', [b'{"a": 1}', b'{"a": 2}']),
        (b'{"a": 1}\r\n\r\n{"a": 2}', [b'{"a": 1}', b'{"a": 2}']),
        (b"\n \n", []),
        (b"", []),
    ],
)
def test_each_line_is_an_event_and_blank_lines_are_skipped(body: bytes, expected: list[bytes]) -> None:
    assert read(body) == expected


@given(st.lists(st.sampled_from([b'{"a": "\xc3\xa9"}', b"[]", b"1"]), max_size=8), st.data())
def test_the_split_of_the_bytes_does_not_matter(lines: list[bytes], data: st.DataObject) -> None:
    body = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    chunks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(*chunks) == lines
