"""A provider with its own wire format takes a codec and a declaration, and nothing else."""

import dataclasses
import hashlib
import hmac
import json
import struct

import pytest

import llmkit
from llmkit import ConfigurationError, LLMClientError, LLMMessage
from llmkit.clients.codec_client import CodecClient
from llmkit.content.messages import Usage
from llmkit.content.schema import in_prompt
from llmkit.core import catalog
from llmkit.core.errors import BadResponseError
from llmkit.providers.attachment_limits import MB, Limits, check, written
from llmkit.providers.codec import Codec
from llmkit.providers.json_fields import as_object, as_text, loads, token_count
from llmkit.transport.base import WireRequest
from llmkit.transport.json_lines import JSONLinesReader
from tests.support.peer import Peer, http
from tests.support.provider_contract import QUESTION, ProviderContract

PRICES = '[tool.llmkit.prices."toy-large"]\ninput = 2\noutput = 8\n'


# A codec: JSON lines, its own header, its own names -----------------------------------------------------


LIMITS = Limits(name="Toy", request=MB, types=frozenset(), links=frozenset())


class ToyCodec(Codec):
    limit_fields = frozenset({"longest"})
    limit_parameters = frozenset({"longest"})
    output_limit = 300
    schema_fields = frozenset({"shape"})
    image_tokens = staticmethod(lambda size, model: 77)

    def framing(self):
        return JSONLinesReader()

    def sign(self, key, request):
        return {"x-toy-key": key.reveal()}

    def encode(self, request):
        check(request.messages, LIMITS)
        messages = request.messages if request.schema is None else in_prompt(request.messages, request.schema)
        fields = {
            "longest": request.max_tokens,
            "heat": request.temperature,
            "live": request.stream or None,
            **request.extra,
        }
        kept = {k: v for k, v in fields.items() if v is not None and k not in self.dropped(request)}
        turns = [[message.role, written(message)] for message in messages]
        return WireRequest(
            path="/talk", body={"who": request.model, "turns": turns, **kept}, stream=request.stream
        )

    def decode(self, data, answer):
        event = as_object(loads(data))
        if (used := event.get("used")) is not None:
            answer.usage = Usage(input_tokens=token_count(used[0]), output_tokens=token_count(used[1]))
            answer.finish_reason, answer.ended = "stop", True
        return as_text(event.get("say"))

    def decode_body(self, body, answer):
        if "say" not in as_object(loads(body)):
            raise BadResponseError("The answer has no text.")
        return self.decode(body, answer)


class ToyWire:
    @staticmethod
    def plain(text, before, after):
        return json.dumps({"say": text, "used": [before, after]}).encode()

    @staticmethod
    def stream(words, before, after):
        lines = [{}, *({"say": word} for word in words), {"used": [before, after]}]
        return [json.dumps(line).encode() + b"\n" for line in lines]

    @staticmethod
    def refusal(message):
        return json.dumps({"error": message}).encode()


@pytest.fixture
def declared(monkeypatch, tmp_path):
    """The table in the catalogue, and a price in the user's settings."""
    table = catalog.Provider(
        name="toy",
        codec=f"{__name__}:ToyCodec",
        key_env=("TOY_API_KEY",),
        base_url="https://api.toy.example",
        protocol="",
        models=("toy-large",),
    )
    monkeypatch.setitem(catalog.providers(), "toy", table)
    (tmp_path / "pyproject.toml").write_text(PRICES)


