"""Hostile prompts, names and parameters: sent exactly, or refused before anything leaves."""

import pandas as pd
import pytest

from llmkit import ConfigurationError, InvalidRequestError, LLMMessage, OpenAIClient
from llmkit.content.template import interpolate
from llmkit.content.tokens import estimate
from llmkit.core.redaction import Secret, redact
from tests.support.callers import SDKS, opened, read

TEXTS = {
    "one character": "a",
    "blank ends": "  \n\t x \r\n ",
    "NUL": "before\x00after",
    "control characters": "".join(map(chr, [*range(1, 32), *range(127, 160)])),
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "byte order marks": "\ufeffx\ufeff\ufffe\uffff",
    "right to left": "abc \u202egnp.exe\u202c שלום مرحبا \u2066x\u2069",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\u00ade",
    "combining flood": "Z" + "\u0300\u0321\u0489" * 2000,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇩🇪",
    "tags and private use": "\U000e0041\U000e007f\ue000\U0010ffff",
    "composed and not": "é e\u0301 ﬁ Å Å ß ẞ İ ı",
    "numbers of all scripts": "٣ ३ ௩ Ⅷ ½ 1e309 -0 NaN Infinity 0x10",
    "JSON": '{"role": "system", "content": "\\u0041\\ud800 \\\\n"}]}',
    "SSE": "data: [DONE]\n\nevent: error\ndata: {}\r\n\r\n: ping",
    "HTTP": "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "markup": "<script>alert(1)</script><!-- --><![CDATA[ ]]> &lt; &#x41; %00 %s {0} {{x}} $HOME `id`",
    "SQL": "'; DROP TABLE calls; -- \" OR 1=1",
    "special tokens": "<|endoftext|><|im_start|>system\n[INST]</s>\n\nHuman: \n\nAssistant:",
    "paths": "../../etc/passwd\\..\\CON file:///dev/zero http://127.0.0.1/",
    "words of languages": "undefined null None nil true NULL (null) [object Object] __proto__ constructor",
    "long line": "x" * 200_000,
    "long word of wide characters": "𝕏" * 20_000,
}
SURROGATES = ["\ud800", "a\udfffb", "\udc00\ud800", "x" * 1000 + "\ud83d"]


def received(request):
    """The system prompt and the last question, as the server decoded them."""
    body = request.body
    if request.protocol == "google":
        system = body.get("systemInstruction") or {"parts": [{"text": None}]}
        return system["parts"][0]["text"], body["contents"][-1]["parts"][0]["text"]
    if request.protocol == "anthropic":
        return body.get("system"), body["messages"][-1]["content"]
    return body["messages"][0]["content"], body["messages"][-1]["content"]


async def ask(client, text, *, stream=False, **options):
    messages = [LLMMessage("system", text), LLMMessage("user", text)]
    if stream:
        return await read(client.stream_text(messages, **options))
    return await client.generate_text(messages, **options)


@pytest.mark.product
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_every_text_is_sent_exactly(kind, server, recorder, stream):
    async with opened(kind, server, max_retries=0) as client:
        for name, text in TEXTS.items():
            await ask(client, text, stream=stream)
            assert received(server.requests[-1]) == (text, text), name
    assert recorder.statuses == ["ok"] * len(TEXTS)


@pytest.mark.product
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_half_a_surrogate_pair_is_refused_before_anything_leaves(kind, server, recorder, stream):
    async with opened(kind, server, max_retries=0) as client:
        for text in SURROGATES:
            with pytest.raises(InvalidRequestError) as caught:
                await ask(client, text, stream=stream)
            assert len(str(caught.value)) <= 500
    assert not server.requests


async def test_ten_megabytes_are_sent_exactly(protocol, server, recorder):
    text = "0123456789äöü\n" * 700_000
    server.fail_next("400")  # an answer that costs no time
    async with opened(protocol, server, max_retries=0) as client:
        with pytest.raises(InvalidRequestError):
            await client.generate_text([LLMMessage("user", text)])
    assert received(server.requests[-1])[1] == text
    assert len(text.encode()) > 10_000_000


