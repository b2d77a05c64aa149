"""What models write beyond plain CommonMark is shown as it is meant: other scripts, a few tags, dollars."""

from __future__ import annotations

import re

import pytest

from llmkit.content.tables import frame
from llmkit.notebook.display.markdown.render import render, render_partial


def shown(markdown):
    """The HTML of one paragraph without classes."""
    return re.sub(r' class="[^"]*"', "", render(markdown)).strip().removeprefix("<p>").removesuffix("</p>")


def formulas(markdown):
    return re.findall(r"mathjax_process[^>]*>([^<]*)<", render(markdown))


class TestEmphasis:
    @pytest.mark.parametrize(
        ("markdown", "html"),
        [
            ("**注意：**请先保存文件。", "<strong>注意：</strong>请先保存文件。"),
            ("他说**“你好”**。", "他说<strong>“你好”</strong>。"),
            ("**“模型”**API", "<strong>“模型”</strong>API"),
            ("**重要（important）**see", "<strong>重要（important）</strong>see"),
            ("**重要(important)**的", "<strong>重要(important)</strong>的"),
            ("这是**`代码`**的", "这是<strong><code>代码</code></strong>的"),
            ("**A：**一，**B：**二", "<strong>A：</strong>一，<strong>B：</strong>二"),
            ("*强调：*好", "<em>强调：</em>好"),
            ("***重要：***请", "<em><strong>重要：</strong></em>请"),
            ("~~旧的。~~新的", "<s>旧的。</s>新的"),
            ("これは**「重要」**です", "これは<strong>「重要」</strong>です"),
            ("**注意!**これは", "<strong>注意!</strong>これは"),
            ("**스크립트(script)**라고", "<strong>스크립트(script)</strong>라고"),
            ("**【参考】**を見る", "<strong>【参考】</strong>を見る"),
            ("**完成✅**请", "<strong>完成✅</strong>请"),
            ("你好**👍重要**", "你好<strong>👍重要</strong>"),
            ("**หมายเหตุ:**โปรด", "<strong>หมายเหตุ:</strong>โปรด"),
            ("**ध्यान दें:**कृपया", "<strong>ध्यान दें:</strong>कृपया"),
        ],
    )
    def test_marks_beside_other_scripts_are_emphasis(self, markdown, html):
        assert shown(markdown) == html

    @pytest.mark.parametrize(
        ("markdown", "html"),
        [
            ("**Note:** text", "<strong>Note:</strong> text"),
            ("**Note:**text", "**Note:**text"),
            ("a**b**c", "a<strong>b</strong>c"),
            ("2**(x)**3", "2**(x)**3"),
            ("f(**kwargs) and g(**kw)", "f(**kwargs) and g(**kw)"),
            ("a * b * c", "a * b * c"),
            ("** 注意 **", "** 注意 **"),
            ("snake_case_词_x", "snake_case_词_x"),
            ("**Важно:**текст", "**Важно:**текст"),
        ],
    )
    def test_english_and_what_is_no_emphasis_stay_as_they_were(self, markdown, html):
        assert shown(markdown) == html

    @pytest.mark.parametrize("tail", ["**注意：", "**注意", "*「重要」"])
    def test_emphasis_is_complete_while_it_is_written(self, tail):
        mark = tail[: len(tail) - len(tail.lstrip("*"))]
        assert render_partial(tail) == render(tail + mark)


