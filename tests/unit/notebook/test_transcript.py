"""Exports: harmless in any reader, one rule about files that exist, one writer for chats and cells."""

from __future__ import annotations

import random
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from llmkit import Chat, ConfigurationError
from llmkit.notebook.display.footer import Footer
from llmkit.notebook.display.markdown.inert import inert
from llmkit.notebook.display.markdown.mathml import mathml
from llmkit.notebook.display.markdown.render import render
from llmkit.notebook.transcript import POLICY, Entry, to_html, to_markdown, write_transcript
from tests.support.attacks import attacks
from tests.support.dom import problems

HOSTILE = "Look: <img src=x onerror=alert(1)> and <script>alert(2)</script>."
PAYLOADS = attacks(400, seed=31)


class Tags(HTMLParser):
    """The tags of a page that are not those of Markdown, attributes that run, and addresses that do."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag in {
            "script",
            "iframe",
            "object",
            "embed",
            "img",
            "svg",
            "style",
            "link",
            "form",
            "base",
            "meta",
        }:
            self.found.append(tag)
        self.found += [name for name, _ in attrs if name.startswith("on")]
        self.found += [
            v for n, v in attrs if n == "href" and v.lower().startswith(("javascript", "data", "vb"))
        ]


def as_careless_readers_do(markdown):
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    reader.validateLink = lambda _url: True
    return Tags(reader.render(markdown)).found


class TestMarkdown:
    def test_the_reader_of_these_tests_sees_an_attack_when_there_is_one(self):
        assert as_careless_readers_do(HOSTILE) == ["img", "onerror", "script"]
        assert as_careless_readers_do("[x](javascript:alert(1))") == ["javascript:alert(1)"]

    @pytest.mark.parametrize(
        "text",
        [
            HOSTILE,
            "`\n\n<script>1</script>\n\n`",
            "| a | b |\n|---|---|\n| ` | <img src=x> ` |",
            "- ```\n  <b>\n  ```\n- <img src=x>",
            "> ```\n> x\n<img src=x>",
            "\\`<img src=x>`",
            "[x](javascript:alert(1))",
            "[x][y]\n\n[y]: javascript:alert(1)",
            "<javascript:alert(1)>",
            "![x](https://example.org/pixel.png)",
            "<!-- <img src=x> -->",
            "<sub><img src=x></sub>",
        ],
    )
    def test_no_html_is_live(self, text):
        for entry in (
            Entry(text=text),
            Entry(text=text, quoted=True),
            Entry(text="x", heading=text, error=text),
        ):
            assert as_careless_readers_do(to_markdown([entry], title=text)) == []

    def test_no_attack_of_the_corpus_is_live(self):
        live = [
            one for one in PAYLOADS if as_careless_readers_do(to_markdown([Entry(text=one, notes=(one,))]))
        ]
        assert live == []

    def test_a_control_sequence_hides_nothing_that_is_live_without_it(self):
        for text in ("[a](java\x1b[1mscript:alert(1))", "<\x1b[1mimg src=x>", "&\x1b[0mlt;", "`\x1b[1m`<b>`"):
            assert as_careless_readers_do(to_markdown([Entry(text=text, heading=text, error=text)])) == []

    def test_an_open_fence_does_not_turn_the_next_answer_inside_out(self):
        entries = [Entry(text="```\nopen"), Entry(text="```\n<img src=x onerror=alert(1)>\n```")]
        assert as_careless_readers_do(to_markdown(entries)) == []

    def test_a_link_that_one_answer_defines_is_not_live_in_another(self):
        entries = [Entry(text="[y]: javascript:alert(1)"), Entry(text="[x][y] and ![x][y] and [y]")]
        assert as_careless_readers_do(to_markdown(entries)) == []

    def test_any_mixture_of_attacks_is_harmless(self):
        mixed = random.Random(5)
        for _ in range(150):
            text = mixed.choice(("\n", "\n\n", " ", "`", "\n```\n")).join(mixed.sample(PAYLOADS, 3))
            assert (
                as_careless_readers_do(to_markdown([Entry(text=text), Entry(text=text, quoted=True)])) == []
            )

    @pytest.mark.parametrize(
        "text",
        [
            "a **b** `x < y` and `List<int>`",
            "```html\n<script>x</script>\n```",
            "    <i>code</i>",
            "x < 3 and y > 4",
            "lid<br>seal H<sub>2</sub>O",
            "<https://example.org/>",
            "[docs](https://example.org/) and [mail](mailto:a@b.c)",
            "| a |\n|---|\n| 1 |",
        ],
    )
    def test_what_is_harmless_stays_as_it_was_written(self, text):
        assert inert(text) == text


class TestPage:
    @pytest.mark.parametrize("quoted", [True, False])
    def test_no_attack_of_the_corpus_is_live(self, quoted):
        live = []
        for one in PAYLOADS:
            html = to_html([Entry(text=one, quoted=quoted, heading=one, notes=(one,), error=one)], title=one)
            body = html.partition("<body>")[2].partition("</body>")[0]
            found = Tags(body.partition("</style>")[2]).found
            live += [(one, found)] if found else []
        assert live == []

    def test_it_may_load_nothing_and_says_so_to_the_browser(self):
        assert f'content="{POLICY}"' in to_html([Entry(text="x")])

    def test_formulas_are_drawn_without_a_script(self):
        assert "<msup><mi>x</mi><mn>2</mn></msup>" in to_html([Entry(text="$x^2$")])


class TestFormulas:
    @pytest.mark.parametrize(
        ("tex", "part"),
        [
            (r"\frac{a}{b}", "<mfrac>"),
            (r"\begin{align}a &= b \\ c &= d\end{align}", "<mtable"),
            (r"\begin{aligned}a &= b\end{aligned}", "<mtable"),
            (r"\begin{alignat}{2}x&=y\end{alignat}", "<mtable"),
            (r"\begin{gather}a\\b\end{gather}", "<mtable"),
            (r"\begin{cases}1 & x>0\\0\end{cases}", "<mtable"),
            (r"\mathbf{A1}", "𝐀"),
            (r"\sum_{i=1}^n i", "<munderover>"),
            (r"\text{a \& b}", "a\xa0&amp;\xa0b"),
        ],
    )
    def test_they_become_mathml(self, tex, part):
        assert part in mathml(tex, display=True)
        assert "\\" not in mathml(tex, display=True)

    @pytest.mark.parametrize("tex", [r"\frac{a", r"\ce{H2O}", "a & b", r"\begin{array}", "_", "^", r"\left("])
    def test_what_cannot_be_read_stays_its_source(self, tex):
        assert mathml(tex) == ""
        assert "<math" not in render(f"${tex}$", mathml=True)

    @pytest.mark.parametrize(
        "tex",
        [
            r"\text{<img src=x onerror=alert(1)>}",
            r"\text{</math><script>alert(1)</script>}",
            r"\text{&lt;img src=x onerror=alert(1)&gt;}",
            r"\mathrm{<svg onload=alert(1)>}",
            r"\color{red}<b>",
        ],
    )
    def test_text_in_them_cannot_run(self, tex):
        assert Tags(mathml(tex)).found == []
        assert Tags(render(f"${tex}$", mathml=True)).found == []

    def test_no_attack_of_the_corpus_runs_in_one(self):
        live = [one for one in PAYLOADS if Tags(render(f"$\\text{{{one}}}$ {one}", mathml=True)).found]
        assert live == []

    def test_in_a_cell_mathjax_draws_them_and_no_mathml_passes(self):
        assert problems(render("$x$ <math><mi>x</mi></math>")) == []
        assert "<math" not in render("$x$ <math><mi>x</mi></math>")


class TestFiles:
    def test_an_export_replaces_an_earlier_one_of_either_kind(self, tmp_path):
        for name in ("a.md", "a.markdown", "a.html", "a.HTM"):
            write_transcript(tmp_path / name, [Entry(text="former")])
            path = write_transcript(tmp_path / name, [Entry(text="two")])
            assert "two" in path.read_text()
            assert "former" not in path.read_text()
            assert path.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("name", ["notes.md", "notes.html"])
    @pytest.mark.parametrize(
        "text", ["Mine.\n", "", "# x\n<!-- exported by llmkit -->\n", "<!doctype html>\n<p>Mine"]
    )
    def test_a_file_of_yours_stays(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match="so it was not overwritten"):
            write_transcript(tmp_path / name, [Entry(text="x")])
        assert (tmp_path / name).read_text() == text

    @pytest.mark.parametrize("name", ["talk.svg", "talk.xhtml", "talk.txt", "talk.ipynb", "talk", ".md"])
    def test_another_ending_is_refused(self, tmp_path, name):
        with pytest.raises(ConfigurationError, match=r"does not end in \.md or \.html"):
            write_transcript(tmp_path / name, [Entry(text="x")])
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"no\.md cannot be written: No such file"):
            write_transcript(tmp_path / "none" / "no.md", [Entry(text="x")])
        (tmp_path / "folder.md").mkdir()
        with pytest.raises(ConfigurationError, match=r"folder\.md cannot be written"):
            write_transcript(tmp_path / "folder.md", [Entry(text="x")])

    def test_a_chat_is_written_as_markdown_or_as_a_page(self, tmp_path):
        chat = Chat("sandbox")
        chat.ask("repeat exactly: " + HOSTILE)
        page = chat.export(tmp_path / "talk.html").read_text()
        assert Tags(page.partition("<body>")[2].partition("</style>")[2]).found == []
        assert "&lt;script&gt;" in page
        assert as_careless_readers_do(chat.export(tmp_path / "talk.md").read_text()) == []
        (tmp_path / "mine.md").write_text("Mine.")
        with pytest.raises(ConfigurationError, match=r"mine\.md exists and was not exported by llmkit"):
            chat.export(tmp_path / "mine.md")


def test_a_page_shows_the_footer_as_the_notebook_does_and_closes_what_a_cut_answer_left_open():
    entry = Entry(text="Hello **wor", footer=Footer(facts=("luna",), warning="⏹ stopped"), cut=True)
    page = to_html([entry])
    assert "<strong>wor</strong>" in page
    assert 'luna · <span class="llmkit-warn">⏹ stopped</span>' in page
    assert "<sub>luna · ⏹ stopped</sub>" in to_markdown([entry])
