"""Images, PDFs and text files: made from anything, checked before they leave, and seen to arrive."""

import base64
import dataclasses
import io
import json
import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.display import Image as DisplayedImage
from PIL import Image

import llmkit
from llmkit import Attachment, InvalidRequestError, LLMMessage, attach
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.cassettes import replay as replaying
from llmkit.content import media, tokens
from llmkit.content.attachments import LARGEST
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.attachment_limits import explain
from llmkit.providers.codec import Request
from llmkit.providers.formats import codec_of
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec
from tests.support.callers import opened, read
from tests.support.examples import examples

mpl.use("agg")

CODECS = {"openai": OpenAICodec(), "anthropic": AnthropicCodec(), "google": GoogleCodec()}
PDF = b"%PDF-1.4\n1 0 obj << /Type /Page >> endobj 2 0 obj << /Type /Page >> endobj\n%%EOF"


def picture(form="PNG", size=(64, 48), **options):
    """An image of noise, whose base64 has every letter of the alphabet."""
    file = io.BytesIO()
    Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3)).save(file, form, **options)
    return file.getvalue()


def headed(width, height, size=0):
    """A PNG that is nothing but its head, and as many bytes as wanted."""
    head = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return head + bytes(max(0, size - len(head)))


def ask(*attachments, text="What is this?"):
    return [LLMMessage("user", text, attachments)]


def body(protocol, *attachments, **options):
    return CODECS[protocol].encode(Request(messages=tuple(ask(*attachments)), model="m", **options)).body


PNG = picture()