NAMES = (
    ["../../admin", "m/../../x", "m?key=1", "m#part", "m m", "m\nx", "m\r\nHost: x", "m%2e%2e", "mö", "m\x00",
     "/", "..", ".", "models/../x", "m:generateContent?x=", "\\..\\x", "//evil.example/x"]
)  # fmt: skip


@pytest.mark.product
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_models_name_cannot_lead_anywhere_else(kind, server, recorder, stream):
    async with opened(kind, server, max_retries=0) as client:
        for model in NAMES:
            seen = len(server.requests)
            try:
                await ask(client, "Hello", stream=stream, model=model)
            except InvalidRequestError as error:
                assert "model" in str(error).lower()  # noqa: PT017 - refusing is one of two good ends
            for request in list(server.requests)[seen:]:
                assert request.model == model
                assert request.path.startswith(PATHS[request.protocol])


PATHS = {
    "openai": "/openai/v1/chat/completions",
    "anthropic": "/anthropic/v1/messages",
    "google": "/google/v1beta/models/",
}


@pytest.mark.parametrize("key", ["k\r\nx-evil: 1", "k\ny", "k\x00y"])
async def test_a_key_with_odd_characters_is_refused_and_not_sent(protocol, server, recorder, key):
    async with SDKS[protocol](key, server.url(protocol), model="sandbox", max_retries=0) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await ask(client, "Hello")
    assert key not in str(caught.value)
    async with opened(protocol, server) as good:  # once this is answered, nothing else is on its way
        await ask(good, "Hello")
    assert [request.headers.get("x-evil") for request in server.requests] == [None]


def circular():
    loop = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        10**400,
        b"bytes",
        {1, 2},
        circular(),
        object(),
        {"deep": {"er": {3}}},
        "\ud800",
    ],
    ids=["nan", "inf", "huge", "bytes", "set", "circular", "object", "nested set", "surrogate"],
)
async def test_a_parameter_that_json_cannot_say_is_refused_and_not_sent(protocol, server, recorder, value):
    async with opened(protocol, server, max_retries=0) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await ask(client, "Hello", seed=value)
    assert len(str(caught.value)) <= 500
    assert not server.requests


@pytest.mark.parametrize("role", ["user", "system"])
async def test_a_content_that_is_no_text_is_refused(protocol, server, recorder, role):
    async with opened(protocol, server, max_retries=0) as client:
        with pytest.raises((InvalidRequestError, ValueError, TypeError)):
            await client.generate_text([LLMMessage(role, b"bytes"), LLMMessage("user", "x")])
    assert not server.requests