class TestTags:
    @pytest.mark.parametrize(
        "tag", ["<br>", "<br/>", "<br />", "<BR>", "<Br/>", "</br>", "< br >", "<br><br>", "`a`<br>`b`"]
    )
    def test_a_break_in_any_spelling_is_a_new_line(self, tag):
        assert "<br>" in shown(f"lid{tag}seal")
        assert "&lt;" not in shown(f"lid{tag}seal")
        assert "&lt;" not in render(f"| part |\n|---|\n| lid{tag}seal |")

    @pytest.mark.parametrize(
        ("markdown", "html"),
        [
            ("H<sub>2</sub>O", "H<sub>2</sub>O"),
            ("x<SUP>2</SUP>", "x<sup>2</sup>"),
            ("**x<sub>1</sub>**", "<strong>x<sub>1</sub></strong>"),
            ("a<sup>*n*<sub>i</sub></sup>", "a<sup><em>n</em><sub>i</sub></sup>"),
            ("a&nbsp;b", "a&nbsp;b"),
            ("a<sup>`</sup>`</sup>", "a<sup><code>&lt;/sup&gt;</code></sup>"),
        ],
    )
    def test_raised_and_lowered_text_and_hard_blanks_are_shown(self, markdown, html):
        assert shown(markdown) == html

    @pytest.mark.parametrize(
        "markdown",
        [
            "`<br>`",
            "a<sub>b",
            "a</sup>",
            "<sub onclick=x>1",
            "<br onload=x>",
            "<b>x</b>",
            "<brx>",
            "<p>x</p>",
        ],
    )
    def test_code_and_other_tags_stay_text(self, markdown):
        assert re.findall(r"<(?!/?code)", shown(markdown)) == []

    @pytest.mark.parametrize(
        ("tail", "whole"),
        [
            ("H<sub>2", "H<sub>2</sub>"),
            ("**H<sub>2", "**H<sub>2</sub>**"),
            ("x<sup>**a", "x<sup>**a**</sup>"),
            ("**a<sub>b</sub", "**a<sub>b</sub>**"),
            ("lid<b", "lid"),
            ("lid <br/", "lid"),
            ("a&nbs", "a"),
            ("`a<br", "`a<br`"),
        ],
    )
    def test_a_tag_that_is_still_being_written_does_not_flicker(self, tail, whole):
        assert render_partial(tail) == render(whole)

    def test_a_data_frame_has_lines_and_blanks_instead_of_tags(self):
        rows = "| part | note | size |\n|---|---|---|\n| lid<br>seal | a&nbsp;b | 3 m<sup>2</sup> |\n"
        more = "| H<sub>2</sub>O<BR/> | x &amp; y | `<br>` |\n"
        assert frame(rows + more).to_dict("list") == {
            "part": ["lid\nseal", "H2O"],
            "note": ["a b", "x & y"],
            "size": ["3 m^2", "<br>"],
        }

    def test_thousands_of_open_tags_are_quick(self):
        assert render("<sub>" * 3_000).count("&lt;sub&gt;") == 3_000


class TestDollars:
    @pytest.mark.parametrize(
        "text",
        [
            "It was $12 in May; set `$PRICE` to \\$4 and go on.",
            "Set `$A` or $5 to `$B`$ now",
            "Use $`a` and `b`$",
            "$12 in May, or 11$ in June",
            "about $24; it came to \\$26.34, later 5$",
            "price $5 to US$ then",
            "from $5 (was $10) to 3$",
            "$5, €6, 7$",
            "$12\u201315$ a piece",
            "($12)/($15) and 4$",
            "a $5 bill, a €5 bill, a 5$ bill",
            "$10/mo and 20$/mo",
            "$12,$.50",
            "$1.2bn to 1.4bn$",
            "价格是$12，涨到15$吧",
            "$CAD, not in US$.",
            "$HOME/$USER is set",
            "${HOME}/bin:$PATH",
            "Restaurants: $$ (mid) to $$$ (high)",
            "$$ (mid) and $$ too",
            "| $5 | $6 |\n|---|---|\n| $1 | 2$ |",
        ],
    )
    def test_amounts_and_code_are_text(self, text):
        assert formulas(text) == []
        assert "$" in render(text)

    def test_a_code_span_keeps_its_dollar(self):
        html = shown("It was $12 in May; set `$PRICE` to \\$4 and go on.")
        text = re.sub(r"<(?!/?code)[^>]*>", "", html)
        assert text == "It was $12 in May; set <code>$PRICE</code> to $4 and go on."

    @pytest.mark.parametrize(
        "text",
        [
            "$x^2$", "$2x + 3$", "$12$", "$1/2$", "$10^{-3}$", "$0 < x < 1$", "$5 \\text{ km in May}$",
            "$3, 4, 5$", "$1.5 m$", "$n$th", "$k$-NN", "$0 < x and x < 5$", "$profit = revenue - cost$",
            "$x_{max} + y_{min}$", "$`x^2`$", "$$E = mc^2$$", "$$ x $$", "$$\nx\n$$", "$2 \\sin x$", "$-5$",
            "$2n$", "$100\\%$", "$面积 = 长 \\times 宽$", "($x$)", "$O(n \\log n)$", "$P(A|B)$",
            "\\(a + b\\)", "$a`b$",
        ],
    )  # fmt: skip
    def test_mathematics_is_still_mathematics(self, text):
        assert len(formulas(text)) == 1

    @pytest.mark.parametrize("text", ["$f(x)$ and $g(x)$", "$\\alpha$/$\\beta$", "$x$:$y$", "$a$ or $b$"])
    def test_formulas_side_by_side_are_two(self, text):
        assert len(formulas(text)) == 2