class TestAttach:
    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (PNG, "image/png"),
            (picture("JPEG"), "image/jpeg"),
            (picture("GIF"), "image/gif"),
            (picture("WEBP"), "image/webp"),
            (PDF, "application/pdf"),
            (b"a,b\n1,2\n", "text/plain"),
            ("Grüße\n".encode("utf-16"), "text/plain"),
        ],
        ids=["png", "jpeg", "gif", "webp", "pdf", "text", "utf-16"],
    )
    def test_the_type_is_found_in_the_content_not_in_the_name(self, tmp_path, data, kind):
        path = tmp_path / "misnamed.bmp"
        path.write_bytes(data)
        for source in (path, str(path)):
            found = attach(source)
            assert (found.media_type, found.data, found.name) == (kind, data, "misnamed.bmp")

    def test_the_name_tells_one_text_from_another(self):
        names = {
            "x.csv": "text/csv",
            "x.py": "text/x-python",
            "x.json": "application/json",
            "x": "text/plain",
        }
        assert {name: attach(b"1", name).media_type for name in names} == names

    def test_bytes_of_any_kind(self):
        assert attach(bytearray(PNG)).data == attach(memoryview(PNG)).data == PNG

    def test_figures_and_axes(self):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4, 3), dpi=100)
        axes = figure.subplots()
        for source in (figure, axes):
            found = attach(source, "plot.png")
            assert (found.media_type, found.name, media.pixels(found.data)) == (
                "image/png",
                "plot.png",
                (400, 300),
            )

    def test_pictures_of_pil(self):
        assert media.pixels(attach(Image.new("RGB", (7, 9))).data) == (7, 9)
        assert attach(Image.new("CMYK", (7, 9))).kind == "image"

    @pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
    def test_images_of_ipython(self, form):
        data = picture(form)
        try:
            shown = DisplayedImage(data=data, format=form.lower())
        except ValueError:
            pytest.skip("IPython 7 does not know the format")
        assert attach(shown).data == data

    def test_an_image_with_a_size_to_show(self):
        assert attach(DisplayedImage(data=PNG, format="png", width=20)).data == PNG

    def test_whatever_shows_itself_as_a_picture(self):
        class Chart:
            def _repr_png_(self):
                return None

            def _repr_jpeg_(self):
                return picture("JPEG"), {"width": 10}

        assert attach(Chart()).media_type == "image/jpeg"

    def test_an_attachment_stays_one_and_can_be_renamed(self):
        one = attach(PNG, "a.png")
        assert attach(one) is one
        assert attach(one, "b.png") == Attachment("image/png", PNG, "b.png")

    def test_home_is_understood(self, monkeypatch, tmp_path):
        (tmp_path / "x.png").write_bytes(PNG)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert attach("~/x.png").data == PNG

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"", "empty"),
            (b"BM\0\0\1\2\xff", "a BMP image"),
            (b"II*\0\x80\0", "a TIFF image"),
            (b"\0\0\0\x18ftypheic\xff", "HEIC"),
            (b"\0\0\0\x18ftypisom\xff", "video"),
            (b"PK\x03\x04\xff", "ZIP archive or an Office document"),
            (b"\x7fELF\0\xff", "neither an image nor a PDF nor text"),
            (b"text\0with a hole", "nor text in a known encoding"),
        ],
    )
    def test_other_data_is_refused_by_name(self, tmp_path, data, what):
        (tmp_path / "it.xyz").write_bytes(data)
        with pytest.raises(InvalidRequestError, match=what) as caught:
            attach(tmp_path / "it.xyz")
        assert "'it.xyz'" in str(caught.value)

    @pytest.mark.parametrize(
        ("source", "what"),
        [
            ("gone.png", "File not found: 'gone.png'.*Relative paths start at"),
            (".", "is a folder"),
            ("/dev/null", "is not a regular file"),
            (Path("https://example.invalid/a.png"), "must not begin with https:.*as a string"),
            ("x" * 5000, "Cannot read|File not found"),
            (42, "Cannot attach a int"),
            (DisplayedImage(url="http://example.invalid/a.png"), "Cannot attach"),
        ],
    )
    def test_what_is_no_file_is_refused(self, source, what):
        with pytest.raises(InvalidRequestError, match=what) as caught:
            attach(source)
        assert len(str(caught.value)) <= 500

    def test_a_file_that_no_provider_takes_is_not_even_read(self, tmp_path):
        with (tmp_path / "big.png").open("wb") as file:
            file.truncate(LARGEST + 1)
        with pytest.raises(InvalidRequestError, match=r"'big.png' has 50.0 MB; no provider"):
            attach(tmp_path / "big.png")
        with pytest.raises(InvalidRequestError, match="50 MB"):
            attach(bytes(LARGEST + 1))

    def test_a_type_that_the_data_contradicts_is_refused(self):
        with pytest.raises(InvalidRequestError, match="is image/png, not image/jpeg"):
            Attachment("image/jpeg", PNG)
        with pytest.raises(InvalidRequestError, match="must be bytes, got str"):
            Attachment("text/plain", "text")

    def test_its_repr_has_no_data_and_it_cannot_be_changed(self):
        one = attach(PNG, "a.png")
        assert repr(one) == f"Attachment('image/png', {len(PNG)} bytes, name='a.png')"
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.data = b""

    def test_only_a_text_file_has_text(self):
        assert attach("\ufeffGrüße".encode()).text == "Grüße"
        with pytest.raises(InvalidRequestError, match="it has no text"):
            _ = attach(PNG).text


class TestMessages:
    def test_the_contract_stays_as_it_is(self):
        assert LLMMessage("user", "Hi") == LLMMessage(role="user", content="Hi", attachments=())
        with pytest.raises(ValueError, match="cannot be empty"):
            LLMMessage("user", " ", (attach(PNG),))

    def test_its_repr_tells_of_attachments_where_there_are_any(self):
        assert repr(LLMMessage("user", "Hi")) == "LLMMessage(role='user', content='Hi')"
        assert f"attachments=({attach(PNG)!r},)" in repr(LLMMessage("user", "Hi", (attach(PNG),)))

    def test_a_list_will_do(self):
        assert LLMMessage("user", "Hi", [attach(PNG)]).attachments == (attach(PNG),)

    @pytest.mark.parametrize("role", ["system", "assistant"])
    def test_only_a_users_message_has_attachments(self, role):
        with pytest.raises(ValueError, match="Only user messages"):
            LLMMessage(role, "Hi", (attach(PNG),))

    @pytest.mark.parametrize("given", [attach(PNG), (PNG,), "a.png"])
    def test_what_is_no_attachment_is_a_mistake(self, given):
        with pytest.raises(TypeError, match="attachment"):
            LLMMessage("user", "Hi", given)

    async def test_a_role_that_was_changed_later_is_refused_too(self, protocol, server, recorder):
        messages = ask(attach(PNG))
        messages[0].role = "assistant"
        async with opened(protocol, server) as client:
            with pytest.raises(InvalidRequestError, match="got role assistant"):
                await client.generate_text(messages)
        assert not server.requests


