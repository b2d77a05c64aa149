"""Markdown that a model wrote, as HTML: it looks right, and nothing in it can run or be fetched."""

# ruff: noqa: E501 - attacks are data: each is easiest to read on one line

from __future__ import annotations

import itertools
import random
import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.notebook.display.markdown.blocks import Blocks, split_blocks
from llmkit.notebook.display.markdown.highlight import CLASSES, LANGUAGES, highlight
from llmkit.notebook.display.markdown.render import page, render, render_partial, stylesheet
from llmkit.notebook.display.markdown.tex import is_safe_tex

ALLOWED = {
    **{f"h{level}": set() for level in range(1, 7)},
    **{tag: set() for tag in ("blockquote", "br", "em", "hr", "p", "s", "strong", "ul")},
    **{tag: set() for tag in ("table", "tbody", "thead", "tr")},
    "a": {"href", "target", "rel"},
    "code": {"class"},
    "div": {"class", "tabindex"},
    "li": {"class"},
    "ol": {"class", "start"},
    "pre": {"class", "tabindex"},
    "span": {"class"},
    "sup": {"class"},
    "td": {"align"},
    "th": {"align"},
}
ALLOWED_CLASSES = CLASSES | {
    "llmkit-tex", "llmkit-table", "llmkit-task", "llmkit-notes", "llmkit-code", "llmkit-math",
    "llmkit-display", "llmkit-box", "llmkit-ref", "mathjax_process", "tex2jax_process",
    "mathjax_ignore", "tex2jax_ignore",
}  # fmt: skip