class TestKeys:
    @pytest.mark.product
    @pytest.mark.parametrize(
        "key",
        [
            "sk-proj-" + "aB3_" * 20, "sk-svcacct-" + "aB3-" * 10, "sk-ant-api03-" + "aB3_" * 20,
            "AIza" + "Sy1-" * 9, "AQ." + "Ab3_" * 10, "gsk_" + "aB3d" * 13, "hf_" + "aBcD" * 9,
            "r8_" + "aB3d" * 9, "xai-" + "aB3d" * 20, "pplx-" + "aB3d" * 12, "sk-or-v1-" + "0a1b" * 16,
            "AKIA" + "Q3EG" * 4, "ASIA" + "Q3EG" * 4, "ghp_" + "aB3d" * 9, "gho_" + "aB3d" * 9,
            "ghs_" + "aB3d" * 9, "github_pat_" + "11AB_" * 16, "xoxb-123456789012-" + "aB3d" * 6,
            "sk_live_" + "aB3d" * 6, "rk_live_" + "aB3d" * 6, "Bearer " + "aB3d" * 6,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh_1",
            "-----BEGIN PRIVATE KEY-----\n" + ("A" * 64 + "\n") * 3 + "-----END PRIVATE KEY-----",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("wrap", ["{}", "key={}&x=1", '{{"k": "{}"}}', "<{}>", "url/{}/x", "['{}', 1]"])
    def test_a_value_that_looks_like_a_key_is_left_out(self, key, wrap):
        result = interpolate("{{v}}", {"v": wrap.format(key)})
        assert key not in result.text
        assert result.redacted == ("v",)
        assert result.notes == ("Left out of the prompt because it looks like a key: v.",)

    @pytest.mark.parametrize(
        "text",
        [
            "sk-learn", "pip install sk-learn-contrib",
            "task-force-one-hundred-and-twenty", "risk-" + "a1" * 20,
            "123e4567-e89b-12d3-a456-426614174000", "c2e952d0a1b2c3d4e5f60718293a4b5c6d7e8f90",
            "sk-container-id-1 sk-toggleable__content sk-estimator-doc-link", "sk-fading-circle sk-cube-grid",
            "10.1038/s41586-020-2649-2", "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 200,
            "the bearer of bad news", "Bearer authentication is required",
            "AQ.md is the manual", "hf_hub_download",
            "ghp_ is a prefix", "AKIA", "xoxo-love-and-kisses", "eyJ is base64", "disk-0123456789abcdef",
            "-----BEGIN PRIVATE KEY----- is the first line",
            "api-key: see the manual", "gpt-4o-mini-2024-07-18",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "xai-explainable",
        ],
    )  # fmt: skip
    def test_ordinary_text_stays_as_it_is(self, text):
        result = interpolate("{{v}}", {"v": text})
        assert (result.text, result.notes) == (text, ())

    @pytest.mark.parametrize(
        "value", [["x", "KEY"], {"a": {"b": "KEY"}}, pd.DataFrame({"a": [1], "b": ["KEY"]})]
    )
    def test_a_key_in_use_is_left_out_of_lists_and_frames(self, value):
        key = "plainkeywithoutshape42"
        held = Secret(key, "a test")
        if isinstance(value, pd.DataFrame):
            value = value.replace("KEY", key)
        else:
            value = eval(repr(value).replace("KEY", key))
        result = interpolate("{{v}}", {"v": value})
        assert held.reveal() not in result.text
        assert "[redacted]" in result.text

    def test_a_flood_of_beginnings_is_searched_in_time_that_grows_with_it(self):
        held = Secret("canary/of+no.known~shape42", "a test")
        for start in (
            "sk-proj-",
            "-eyJaaaaaaaa",
            "-----BEGIN PRIVATE KEY-----",
            "Bearer -",
            "cana",
        ):
            text = start * (400_000 // len(start))
            assert redact(text) == text
        assert repr(held).startswith("Secret")


class TestNotes:
    def test_a_long_frame_says_what_of_it_was_sent(self):
        result = interpolate("{{frame}}", {"frame": pd.DataFrame({"a": range(1_000_000)})})
        tokens = f"{estimate(result.text):,}"
        assert result.notes == (
            f"frame has 1,000,000 rows: the first and last 100 were sent, about {tokens} tokens.",
        )
        assert len(result.text) < 10_000

    def test_a_short_frame_is_sent_whole_and_without_a_note(self):
        result = interpolate("{{frame}}", {"frame": pd.DataFrame({"a": range(200)})})
        assert (result.text.count("\n"), result.notes) == (200, ())

    def test_a_wide_frame_that_is_sent_whole_says_how_many_tokens_it_takes(self):
        result = interpolate("{{frame}}", {"frame": pd.DataFrame({"a": ["word " * 40] * 100})})
        assert result.notes == (
            f"frame has 100 rows: all were sent, about {estimate(result.text):,} tokens.",
        )

    def test_an_array_that_prints_shortened_says_so(self):
        result = interpolate("{{a}} {{i}}", {"a": pd.Series(range(5000)).to_numpy(), "i": pd.RangeIndex(3)})
        assert result.notes == ("a has 5,000 items: not all were sent.",)

    def test_a_large_value_is_described_with_its_size(self):
        assert interpolate("{{s}}", {"s": "é" * 600_000}).notes == ("s is 1.2 MB of the prompt.",)

    def test_each_note_is_shown_once(self):
        assert len(interpolate("{{s}} {{s}}", {"s": "x" * 10**6}).notes) == 1


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1\r\nx: y/v1", "http://127.0.0.1:1/ v1", "http://h\x00"]
)
def test_an_address_with_odd_characters_is_refused(address):
    with pytest.raises(ConfigurationError, match="not a valid URL"):
        OpenAIClient("k", address, model="m")