class TestSizes:
    @examples(25)
    @given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]))
    def test_every_format_tells_its_pixels(self, width, height, form):
        assert media.pixels(picture(form, (width, height))) == (width, height)

    def test_webp_in_its_three_kinds(self):
        file = io.BytesIO()
        Image.new("RGBA", (33, 21), (1, 2, 3, 4)).save(file, "WEBP")
        for data in (picture("WEBP", (33, 21), lossless=True), picture("WEBP", (33, 21)), file.getvalue()):
            assert media.pixels(data) == (33, 21)

    def test_a_progressive_jpeg_with_a_comment(self):
        assert media.pixels(picture("JPEG", (33, 21), progressive=True, comment="x" * 999)) == (33, 21)

    @given(st.sampled_from([PNG, picture("JPEG"), picture("GIF"), picture("WEBP")]), st.integers(0, 60))
    def test_what_is_cut_short_is_unknown_or_right(self, data, end):
        assert media.pixels(data[:end]) in {None, (64, 48)}

    @given(st.binary(max_size=60))
    def test_any_bytes_are_survived(self, data):
        for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF89a", b"RIFF....WEBPVP8 "):
            found = media.pixels(head + data)
            assert found is None or all(side > 0 for side in found)

    def test_pages_are_counted_in_lists_of_objects_too(self):
        packed = zlib.compress(b"<< /Type /Page >> << /Type/Page /X 1 >> << /Type /Pages >>")
        listed = b"%PDF-1.5 5 0 obj << /Type /ObjStm /N 3 >> stream\n" + packed + b"\nendstream"
        assert media.pages(PDF) == 2
        assert media.pages(listed) == 2
        assert media.pages(listed.replace(packed, b"\xff" * 40)) is None
        assert media.pages(b"%PDF-1.4") is None

    def test_a_pdf_that_would_unpack_to_gigabytes_is_left_alone(self):
        packed = zlib.compress(bytes(2**22))
        one = b"/Type /ObjStm stream\n" + packed + b"\nendstream "
        assert media.pages(b"%PDF-1.5 /Type /Page " + one) == 1
        assert media.pages(b"%PDF-1.5 /Type /Page " + one * 9) is None

    def test_a_pdf_of_open_ends_takes_no_longer_than_others(self):
        assert media.pages(b"%PDF-1.5 " + b"/Type /ObjStm stream\n" * 100_000) is None

    def test_pages_of_a_real_pdf(self):
        from matplotlib.backends.backend_pdf import PdfPages
        from matplotlib.figure import Figure

        file = io.BytesIO()
        with PdfPages(file) as pages:
            for _ in range(3):
                pages.savefig(Figure())
        assert media.pages(file.getvalue()) == 3


