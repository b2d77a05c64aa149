"""A server that repeats the key: in every spelling, and in what a debugger shows of a failed call."""

import traceback
from urllib.parse import quote

import pytest

from llmkit import LLMClientError
from llmkit.core.redaction import Secret, redact
from tests.faults.test_faults import CANARY, QUESTION, client_of
from tests.support.dialects import DIALECTS, dump
from tests.support.peer import Peer, events, http

SPELLINGS = {
    "JSON": lambda char: f"\\u{ord(char):04x}",
    "a URL": lambda char: f"%{ord(char):02X}",
    "a URL in a URL": lambda char: quote(f"%{ord(char):02X}"),
    "HTML": lambda char: f"&#{ord(char)};",
    "HTML in hex": lambda char: f"&#x{ord(char):x};",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_whose_every_character_is_escaped_is_blanked_out(spelling):
    key = Secret("sk-proj-Cn4ry+q/7Zx=Yw0987654321abcDEF", "a test")
    written = "".join(map(SPELLINGS[spelling], key.reveal()))
    assert redact(f"Bad key {written} given.") == "Bad key [redacted] given."


@pytest.mark.product
@pytest.mark.usefixtures("quiet", "recorder")
@pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_no_variable_of_a_traceback_holds_a_key_that_the_server_repeats(protocol, own):
    d = DIALECTS[protocol]
    answers = {
        "garbage": http(200, f"no JSON {CANARY}".encode()),
        "event": events(d.start() + d.piece("one") + b"data: {oops " + CANARY.encode() + b"\n\n"),
        "error": events(
            d.start() + d.piece("one") + b"data: " + dump({"error": {"message": CANARY}}) + b"\n\n"
        ),
        "words": f"HTTP/1.1 401 {CANARY}\r\nContent-Length: 0\r\n\r\n".encode(),
    }
    async with Peer() as peer, client_of(d, peer.url, own=own) as client:
        peer.scripts = {name: [[answer]] for name, answer in answers.items()}
        for name in answers:
            with pytest.raises(LLMClientError) as caught:
                async for _ in client.stream_text(QUESTION, name):
                    pass
            links = [caught.value, caught.value.__cause__]
            shown = "".join(
                traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
            )
            mine = "".join(line for line in shown.splitlines(keepends=True) if "answers = " not in line)
            assert CANARY not in mine + "".join(repr(vars(link)) for link in links if link), name
