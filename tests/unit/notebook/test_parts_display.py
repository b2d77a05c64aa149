"""How reasoning, sources, images and calls of tools are shown beside an answer's text."""

from __future__ import annotations

import base64

import html5lib
import pytest

from llmkit import LLMResponse, Usage
from llmkit.content.attachments import Attachment
from llmkit.content.parts import Citation, Media, Reasoning, Text, ToolCall
from llmkit.notebook.display import parts as shown_parts
from llmkit.notebook.display.parts import beside, signature, visible
from llmkit.notebook.display.rich_answer import final_data
from llmkit.notebook.display.thinking import Spoken
from llmkit.notebook.reply import Reply
from llmkit.notebook.session_log import log_entry, session_entries
from llmkit.notebook.transcript import as_markdown, to_html
from tests.support.dom import problems

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


def answer(*parts, text=None, **facts):
    said = "".join(part.text for part in parts if isinstance(part, Text)) if text is None else text
    return LLMResponse(said, "openai", "gpt-6-luna", parts=parts, **facts)


def html_of(response):
    reply = Reply(response)
    final, around = reply.shown, reply.beside
    return final_data(final.text, None, {}, html=final.html, beside=around)["text/html"]


def test_reasoning_is_folded_above_the_text_with_its_tokens():
    response = answer(Reasoning("17 * 23 is **391**."), Text("391"), usage=Usage(reasoning_tokens=1234))
    page = html5lib.parseFragment(html_of(response), namespaceHTMLElements=False)
    details = page.find(".//details")
    assert details.find("summary").text == "Reasoning · 1,234 tokens"
    assert details.get("open") is None
    assert details.find(".//strong").text == "391"
    assert beside(response).text_above == "[Reasoning · 1,234 tokens]"


def test_reasoning_between_tags_in_the_text_is_folded_too():
    html = html_of(answer(text="<think>Perhaps 41?</think>\n\nIt is **42**."))
    before, folded, after = html.partition("</details>")
    assert folded
    assert "Perhaps 41?" in before
    assert "Perhaps" not in after
    assert "<strong>42</strong>" in after


def test_an_answer_that_only_reasons_shows_no_text_but_its_reasoning():
    html = html_of(answer(text="<think>Hm, let me see"))
    assert html.count("Hm, let me see") == 1
    assert "<details" in html


def test_sources_are_a_numbered_list_with_the_host_beside_each_title():
    response = answer(
        Text("The Rhine is 1,233 km long."),
        Citation("The **Rhine**", url="https://example.org/rhine", quote="1,233 km"),
        Citation("Again", url="https://example.org/rhine"),
        Citation("notes.pdf"),
    )
    html = html_of(response)
    assert html.count("<li>") == 2
    assert 'href="https://example.org/rhine"' in html
    assert "The **Rhine**</a> · example.org · “1,233 km”" in html
    assert beside(response).text_below.splitlines() == [
        "[1] The **Rhine**: https://example.org/rhine",
        "[2] notes.pdf",
    ]


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "http:/lab", "//evil.example/x", "http://[", "file:///etc"]
)
def test_a_source_whose_address_is_no_web_page_is_no_link(url):
    html = html_of(answer(Text("So."), Citation("Title", url=url)))
    assert "href" not in html
    assert "Title" in html


def test_an_image_is_shown_from_its_bytes_with_a_text_in_its_place():
    response = answer(Media(Attachment("image/png", PIXEL)))
    html = html_of(response)
    assert f'src="data:image/png;base64,{base64.b64encode(PIXEL).decode()}"' in html
    assert 'alt="Image 1 by the model (1 by 1 pixels)"' in html
    assert problems(html) == []
    assert beside(response).text_below == "[Image 1 by the model (1 by 1 pixels)]"


def test_images_that_are_too_large_for_the_notebook_file_are_named_instead(monkeypatch):
    monkeypatch.setattr(shown_parts, "MAX_IMAGES", len(PIXEL) + 10)
    html = html_of(answer(Media(Attachment("image/png", PIXEL)), Media(Attachment("image/png", PIXEL))))
    assert html.count("<img") == 1
    assert "Image 2 by the model (1 by 1 pixels): in .response.media[1]." in html


def test_a_call_that_nobody_ran_is_shown_in_words():
    response = answer(ToolCall("1", "load_sales", {"year": 2026, "path": "<b>x</b>"}))
    assert "load_sales(year=2026, path='&lt;b&gt;x&lt;/b&gt;') → not run" in html_of(response)
    assert beside(response).text_below == "[not run: load_sales(year=2026, path='<b>x</b>')]"


def test_a_call_with_invalid_arguments_is_shown_as_the_model_wrote_it():
    assert signature(ToolCall("1", "add", raw='{"a": ')) == 'add({"a": )'


def test_control_characters_of_arguments_are_visible():
    call = ToolCall("1", "run", {"command": "ls\u202e\x1b[2Krm"})
    assert "\\u202e\\x1b[2Krm" in signature(call)
    assert visible("a\u200bb\nc") == "a\\u200bb\nc"


def test_exports_carry_sources_calls_images_and_reasoning():
    from llmkit.notebook.request import Part, Prompt

    source, image = Citation("R", url="https://example.org/"), Media(Attachment("image/png", PIXEL))
    reply = Reply(answer(Reasoning("Rivers."), Text("Rhine"), source, image))
    prompt = Prompt(parts=(Part(title="prompt", text="Name it"),))
    entries = session_entries([log_entry(1, "luna", prompt, reply)])
    page, text = to_html(entries), as_markdown(entries)
    assert "<details" in page
    assert "data:image/png" in page
    assert "img-src data:" in page
    assert "Reasoning · 7 characters" in text
    assert "https://example.org/" in text


@pytest.mark.parametrize("cut", range(1, 30))
def test_reasoning_between_tags_is_held_back_while_it_streams(cut):
    whole = "<think>\nPerhaps 41?\n</think>\n\nIt is <b>42</b>."
    filtered, pieces = Spoken(), [whole[:cut], *whole[cut:]]
    shown = "".join(map(filtered.feed, pieces)) + filtered.rest()
    assert shown == "It is <b>42</b>."


@pytest.mark.parametrize("text", ["Hello", "<b>Hi</b>", "[1, 2]", '{"a": 1}', "<", "◁", "  x"])
def test_text_without_such_tags_streams_as_it_is(text):
    filtered = Spoken()
    assert ("".join(map(filtered.feed, text)) + filtered.rest()).strip() == text.strip()


def test_it_says_whether_the_model_thinks():
    filtered = Spoken()
    filtered.feed("<think>Hm")
    assert filtered.thinking
    filtered.feed("</think>")
    assert not filtered.thinking