class TestTokens:
    @pytest.mark.parametrize(
        ("provider", "model", "size", "most"),
        [
            ("openai", "gpt-4o", (1024, 1024), 2520),  # 1,024 patches of a model with the factor 2.46
            ("openai", "gpt-4o-mini", (1024, 1024), 2833 + 4 * 5667),
            ("openai", "gpt-4o", (100, 100), 255),  # 85 and a tile
            ("openai", "gpt-4o", (8000, 8000), 24_600),
            ("anthropic", "claude-opus-5-5", (1000, 1000), 36 * 36 + 1),
            ("anthropic", "claude-opus-5-5", (8000, 8000), 4784),
            ("google", "gemini-3.8-flash", (300, 300), 2240),
            ("google", "gemini-2.5-flash", (3840, 3840), 25 * 258),
            ("ollama", "x", (8000, 8000), 31_218),  # nobody knows: the dearest
        ],
    )
    def test_images_cost_by_the_documented_formulas(self, provider, model, size, most):
        assert media.most_tokens(attach(headed(*size)), codec_of(provider).image_tokens, model) == most

    def test_a_pdf_costs_by_its_pages(self):
        two = media.most_tokens(attach(PDF), media.anthropic_image, "m")
        one = media.most_tokens(attach(PDF.replace(b"/Page", b"/Pagx", 1)), media.anthropic_image, "m")
        assert two == 2 * one > 6000

    def test_a_pdf_that_cannot_be_read_counts_as_many_pages(self):
        assert media.most_tokens(attach(b"%PDF-1.4" + bytes(10**6)), media.google_image) > 3000 * 900

    async def test_the_bound_of_a_call_is_never_passed(self, kind, server, recorder):
        for one in (attach(PNG), attach(PDF, "a.pdf"), attach(b"some,text\n" * 50, "a.csv")):
            messages = ask(one)
            async with opened(kind, server) as client:
                answer = await client.generate_text(messages)
            most = cost_bound(Request(messages=tuple(messages), model="sandbox"), kind.removeprefix("own "))
            assert answer.usage.input_tokens <= most.input_tokens

    async def test_an_image_counts_where_the_provider_reports_nothing(self, protocol, server, recorder):
        server.fail_next("no-usage")
        async with opened(protocol, server) as client:
            answer = await client.generate_text(ask(attach(PNG)))
        assert answer.usage_source == "estimated"
        known = media.most_tokens(attach(PNG), codec_of(protocol).image_tokens, "sandbox")
        assert known < answer.usage.input_tokens < known + 40

    def test_a_text_file_counts_as_text(self):
        plain = tokens.upper_bound_prompt(ask())
        assert plain < tokens.upper_bound_prompt(ask(attach(b"one two"))) < plain + 40


class TestFormats:
    def test_openai_has_parts(self):
        found = body("openai", attach(PNG), attach(PDF, "a.pdf"), attach(PDF))["messages"][0]["content"]
        code, paper = base64.b64encode(PNG).decode(), base64.b64encode(PDF).decode()
        assert found == [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{code}"}},
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{paper}"},
            },
            {
                "type": "file",
                "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{paper}"},
            },
            {"type": "text", "text": "What is this?"},
        ]

    def test_anthropic_has_blocks(self):
        found = body("anthropic", attach(PNG), attach(PDF, "a.pdf"))["messages"][0]["content"]
        code, paper = base64.b64encode(PNG).decode(), base64.b64encode(PDF).decode()
        assert found == [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": code}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": paper},
                "title": "a.pdf",
            },
            {"type": "text", "text": "What is this?"},
        ]

    def test_gemini_has_inline_data(self):
        found = body("google", attach(PNG))["contents"][0]["parts"]
        code = base64.b64encode(PNG).decode()
        assert found == [{"inlineData": {"mimeType": "image/png", "data": code}}, {"text": "What is this?"}]

    def test_a_text_file_is_text_for_everyone(self):
        said = "File t.py:\n````\na = '```'\n````\n\nWhat is this?"
        one = attach(b"a = '```'\n", "t.py")
        assert body("openai", one)["messages"][0]["content"] == said
        assert body("anthropic", one)["messages"][0]["content"] == said
        assert body("google", one)["contents"][0]["parts"] == [{"text": said}]


