"""What must hold for every provider: subclass `ProviderContract` and describe how the provider answers."""

import asyncio
import base64
import contextlib
import warnings

import pytest

import llmkit
from llmkit import (
    AuthenticationError,
    BudgetExceededError,
    InvalidRequestError,
    Ledger,
    LLMMessage,
    RateLimitError,
    StreamInterruptedError,
    prices,
    records,
)
from llmkit.providers.formats import codec_of
from tests.support.callers import hurry, read
from tests.support.peer import Peer, http, opening

QUESTION = [LLMMessage("system", "Be brief."), LLMMessage("user", "Hello, how are you?")]
WORDS = ["It ", "is ", "a ", "fine ", "day."]
TEXT = "".join(WORDS)
IMAGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x09"


def only(ledger):
    """Return the one row of a ledger."""
    (row,) = ledger.df.itertuples()
    return row


def leaves(body):
    """Return every value in a JSON document that is no object or list."""
    if not isinstance(body, (dict, list)):
        return [body]
    parts = body.values() if isinstance(body, dict) else body
    return [leaf for part in parts for leaf in leaves(part)]


class ProviderContract:
    """The tests of one provider against a server on loopback.

    Attributes:
        provider: What stands before the colon.
        model: A model that has a price.
        base_path: What a base URL ends with.
        auth: The header that holds the key `a-key-of-mine`, or is made of it.
    """

    provider: str
    model: str
    base_path = ""
    auth = "authorization"

    @staticmethod
    def plain(text, before, after):
        """Return the body of a whole answer with its usage."""
        raise NotImplementedError

    @staticmethod
    def stream(words, before, after):
        """Return the parts of a streamed answer: its head, one for each word, and its end with the usage."""
        raise NotImplementedError

    @staticmethod
    def refusal(message):
        """Return the body of an error status."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, tmp_path):
        ledger = Ledger(tmp_path / "ledger.sqlite")
        earlier = records.set_recorder(lambda: ledger)
        yield ledger
        records.set_recorder(earlier)
        ledger.close()

    def client(self, peer, **options):
        name = f"{self.provider}:{self.model}"
        return llmkit.client(name, api_key="a-key-of-mine", base_url=peer.url + self.base_path, **options)

    def price(self, before, after):
        usage = llmkit.Usage(input_tokens=before, output_tokens=after)
        return prices.price(self.provider, (self.model,), usage).nanos

    def streamed(self, before=7, after=5, *, end=True):
        parts = self.stream(WORDS, before, after)
        return [opening(), *(parts if end else parts[:3])]

    async def test_a_whole_answer_has_text_usage_and_a_row_with_its_price(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            answer = await client.generate_text(QUESTION, max_tokens=50)
        assert (answer.content, answer.usage_source) == (TEXT, "reported")
        assert (answer.prompt_tokens, answer.completion_tokens) == (7, 5)
        row = only(ledger)
        assert (row.provider, row.model, row.status) == (self.provider, self.model, "ok")
        assert (row.input_tokens, row.output_tokens, row.cost_usd) == (7, 5, self.price(7, 5) / 10**9)

    async def test_a_stream_has_the_same_text_usage_and_row(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [self.streamed()]
            stream = client.stream_text(QUESTION)
            assert await read(stream) == WORDS
        assert (stream.usage.input_tokens, stream.usage.output_tokens) == (7, 5)
        row = only(ledger)
        assert (row.status, row.usage_source, row.cost_usd) == ("ok", "reported", self.price(7, 5) / 10**9)

    async def test_a_stream_is_read_however_it_is_cut(self, ledger):
        whole = b"".join(self.stream(WORDS, 7, 5))
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[opening(), *(whole[i : i + 3] for i in range(0, len(whole), 3))]]
            assert "".join(await read(client.stream_text(QUESTION))) == TEXT

    async def test_a_stream_that_breaks_off_says_so_and_keeps_its_text(self, ledger):
        async with Peer() as peer, self.client(peer, max_retries=0) as client:
            peer.scripts[self.model] = [self.streamed(end=False)]
            with pytest.raises(StreamInterruptedError) as caught:
                await read(client.stream_text(QUESTION))
        assert TEXT.startswith(caught.value.partial)
        row = only(ledger)
        assert row.status == "interrupted"

    @pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (429, RateLimitError)])
    async def test_an_error_status_is_an_exception_with_the_servers_words(self, ledger, status, kind):
        async with Peer() as peer, self.client(peer, max_retries=0) as client:
            peer.scripts[self.model] = [[http(status, self.refusal("not in this way"))]]
            with pytest.raises(kind, match="not in this way"):
                await client.generate_text(QUESTION)
        row = only(ledger)
        assert (row.status, row.error) == ("error", kind.__name__)
        assert ledger.total().usd == 0

    async def test_an_overloaded_server_is_asked_again(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            hurry(client)
            peer.scripts[self.model] = [
                [http(503, self.refusal("busy"))],
                [http(200, self.plain(TEXT, 7, 5))],
            ]
            assert (await client.generate_text(QUESTION)).attempts == 2

    async def test_the_key_goes_out_in_its_header_and_nowhere_else(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            await client.generate_text(QUESTION)
        (head,) = peer.heads
        lines = [line for line in head.lower().split("\r\n") if "a-key-of-mine" in line]
        assert all(line.startswith(f"{self.auth}:") for line in lines)
        assert f"\r\n{self.auth}:" in head.lower()
        assert "a-key-of-mine" not in str(peer.bodies)

    async def test_a_budget_holds_back_what_may_cost_more(self, ledger):
        most = self.price(10**4, 10**4)
        ledger.budget(daily=most / 10**9)
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            await client.generate_text(QUESTION, max_tokens=100)
            with pytest.raises(BudgetExceededError):
                await client.generate_text(QUESTION, max_tokens=10**6)
        assert len(peer.bodies) == 1

    async def test_a_replayed_answer_is_the_recorded_one_and_sends_nothing(self, ledger, tmp_path):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            with llmkit.replay(tmp_path / "demo.replay"):
                first = await client.generate_text(QUESTION)
                again = await client.generate_text(QUESTION)
                pieces = await read(client.stream_text(QUESTION))
        assert (first.replayed, again.replayed, "".join(pieces)) == (False, True, TEXT)
        assert len(peer.bodies) == 1

    async def test_calls_side_by_side_do_not_mix(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [self.streamed()]
            texts = await asyncio.gather(*(read(client.stream_text(QUESTION)) for _ in range(8)))
        assert texts == [WORDS] * 8
        assert len(ledger.df) == 8

    @pytest.mark.parametrize(("name", "value"), [("temperature", 0.321), ("max_tokens", 54_321)])
    async def test_a_parameter_that_is_set_is_sent_or_refused_or_left_out_with_a_warning(
        self, ledger, name, value
    ):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            with contextlib.suppress(InvalidRequestError), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                await client.generate_text(QUESTION, **{name: value})
        warned = any(f"does not support {name}" in str(warning.message) for warning in caught)
        assert warned or all(value in leaves(body) for body in peer.bodies)

    async def test_a_schema_reaches_the_server(self, ledger):
        schema = {"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]}
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain('{"capital": "Oslo"}', 7, 5))]]
            await client.generate_text(QUESTION, schema=schema)
        assert "capital" in str(peer.bodies)

    async def test_an_attached_text_reaches_the_server(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            await client.generate_text([LLMMessage("user", "Sum up.", (llmkit.attach(b"a,b", "t.csv"),))])
        assert "a,b" in str(peer.bodies)

    async def test_an_attached_image_reaches_the_server_or_is_refused(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain(TEXT, 7, 5))]]
            with contextlib.suppress(InvalidRequestError):
                await client.generate_text([LLMMessage("user", "Describe it.", (llmkit.attach(IMAGE),))])
        assert all(base64.b64encode(IMAGE).decode() in str(body) for body in peer.bodies)

    def test_its_wire_format_is_known_by_its_name(self, ledger):
        assert codec_of(self.provider).__name__ != "Codec"