@pytest.mark.usefixtures("declared")
class TestDeclaredInTheCatalogue(ToyWire, ProviderContract):
    provider, model, auth = "toy", "toy-large", "x-toy-key"

    def test_its_facts_bound_a_call(self):
        from llmkit.clients.accounting.cost_bound import cost_bound
        from llmkit.providers.codec import Request

        hello = (LLMMessage("user", "Hello"),)
        given = {"messages": hello, "model": "toy-large"}
        assert cost_bound(Request(**given), "toy").output_tokens == 300
        assert cost_bound(Request(**given, extra={"longest": 50}), "toy").output_tokens == 50
        assert cost_bound(Request(**given, max_tokens=40), "toy").output_tokens == 40

    def test_its_key_and_address_are_found_as_the_table_says(self, monkeypatch):
        monkeypatch.setenv("TOY_API_KEY", "a-key-of-the-environment")
        client = llmkit.client("toy")
        assert (client.address, client.default_model()) == ("https://api.toy.example", "toy-large")

    async def test_without_a_list_of_models_the_hint_is_to_name_one(self):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(404, b"no such page")]]
            peer._model = lambda head, body: self.model
            with pytest.raises(LLMClientError, match=r"toy has no list of models, name the model: toy:MODEL"):
                await client.list_models()

    @pytest.mark.parametrize(
        ("field", "place"),
        [
            ("codec", f"{__name__}:ToyCodek"),
            ("codec", "no_such_module:ToyCodec"),
            ("codec", "ToyCodec"),
            ("codec", f"{__name__}:ToyWire"),
            ("client", "llmkit.clients.codec_client:Codeclient"),
        ],
    )
    def test_a_field_of_the_table_that_names_no_such_class_is_one_clear_error(
        self, monkeypatch, field, place
    ):
        table = dataclasses.replace(catalog.providers()["toy"], **{field: place})
        monkeypatch.setitem(catalog.providers(), "toy", table)
        with pytest.raises(ConfigurationError, match=rf"The {field} of toy .*{place}.* write {field} = "):
            llmkit.client("toy", api_key="k")

    async def test_the_sandbox_says_that_it_does_not_speak_it(self, monkeypatch):
        monkeypatch.setenv("LLMKIT_SANDBOX", "1")
        async with llmkit.client("toy:toy-large") as client:
            with pytest.raises(ConfigurationError, match=r"does not speak the wire format of toy.*base_url"):
                await client.generate_text(QUESTION)


# A package of somebody else: events with their length in front, a signature over the body -----------------


class Lengths:
    """A framing: four bytes of length, then the event."""

    documents = frozenset()

    def __init__(self):
        self._rest = b""

    def feed(self, chunk):
        self._rest += chunk
        events = []
        while len(self._rest) >= 4 and len(self._rest) >= 4 + (
            size := struct.unpack(">I", self._rest[:4])[0]
        ):
            events.append((b"", self._rest[4 : 4 + size]))
            self._rest = self._rest[4 + size :]
        return events

    def close(self):
        return []


def signature(key, body):
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


class SignedCodec(ToyCodec):
    def framing(self):
        return Lengths()

    def sign(self, key, request):
        covered = f"{request.method} {request.url}\n".encode() + request.body
        return {"x-signature": signature(key.reveal(), covered)}


class SignedClient(CodecClient):
    def __init__(self, api_key=None, base_url="https://api.signed.example", **options):
        super().__init__("signed", api_key, base_url, codec=SignedCodec(), **options)


@pytest.fixture
def registered(monkeypatch, tmp_path):
    from llmkit.core import naming

    monkeypatch.setattr(naming, "registered", {})
    (tmp_path / "pyproject.toml").write_text(PRICES)
    llmkit.register("signed", SignedClient)


@pytest.mark.usefixtures("registered")
class TestRegisteredByAnotherPackage(ToyWire, ProviderContract):
    provider, model, auth = "signed", "toy-large", "x-signature"

    @staticmethod
    def stream(words, before, after):
        return [struct.pack(">I", len(line)) + line for line in ToyWire.stream(words, before, after)]

    async def test_the_signature_covers_the_body_as_it_is_sent(self, ledger):
        async with Peer() as peer, self.client(peer) as client:
            peer.scripts[self.model] = [[http(200, self.plain("Hi", 1, 1))]]
            await client.generate_text(QUESTION)
        (head,) = peer.heads
        body = json.dumps(peer.bodies[0], separators=(",", ":")).encode()
        expected = signature("a-key-of-mine", f"POST {peer.url}/talk\n".encode() + body)
        assert f"x-signature: {expected}" in head.lower()