class TestLimits:
    @pytest.mark.parametrize(
        ("protocol", "attachments", "what"),
        [
            ("anthropic", [headed(99, 99, 4 * 2**20)], r"5.3 MB as base64; Anthropic accepts 5 MB"),
            ("anthropic", [headed(8001, 10)], "8001x10 pixels; Anthropic accepts 8000"),
            ("anthropic", [headed(2001, 10)] * 21, "2001x10 pixels; Anthropic accepts 2000"),
            ("anthropic", [headed(9, 9, 3 * 2**20)] * 9, r"36.0 MB as base64; Anthropic accepts 32 MB"),
            ("anthropic", [b"%PDF-1.4 " + b"/Type /Page " * 601], "601 pages; Anthropic accepts 600"),
            ("google", [picture("GIF")], "Gemini does not support image/gif"),
            ("google", [b"%PDF-1.4 " + b"/Type /Page " * 1001], "1001 pages; Gemini accepts 1000"),
            ("google", [headed(9, 9, 40 * 2**20)] * 2, r"106.7 MB as base64; Gemini accepts 100 MB"),
            ("openai", [headed(9, 9, 40 * 2**20)] * 2, r"106.7 MB as base64; OpenAI accepts 70 MB"),
        ],
    )
    async def test_what_a_provider_documents_is_refused_here(
        self, protocol, attachments, what, server, recorder
    ):
        async with opened(protocol, server) as client:
            with pytest.raises(InvalidRequestError, match=what) as caught:
                await client.generate_text(ask(*map(attach, attachments)))
        assert len(str(caught.value)) <= 500
        assert not server.requests

    def test_twenty_images_may_be_larger_than_more(self):
        assert len(body("anthropic", *[attach(headed(2001, 10))] * 20)["messages"][0]["content"]) == 21


class TestArrival:
    @pytest.mark.product
    @pytest.mark.parametrize(
        "sent",
        [
            (attach(PNG, "a.png"), f"image/png 64x48, {len(PNG)} bytes"),
            (attach(PDF, "a.pdf"), f"application/pdf 2 pages, {len(PDF)} bytes"),
        ],
        ids=["image", "pdf"],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_the_bytes_arrive_by_every_client(self, kind, server, recorder, sent, streamed):
        one, fact = sent
        async with opened(kind, server) as client:
            if streamed:
                answer = "".join(await read(client.stream_text(ask(one))))
            else:
                answer = (await client.generate_text(ask(one))).content
        assert fact in answer
        assert recorder.last.status == "ok"

    async def test_a_later_question_still_has_the_image(self, kind, server, recorder):
        talk = [*ask(attach(PNG)), LLMMessage("assistant", "An image."), LLMMessage("user", "Which image?")]
        async with opened(kind, server) as client:
            assert "image/png 64x48" in (await client.generate_text(talk)).content

    async def test_a_text_file_arrives_as_text(self, kind, server, recorder):
        async with opened(kind, server) as client:
            await client.generate_text(ask(attach(b"x,y\n4711,2\n", "t.csv")))
        assert "File t.csv:\\n```\\nx,y\\n4711,2\\n```" in json.dumps(server.requests[-1].body)

    async def test_a_users_own_former_model_takes_them(self, server, recorder):
        import google.generativeai as genai

        genai.configure(api_key="k", transport="rest", client_options={"api_endpoint": server.url("google")})
        client = llmkit.GoogleGenerativeAIClient(client=genai.GenerativeModel("sandbox"))
        messages = [LLMMessage("system", "Be brief."), *ask(attach(PNG))]
        answer = await client.generate_text(messages)
        assert f"image/png 64x48, {len(PNG)} bytes" in answer.content
        assert server.requests[-1].body["contents"][0]["parts"][0] == {"text": "Be brief."}

    async def test_another_clients_own_attachments_are_its_business(self, recorder):
        class Echo(llmkit.BaseLLMClient):
            async def generate_text(self, messages, model=None, **kwargs):
                return llmkit.LLMResponse(repr(messages[-1].attachments), "mine", "echo")

            async def stream_text(self, messages, model=None, **kwargs):
                yield repr(messages[-1].attachments)

            async def close(self):
                pass

        from llmkit.clients.registry import recorded

        answer = await recorded(Echo("mine")).generate_text(ask(attach(PNG, "a.png")))
        assert answer.content == repr((attach(PNG, "a.png"),))

    async def test_the_ledger_holds_no_attachment(self, protocol, server, recorder):
        async with opened(protocol, server) as client:
            await client.generate_text(ask(attach(PNG, "secret-name.png")))
        assert "secret-name" not in repr(recorder.last)
        assert not any(isinstance(v, (bytes, tuple)) for v in dataclasses.asdict(recorder.last).values())


class TestRefusals:
    @pytest.mark.parametrize(
        ("said", "status"),
        [
            ("Invalid content type. image_url is only supported by certain models.", 400),
            ("'claude-2.1' does not support image input.", 400),
            ("invalid content: image input is not supported", 500),
            ("At most 0 image(s) may be provided in one prompt.", 400),
            ("m is not a multimodal model", 400),
            ("messages[0]: unknown variant `image_url`, expected `text`", 422),
            ("messages[0].content must be a string", 400),
            ("No endpoints found that support image input", 404),
            ("Image input modality is not enabled for models/gemma-3", 400),
        ],
    )
    async def test_a_server_without_eyes_is_understood(self, server, recorder, said, status):
        server.fail_next(f"{status};message={said}", times=9)
        async with opened("openai", server) as client:
            with pytest.raises(llmkit.LLMClientError, match="sandbox does not support images: ") as caught:
                await client.generate_text(ask(attach(PNG)))
        assert "Use a model that does" in str(caught.value)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("said", ["Invalid file type: PDF is not supported", "unknown variant `file`"])
    async def test_a_server_that_does_not_read_pdfs(self, server, recorder, said):
        server.fail_next(f"400;message={said}")
        async with opened("openai", server) as client:
            with pytest.raises(InvalidRequestError, match="sandbox does not support PDFs: "):
                await client.generate_text(ask(attach(PDF)))

    def test_a_type_is_named(self):
        error = InvalidRequestError("Unsupported MIME type: image/webp (HTTP 400).", status_code=400)
        explain(error, ask(attach(picture("WEBP"))), "m")
        assert error.message.startswith("m does not support image/webp: ")

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            ("Could not process image", 400),
            ("You uploaded an unsupported image. Please make sure your image is valid.", 400),
            ("Invalid image data: base64 decoding failed", 400),
            ("temperature must be between 0 and 1", 400),
            ("The image must be at least 1 pixel wide", 400),
            ("Unsupported image format", 400),
            ("This image needs credits: not available.", 402),
        ],
    )
    def test_other_errors_stay_what_they_are(self, said, status):
        error = InvalidRequestError(said, status_code=status)
        explain(error, ask(attach(PNG)), "m")
        assert error.message == said

    def test_without_an_attachment_nothing_is_said_of_any(self):
        error = InvalidRequestError("image input is not supported", status_code=400)
        explain(error, ask(attach(b"text")), "m")
        assert error.message == "image input is not supported"


