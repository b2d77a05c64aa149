"""Images and PDFs by their web address: the provider gets it, nobody here loads it, no secret is shown."""

import copy
import json
import logging
import pickle
from types import SimpleNamespace

import pytest

import llmkit
from llmkit import Attachment, InvalidRequestError, LLMMessage, attach, sandbox
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.cassettes import replay as replaying
from llmkit.content import media, tokens
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.codec import Request
from llmkit.providers.formats import codec_of
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec
from tests.support import shells
from tests.support.callers import opened, read
from tests.support.peer import Peer, http

CODECS = {"openai": OpenAICodec(), "anthropic": AnthropicCodec(), "google": GoogleCodec()}
KINDS = ["openai", "anthropic", "google", "google-legacy", "own openai", "own anthropic", "own google"]
PLOT = "https://host.example/plots/a.png"
PAPER = "https://host.example/papers/b.pdf"
SIGNED = "https://me:hunter2pass@host.example/a.png?X-Amz-Credential=AKcredential1&X-Amz-Signature=0123456789abcdef0"
HIDDEN = ("hunter2pass", "AKcredential1", "0123456789abcdef0")


def ask(*urls, text="What is this?"):
    return [LLMMessage("user", text, tuple(map(attach, urls)))]


def body(protocol, *urls):
    return CODECS[protocol].encode(Request(messages=tuple(ask(*urls)), model="m")).body


class TestMade:
    @pytest.mark.parametrize(
        ("url", "kind"),
        [
            (PLOT, "image/png"),
            ("HTTP://host/A.JPG", "image/jpeg"),
            ("https://host/a.webp?w=3#top", "image/webp"),
            ("  https://host/a.gif\n", "image/gif"),
            ("https://host/paper.pdf", "application/pdf"),
            ("https://host/image?id=7.html", "image/*"),
            ("http://127.0.0.1:8888", "image/*"),
        ],
    )
    def test_the_ending_of_the_path_says_what_it_is(self, url, kind):
        one = attach(url)
        assert (one.media_type, one.url, one.data) == (kind, url.strip(), b"")

    def test_a_name_says_what_the_address_does_not(self):
        assert attach("https://host/get?id=7", "paper.pdf").kind == "pdf"
        assert attach("https://host/a%20b.png").name == "a b.png"

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("ftp://host/a.png", "must begin with http:// or https://"),
            ("gs://bucket/a.png", "must begin with http:// or https://"),
            ("file:///home/me/a.png", "must begin with http:// or https://"),
            ("https://", "not a valid URL"),
            ("https:///a.png", "not a valid URL"),
            ("https://[::1/a.png", "not a valid URL"),
            ("https://host:99999/a.png", "not a valid URL"),
            ("https://host/a\x00.png", "not a valid URL"),
            ("https://host/table.csv", "is text/csv: only images and PDFs can be sent by URL"),
            ("https://host/page.html", "is text/html"),
            ("https://host/photo.tiff", "is image/tiff"),
            ("https://host/film.mp4", "is video/mp4"),
            ("data:image/png;base64,AAAA", "must not begin with"),
        ],
    )
    def test_what_no_provider_can_load_is_refused_in_a_sentence(self, url, why):
        with pytest.raises(InvalidRequestError, match=why) as caught:
            attach(url)
        assert len(str(caught.value)) < 250

    def test_data_and_an_address_together_are_refused(self):
        with pytest.raises(InvalidRequestError, match="both data and a URL"):
            Attachment("image/png", b"\x89PNG\r\n\x1a\n", url=PLOT)
        with pytest.raises(InvalidRequestError, match="only images and PDFs"):
            Attachment("text/csv", url=PLOT)

    def test_it_survives_copies_and_pickle_and_differs_by_its_address(self):
        one = attach(PLOT)
        assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
        assert one != attach(PLOT.replace("a.png", "c.png"))
        assert one.digest != attach(f"{PLOT}?v=2").digest


class TestSent:
    def test_each_protocol_has_its_own_words(self):
        assert body("openai", PLOT)["messages"][0]["content"][0] == {
            "type": "image_url",
            "image_url": {"url": PLOT},
        }
        image, paper, _ = body("anthropic", PLOT, PAPER)["messages"][0]["content"]
        assert image == {"type": "image", "source": {"type": "url", "url": PLOT}}
        assert paper == {"type": "document", "source": {"type": "url", "url": PAPER}, "title": "b.pdf"}
        image, paper, unknown, _ = body("google", PLOT, PAPER, "https://host/x")["contents"][0]["parts"]
        assert image == {"fileData": {"mimeType": "image/png", "fileUri": PLOT}}
        assert paper == {"fileData": {"mimeType": "application/pdf", "fileUri": PAPER}}
        assert unknown == {"fileData": {"fileUri": "https://host/x"}}

    async def test_what_a_protocol_cannot_take_is_refused_before_anything_is_sent(self, server, recorder):
        async with opened("openai", server) as client:
            with pytest.raises(InvalidRequestError, match=r"b\.pdf: OpenAI does not accept PDFs by URL"):
                await client.generate_text(ask(PAPER))
        async with opened("google", server) as client:
            with pytest.raises(InvalidRequestError, match="Gemini does not support image/gif"):
                await client.generate_text(ask("https://host/a.gif"))
        assert not server.requests

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_it_arrives_by_every_client_and_the_sandbox_says_so(self, kind, server, recorder, streamed):
        async with opened(kind, server) as client:
            if streamed:
                answer = "".join(await read(client.stream_text(ask(SIGNED))))
            else:
                answer = (await client.generate_text(ask(SIGNED))).content
        assert "image at https://host.example/a.png?…: an address" in answer
        assert "X-Amz-Signature=0123456789abcdef0" in json.dumps(server.requests[-1].body)

    async def test_it_is_not_loaded_here(self, protocol, server, recorder):
        with sandbox.start(rate=0, first_token=0) as other:
            async with opened(protocol, server) as client:
                await client.generate_text(ask(f"{other.url('openai')}/a.png"))
            assert not other.requests