class Guard(HTMLParser):
    """Collects whatever is not on the list above, and every formula that MathJax would find."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.formulas: list[str] = []
        self.stray: list[str] = []
        self.open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in ALLOWED:
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            self._attribute(tag, name, value or "")
        if tag not in ("br", "hr"):
            self.open.append((tag, dict(attrs).get("class") or ""))

    def _attribute(self, tag, name, value):
        if name not in ALLOWED.get(tag, set()):
            self.wrong.append(f"{tag}[{name}]")
        if name == "href" and not value.lower().startswith(("http://", "https://", "mailto:")):
            self.wrong.append(f"href={value}")
        if name == "class" and not set(value.split()) <= ALLOWED_CLASSES:
            self.wrong.append(f"class={value}")

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_comment(self, data):
        self.wrong.append("comment")

    def handle_data(self, data):
        classes = " ".join(name for _, name in self.open)
        if {"pre", "code"} & {tag for tag, _ in self.open} or "mathjax_ignore" in classes:
            return
        if "mathjax_process" in classes:
            self.formulas.append(data)
        elif "$" in data or "\\(" in data or "\\[" in data or "\\begin" in data:
            self.stray.append(data)


def problems(html: str) -> list[str]:
    guard = Guard(html)
    unsafe = [tex for tex in guard.formulas if not is_safe_tex(tex[2:-2])]
    return guard.wrong + guard.stray + unsafe


RUNS = ["alert(1)", "window.__pwned=1", "fetch('//evil.example')"]
URLS = [
    "javascript:{}", "JaVaScRiPt:{}", " javascript:{}", "java\tscript:{}", "java&#10;script:{}",
    "&#106;avascript:{}", "javascript&colon;{}", "\x01javascript:{}", "vbscript:{}", "data:text/html,<script>{}</script>",
    "data:image/svg+xml,<svg onload={}>", "data:image/png;base64,iVBORw0KGgo=", "//evil.example/{}", "/api/kernels?{}",
    "file:///etc/passwd#{}", "blob:{}", "x:{}", "ftp://evil.example/{}", "\\\\evil.example\\{}", "#{}",
]  # fmt: skip
TAGS = [
    "<script>{}</script>", "<img src=x onerror={}>", "<svg onload={}>", "<svg><script>{}</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror={}></style></mglyph></table></mtext></math>",
    "<iframe srcdoc='<script>{}</script>'></iframe>", "<object data=javascript:{}>", "<embed src=javascript:{}>",
    "<form action=javascript:{}><button>x</button></form>", "<input autofocus onfocus={}>", "<body onload={}>",
    "<details open ontoggle={}>", "<video src=x onerror={}>", "<img srcset='//evil.example/x 1x' alt={}>",
    "<a href=javascript:{}>x</a>", "<base href=//evil.example>{}", "<meta http-equiv=refresh content='0;url=javascript:{}'>",
    "<link rel=stylesheet href=//evil.example/{}>", "<style>*{{background:url(//evil.example)}}</style>{}",
    "<p style='background:url(//evil.example)'>{}</p>", "<b id=kernel name=jupyter>{}</b>",
    "<noscript><p title='</noscript><img src=x onerror={}>'>", "<!--><img src=x onerror={}>-->",
    "<![CDATA[<img src=x onerror={}>]]>", "<template><img src=x onerror={}></template>", "<xmp><img src=x onerror={}></xmp>",
    "<button data-commandlinker-command=terminal:create-new data-commandlinker-args='{}'>x</button>",
    "<audio src=x onerror={}>", "<marquee onstart={}>", "<isindex type=image src=1 onerror={}>", "<plaintext onclick={}>",
]  # fmt: skip
LINKS = [
    "[x]({})", "[x](<{}>)", "<{}>", "![x]({})", "![x](<{}> 'y')", '[x]({} "onmouseover=1")', "[x][r]\n\n[r]: {}",
    "[x][r]\n\n[r]: <{}> 'style=x'", "[![x]({})](https://a.b)", "![{}](https://a.b/c.png)",
]  # fmt: skip
MACROS = [
    r"\href{{javascript:{}}}{{x}}", r"\href{{data:text/html,<script>{}</script>}}{{x}}", r"\url{{javascript:{}}}",
    r"\unicode[{};background:url(//evil.example)]{{65}}", r"\class{{evil {}}}{{x}}", r"\style{{background:url(//evil.example/{})}}{{x}}",
    r"\cssId{{jp-main {}}}{{x}}", r"\require{{html}}{{{}}}", r"\includegraphics{{//evil.example/{}}}", r"\def\x{{\href{{javascript:{}}}{{y}}}}\x",
    r"\newcommand{{\x}}{{\href{{javascript:{}}}{{y}}}}\x", r"\let\x\href\x{{javascript:{}}}{{y}}",
    r"\mmlToken{{mtext}}[href='javascript:{}']{{x}}", r"\bbox[background:url(//evil.example/{})]{{x}}",
    r"\text{{$\href{{javascript:{}}}{{x}}$}}", r"\begin{{html}}{}\end{{html}}", r"\csname href\endcsname{{javascript:{}}}{{x}}",
    r"\data{{x={}}}{{y}}", r"\color{{url(//evil.example/{})}}x", r"\ce{{\href{{javascript:{}}}{{x}}}}", r"\label{{kernel{}}}",
    r"x\) \(\href{{javascript:{}}}{{y}}", r"x\] \[\href{{javascript:{}}}{{y}}", r"x$ \[\href{{javascript:{}}}{{y}}\] $",
    r"\)</span><img src=x onerror={}>", r"\rule{{1000em}}{{1000em}}{}", r"\texttip{{x}}{{{}}}", r"\special{{{}}}",
]  # fmt: skip
MATHS = ["${}$", "$${}$$", "$$\n{}\n$$", "\\({}\\)", "\\[{}\\]", "\\[\n{}\n\\]", "\\begin{{align}}\n{}\n\\end{{align}}",
         "\\\\({}\\\\)", "\\$ {} $", "\\begin{{equation}}{}\\end{{equation}} \\eqref{{x}}"]  # fmt: skip
PLACES = [
    "{}", "# {}", "> {}", "- {}", "- [ ] {}", "**{}**", "*{}", "~~{}~~", "| a |\n|---|\n| {} |", "`{}`", "``` {}\nx\n```",
    "```html\n{}\n```", "```{}", "    {}", "[{}](https://a.b)", "x[^1]\n\n[^1]: {}", "$x$ {} $y$", "<div>\n{}\n</div>", "{}\n===",
]  # fmt: skip


def attacks():
    for run in RUNS:
        urls = [url.format(run) for url in URLS]
        bits = [tag.format(run) for tag in TAGS]
        bits += [link.format(url) for link, url in itertools.product(LINKS, urls)]
        bits += [math.format(macro.format(run)) for math, macro in itertools.product(MATHS, MACROS)]
        for bit in bits:
            yield bit
    rng = random.Random(7)
    for place in PLACES:
        for bit in rng.sample(bits, 60):
            yield place.format(bit)
        for pair in itertools.batched(rng.sample(bits, 40), 2) if hasattr(itertools, "batched") else ():
            yield place.format("".join(pair))


ATTACKS = list(attacks())


class TestNothingRuns:
    def test_there_are_thousands_of_attacks(self):
        assert len(ATTACKS) > 2_500

    def test_the_guard_sees_an_attack_when_there_is_one(self):
        assert problems("<script>1</script>") == ["<script>"]
        assert problems('<a href="javascript:1">x</a>') == ["href=javascript:1"]
        assert problems("<p onclick=x id=y style=z>") == ["p[onclick]", "p[id]", "p[style]"]
        assert problems('<p class="jp-Notebook">x</p>') == ["p[class]", "class=jp-Notebook"]
        assert problems(r"<p>$\href{x}{y}$</p>") == [r"$\href{x}{y}$"]
        assert problems(r'<span class="mathjax_process">\(\href{x}{y}\)</span>') == [r"\(\href{x}{y}\)"]
        assert problems('<img src="https://a.b/c.png">') == ["<img>", "img[src]"]

    def test_no_attack_survives(self):
        assert [(attack, found) for attack in ATTACKS if (found := problems(render(attack)))] == []

    def test_no_attack_survives_while_it_streams(self):
        partial = (
            (attack, problems(render_partial(attack[:cut])))
            for attack in ATTACKS
            for cut in (len(attack) * 2 // 3,)
        )
        assert [(attack, found) for attack, found in partial if found] == []

    @given(st.text(alphabet="<>\"'=/ \n`$\\()[]{}!*_#&;:aijsvt-|^~", max_size=80))
    def test_no_soup_of_marks_survives(self, text):
        assert problems(render(text)) == []
        assert problems(render_partial(text)) == []

    def test_html_is_shown_as_text(self):
        assert render("<img src=x onerror=alert(1)>") == "<p>&lt;img src=x onerror=alert(1)&gt;</p>\n"

    def test_a_picture_becomes_a_link(self):
        html = render("![a cat](https://a.b/c.png)")
        assert html == (
            '<p><a href="https://a.b/c.png" target="_blank" rel="noopener noreferrer nofollow">[image] a cat</a></p>\n'
        )

    @pytest.mark.parametrize(
        "url", ["javascript:alert(1)", "data:text/html,x", "/lab/tree", "#cell", "//evil.example"]
    )
    def test_a_link_elsewhere_than_to_the_web_has_no_target(self, url):
        assert "href" not in render(f"[x]({url})")

    def test_mail_and_web_links_open_in_a_new_tab(self):
        assert render("<mailto:a@b.c>").count('target="_blank" rel="noopener noreferrer nofollow"') == 1

    def test_a_fence_cannot_name_a_class_or_a_strange_lexer(self):
        assert (
            render("```jp-Notebook\nx\n```")
            == '<pre class="llmkit-code" tabindex="0"><code>x\n</code></pre>\n'
        )
        assert "brainfuck" not in LANGUAGES

    def test_the_stylesheet_fetches_nothing(self):
        assert "url(" not in stylesheet()
        assert "@import" not in stylesheet()
        assert len(stylesheet()) < 4_500


class TestFormulas:
    @pytest.mark.parametrize(
        ("markdown", "formula"),
        [
            ("$x^2$", r"\(x^2\)"),
            (r"\(a_1 + b_1\)", r"\(a_1 + b_1\)"),
            ("a $$x$$ b", r"\[x\]"),
            ("$$\nx\n- y\n$$", "\\[x\n- y\\]"),
            ("\\[\n\\frac{a}{b}\n\\]", r"\[\frac{a}{b}\]"),
            ("\\begin{align}\na &= b \\\\\n\\end{align}", "\\[\\begin{align}\na &= b \\\\\n\\end{align}\\]"),
            (r"$\text{if } x \in \mathbb{R}$", r"\(\text{if } x \in \mathbb{R}\)"),
            (r"$\color{red} x$", r"\(\color{red} x\)"),
        ],
    )
    def test_mathematics_reaches_mathjax(self, markdown, formula):
        assert Guard(render(markdown)).formulas == [formula]

    @pytest.mark.parametrize(
        "text", ["It costs $5 or $6.", "US$5/US$6", "$ x $", "a$b$c", r"\$x\$", "$20,000 and $30,000"]
    )
    def test_money_is_not_mathematics(self, text):
        assert Guard(render(text)).formulas == []
        assert problems(render(text)) == []

    @pytest.mark.parametrize("code", ["`$x$`", "```\n$x$\n```", "    \\(x\\)"])
    def test_code_is_not_mathematics(self, code):
        assert Guard(render(code)).formulas == []

    def test_a_dangerous_macro_leaves_the_source(self):
        assert render(r"$\href{javascript:1}{x}$") == (
            '<p><code class="llmkit-tex">$\\href{javascript:1}{x}$</code></p>\n'
        )

    @pytest.mark.parametrize(
        "tex", ["x" * 5_000, "{" * 50 + "}" * 50, r"\begin{verbatim}x\end{verbatim}", "\\begin x"]
    )
    def test_a_strange_formula_is_not_typeset(self, tex):
        assert not is_safe_tex(tex)

    def test_an_open_block_shows_the_source_so_that_nothing_flickers(self):
        assert Guard(render_partial("$x$ and $$\ny")).formulas == []


class TestLook:
    def test_the_lines_of_a_verse_stay_lines(self):
        haiku = "An old silent pond\nA frog jumps in\nSplash! Silence again"
        shown = "<p>An old silent pond<br>\nA frog jumps in<br>\nSplash! Silence again</p>\n"
        assert render(haiku) == render_partial(haiku) == shown
        assert "<br>" not in render(
            "# Title\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx\ny\n```"
        )
        assert render("- one\n  more") == "<ul>\n<li>one<br>\nmore</li>\n</ul>\n"

    def test_a_table_keeps_its_alignment(self):
        html = render("| a | b |\n|:-:|--:|\n| 1 | 2 |")
        assert '<th align="center">a</th>' in html
        assert '<td align="right">2</td>' in html

    def test_task_lists_have_boxes(self):
        html = render("- [ ] a\n- [x] b")
        assert html.count('<li class="llmkit-task">') == 2
        assert [html.count(box) for box in "☐☑"] == [1, 1]

    def test_code_is_coloured_and_readable_without_colours(self):
        html = render("```python\nx = 1\n```")
        assert html == (
            '<pre class="llmkit-code" tabindex="0"><code>x <span class="llmkit-o">=</span> <span class="llmkit-n">1</span>\n</code></pre>\n'
        )

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    def test_every_language_has_a_lexer(self, language):
        assert "x" in highlight("x", language)

    def test_footnotes_stand_at_the_end(self):
        html = render("a[^n]\n\n[^n]: note\n\nb")
        assert '<sup class="llmkit-ref">[1]</sup>' in html
        assert html.index("note") > html.index("<p>b</p>")

    def test_a_page_wraps_body_and_footer(self):
        html = page("<p>x</p>", "<div>f</div>", style=False, cut=True)
        assert (
            html == '<div class="llmkit llmkit-cut mathjax_ignore tex2jax_ignore"><p>x</p><div>f</div></div>'
        )

    def test_the_stylesheet_is_scoped(self):
        css = stylesheet().removeprefix("<style>").removesuffix("</style>")
        css, conditions = re.subn(r"@supports \([a-z:\s]+\([\w\s]+\)\)\{", "", css)
        assert conditions == 1
        css = re.sub(r":not\([^()]*\)", "", css)
        rules = css.split("}")
        selectors = [part for rule in rules if rule.strip() for part in rule.split("{")[0].split(",")]
        assert [selector for selector in selectors if "llmkit" not in selector] == []


class TestPartial:
    @pytest.mark.parametrize(
        ("tail", "whole"),
        [
            ("a **b", "a **b**"),
            ("a **b ", "a **b**"),
            ("a **", "a"),
            ("a *b **c", "a *b **c***"),
            ("~~a", "~~a~~"),
            ("see `co", "see `co`"),
            ("see `", "see"),
            ("a_b c", "a_b c"),
            ("2 * 3", "2 * 3"),
            ("[the do", "the do"),
            ("[the docs](https://exa", "the docs"),
            ("![cat](https://exa", "cat"),
            ("- [", "-"),
            ("Items:\n-", "Items:"),
            ("Title\n==", "Title"),
            ("x\n\n#", "x\n\n"),
            ("```py\nx = 1\n``", "```py\nx = 1"),
            ("```py\nx = '**a", "```py\nx = '**a"),
            ("| a | b", "| a | b |\n|---|---|"),
            ("| a | b |\n|--", "| a | b |\n|---|---|"),
            ("$$\nx_1 + **", "```tex\n$$\nx_1 + **\n```"),
        ],
    )
    def test_an_open_block_looks_like_it_will(self, tail, whole):
        assert render_partial(tail) == render(whole)

    @given(st.text(alphabet="ab *_`~[]()|-\n#$\\!>1.", max_size=60))
    def test_any_beginning_can_be_shown(self, text):
        render_partial(text)


SAMPLE = """# Title
Intro with `code`:
- one