class TestReplay:
    @pytest.fixture(autouse=True)
    def _afresh(self, tmp_path):
        self.file = tmp_path / "demo.replay"
        yield
        replaying._chosen = None

    async def test_the_same_image_is_played_back_and_another_one_is_not(self, kind, server, recorder):
        llmkit.replay(self.file)
        async with opened(kind, server) as client:
            first = await client.generate_text(ask(attach(PNG, "a.png")))
            again = await client.generate_text(ask(attach(PNG, "a.png")))
            other = await client.generate_text(ask(attach(picture(), "a.png")))
        assert [first.replayed, again.replayed, other.replayed] == [False, True, False]
        assert again.content == first.content

    async def test_the_file_keeps_a_digest_in_place_of_the_bytes(self, kind, server, recorder):
        llmkit.replay(self.file)
        large = picture(size=(400, 300))
        async with opened(kind, server) as client:
            await client.generate_text(ask(attach(large)))
        with closing(sqlite3.connect(self.file)) as file:
            (packed,) = file.execute("SELECT request FROM recordings").fetchone()
        kept = zlib.decompress(packed).decode()
        assert len(kept) < 1000 < len(large)
        assert f"sha256:{attach(large).digest}" in kept
        assert self.file.stat().st_size < 20_000

    async def test_a_plain_clients_attachments_count_too(self, recorder):
        from llmkit.clients.cassettes.request_key import canonical_client_request
        from llmkit.clients.engine.call import Call

        def payload(*attachments):
            return canonical_client_request(
                Call(Request(messages=tuple(ask(*attachments)), model="m"), "p")
            ).request

        assert payload(attach(PNG)) == payload(attach(PNG)) != payload(attach(picture()))
        assert payload()["messages"] == [["user", "What is this?"]]