class TestCounted:
    @pytest.mark.parametrize("url", [PLOT, "https://host/x"])
    def test_an_image_counts_as_the_most_expensive_that_the_provider_accepts(self, protocol, url):
        head = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR"
        large = attach(head + (8000).to_bytes(4, "big") * 2)
        count = codec_of(protocol).image_tokens
        assert media.most_tokens(attach(url), count) >= media.most_tokens(large, count)

    def test_a_pdf_counts_as_the_longest(self):
        long = attach(b"%PDF-1.4\n" + b"/Type /Page >>" * 600)
        most = media.most_tokens(attach(PAPER), media.anthropic_image)
        assert most >= media.most_tokens(long, media.anthropic_image)
        assert tokens.estimate_prompt(ask(PAPER), media.anthropic_image) > most

    async def test_the_bound_of_a_call_is_never_passed(self, protocol, server, recorder):
        async with opened(protocol, server) as client:
            answer = await client.generate_text(ask(PLOT))
        most = cost_bound(Request(messages=tuple(ask(PLOT)), model="sandbox"), protocol)
        assert answer.usage.input_tokens <= most.input_tokens

    async def test_a_replay_knows_it_by_its_address(self, protocol, server, recorder, tmp_path):
        replaying._chosen = None
        llmkit.replay(tmp_path / "demo.replay")
        async with opened(protocol, server) as client:
            first = await client.generate_text(ask(PLOT))
            again = await client.generate_text(ask(PLOT))
            other = await client.generate_text(ask(PLOT.replace("host", "other")))
        assert [first.replayed, again.replayed, other.replayed] == [False, True, False]


class TestHidden:
    def test_no_repr_shows_what_the_address_hides(self):
        one = attach(SIGNED)
        shown = f"{one!r} {ask(SIGNED)!r} {one.shown} {one.shown_url}"
        assert "https://host.example/a.png?…" in shown
        assert not [part for part in HIDDEN if part in shown]

    @pytest.mark.parametrize("url", [SIGNED.replace("https", "ftp"), SIGNED.replace("a.png", "a.csv")])
    def test_no_refusal_shows_it(self, url):
        with pytest.raises(InvalidRequestError) as caught:
            attach(url)
        assert not [part for part in HIDDEN if part in str(caught.value)]

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "google-legacy"])
    async def test_no_error_of_a_server_that_repeats_it_shows_it(self, kind, recorder, caplog):
        message = f"Cannot download {SIGNED}."
        said = {"error": {"type": "invalid_request_error", "message": message, "code": 400}}
        caplog.set_level(logging.DEBUG, logger="llmkit")
        async with Peer() as peer:
            peer.scripts["sandbox"] = [[http(400, json.dumps(said).encode())]]
            async with opened(kind, SimpleNamespace(url=lambda _: peer.url)) as client:
                with pytest.raises(InvalidRequestError, match="Cannot download https://") as caught:
                    await client.generate_text(ask(SIGNED))
        links, error = [], caught.value
        while error is not None:
            links.append(f"{error} {error.args} {vars(error)}")
            error = error.__cause__ or error.__context__
        ours = [one.getMessage() for one in caplog.records if one.name.startswith("llmkit")]
        shown = " ".join([*links, *ours])  # what an SDK writes into its own log is not ours to hide
        assert not [part for part in HIDDEN if part in shown]

    async def test_words_of_an_address_are_hidden_in_that_error_alone(self, server, recorder):
        server.fail_next("400")
        async with opened("openai", server) as client:
            with pytest.raises(InvalidRequestError):
                await client.generate_text(ask("https://host/a.png?city=Copenhagen"))
            answer = await client.generate_text([LLMMessage("user", "echo: Copenhagen")])
        assert answer.content == "Copenhagen"


class TestInCells:
    @pytest.fixture
    def shell(self):
        with shells.opened() as shell:
            yield shell

    def test_a_cell_sends_it_and_a_dry_run_shows_it_without_its_secrets(self, shell):
        shown = shell.do(f"%%llm sandbox -d -a {SIGNED}\nWhat is it?").text
        assert "image at https://host.example/a.png?…: the provider downloads it" in shown
        assert not [part for part in HIDDEN if part in shown]
        shell.do(f"%%llm sandbox -a {SIGNED} -o found\nWhat is it?")
        assert "https://host.example/a.png?…: an address" in shell["found"].text

    def test_a_variable_may_hold_it(self, shell):
        shell.do(f"plot = '{PLOT}'")
        shell.do("%%llm sandbox -a plot -o found\nWhat is it?")
        assert f"image at {PLOT}" in shell["found"].text

    def test_a_chat_shows_its_address_as_text(self, shell, tmp_path):
        chat = llmkit.Chat(model="sandbox")
        chat.ask("What is it?", attachments=[SIGNED])
        written = [chat.export(tmp_path / name).read_text() for name in ("a.md", "a.html")]
        for text in [*written, repr(chat)]:
            assert not [part for part in HIDDEN if part in text]
        for text in written:
            assert "Attached: https://host.example/a.png?…" in text
        assert "<img" not in written[1]