- two

  more of two
- three
  ```python
  x = 1

  y = 2
  ```

1. a
2. b

   ```sh
   ls

   ```
After the list.

| a | b |
|---|---|
| 1 | 2 |

> quote
> more

    indented

    code

$$
a
- b
$$

```python
def f():

    return "# not a heading"
```
Last **words**.

***

The end
"""


def sealed_one_by_one(text: str, size: int) -> list[str]:
    blocks = Blocks()
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return [*itertools.chain.from_iterable(map(blocks.feed, pieces)), *blocks.finish()]


class TestBlocks:
    @given(st.text(alphabet="ab`~#->1.* |\n\t\r$\\[]", max_size=200), st.integers(1, 9))
    def test_the_blocks_are_the_text_however_it_arrives(self, text, size):
        blocks = sealed_one_by_one(text, size)
        assert "".join(blocks) == text
        assert blocks == split_blocks(text)

    @given(st.integers(1, 40))
    def test_block_by_block_looks_like_the_whole(self, size):
        assert "".join(map(render, sealed_one_by_one(SAMPLE, size))) == render(SAMPLE)

    PARTS = (
        "a *b* c\n", "# h\n", "- a\n- b\n", "1. a\n\n   b\n2. c\n", "```py\nx\n\ny\n```\n", "> q\n", "| a |\n|---|\n| b |\n",
        "---\n", "~~~\n```\n~~~\n", "$$\nx\n$$\n", "* a\n  * b\n\n  * c\n", "- ```\n  x\n\n  y\n  ```\n", "\\[\nx\n\\]\n",
    )  # fmt: skip

    @given(st.lists(st.sampled_from(PARTS), max_size=8))
    def test_well_formed_parts_look_the_same_one_by_one(self, parts):
        text = "\n".join(parts)
        assert "".join(map(render, split_blocks(text))) == render(text)

    def test_a_sealed_block_never_waits_for_more(self):
        blocks = Blocks()
        assert blocks.feed("one\n") == []
        assert blocks.feed("\n") == ["one\n\n"]
        assert blocks.feed("```\na\n\nb\n") == []
        assert blocks.feed("```\n") == ["```\na\n\nb\n```\n"]
        assert blocks.tail == ""

    def test_a_list_stays_together_until_something_else_comes(self):
        blocks = Blocks()
        assert blocks.feed("- a\n\n- b\n\n  c\n\n") == []
        assert blocks.feed("end\n") == ["- a\n\n- b\n\n  c\n\n"]

    def test_the_work_is_linear_in_the_text(self):
        blocks = Blocks()
        for _ in range(400_000):  # the time limit of the tests is the guard: squared, it would be an hour
            blocks.feed("word ")
        assert "".join(blocks.finish()) == "word " * 400_000


DEEP = [
    ">" * 5_000, "[" * 10_000, "*" * 10_000, "_" * 10_000, "`" * 10_000, "- " * 5_000, "1. " * 3_000, "![" * 5_000,
    "\n".join("  " * depth + "- a" for depth in range(200)), "$" * 10_000, "\\(" * 5_000, "$$\n" * 3_000, "\\[\n" * 3_000,
    "$$a\n" * 3_000, "\\begin{align}\n" * 1_000, "|a" * 2_000 + "|\n" + "|-" * 2_000 + "|\n", "[^1]: " * 2_000, "<" * 10_000,
    "[a](" * 3_000, "> > > a\n" * 1_000, "&" * 10_000, "\\" * 10_000, "- [ ] a\n" * 1_500, "**a " * 3_000, "a**b" * 3_000,
]  # fmt: skip


NONSENSE = ('"', "(", "\\", "a " * 200 + "\n", " \n", "/*\n", "'a\n", "{\n")


class TestRobust:
    @pytest.mark.parametrize("text", DEEP, ids=lambda text: repr(text[:6]))
    def test_pathological_text_is_quick_and_harmless(self, text):
        started = time.process_time()
        assert problems(render(text)) == []
        assert problems(render_partial(text)) == []
        assert time.process_time() - started < 6

    def test_deep_nesting_loses_no_text(self):
        text = "\n".join("  " * depth + f"- item{depth}" for depth in range(100))
        assert "item99" in render(text)
        assert "end" in render(">" * 5_000 + " end")

    @pytest.mark.parametrize(
        "text", ["a\x00b", "a\ud800b", "\ufeffa", "a\r\nb\rc", "\u202ea", "\u2028", "אבג", ""]
    )
    def test_odd_characters_can_be_shown(self, text):
        render(text).encode()
        render_partial(text).encode()

    @pytest.mark.full
    def test_much_slow_code_does_not_add_up(self):
        fence = "```java\n" + ("a " * 200 + "\n") * 30 + "```\n\n"
        started = time.process_time()
        assert render(fence * 30).count("<pre") == 30
        assert time.process_time() - started < 8

    def test_ten_megabytes_are_shown_as_they_were_written(self):
        started = time.process_time()
        html = render("<b> & **x**\n" * 870_000)
        assert html.startswith('<pre class="llmkit-code" tabindex="0"><code>&lt;b&gt; &amp; **x**')
        assert time.process_time() - started < 10

    def test_a_long_answer_is_still_markdown(self):
        assert render("A **word** here.\n\n" * 10_000).count("<strong>word</strong>") == 10_000

    @pytest.mark.product
    @pytest.mark.parametrize("unit", NONSENSE, ids=lambda unit: repr(unit[:6]))
    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    def test_no_language_takes_long_over_nonsense(self, language, unit):
        started = time.process_time()
        highlight(unit * (10_000 // len(unit)), language)
        assert time.process_time() - started < 2
