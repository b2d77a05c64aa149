"""What is typed after `%%llm` and `%llm`, and `{{name}}` in prompts."""

from __future__ import annotations

import contextlib
import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.content.template import CellError, interpolate
from llmkit.core.errors import InvalidRequestError
from llmkit.notebook.cell.help import help_on, help_text, options_table
from llmkit.notebook.cell.options import OPTIONS
from llmkit.notebook.cell.parser import CellRequest, parse_cell, parse_line
from llmkit.notebook.cell.subcommands import COMMANDS, Command


class TestCellMagic:
    def test_a_bare_cell_is_all_prompt(self):
        assert parse_cell("", "Hello\n") == CellRequest(prompt="Hello\n")

    @pytest.mark.parametrize(
        "line", ["sonnet -o plan", "-o plan sonnet", "-m sonnet -oplan", "--out=plan --model sonnet"]
    )
    def test_the_model_may_stand_anywhere_on_the_line(self, line):
        assert parse_cell(line, "p") == CellRequest(prompt="p", model="sonnet", out="plan")

    @pytest.mark.parametrize(
        ("line", "thread", "model"),
        [
            ("-t", "main", None),
            ("-t review", "review", None),
            ("-t review sonnet", "review", "sonnet"),
            ("sonnet -t", "main", "sonnet"),
            ("-t -n", "main", None),
            ("-t openai:gpt-6-luna", "main", "openai:gpt-6-luna"),
            ("--thread=review", "review", None),
            ("-treview", "review", None),
        ],
    )
    def test_a_thread_may_have_a_name(self, line, thread, model):
        ask = parse_cell(line, "p")
        assert (ask.thread, ask.model) == (thread, model)

    def test_every_option_can_be_given_at_once(self):
        line = (
            "-m a,b -o x -s 'Be brief.' -t y -n -v df -v f.g -i 3-5,9 -a plot.png -a fig -f json --schema S "
            "-c -T 0.5 -k 9 -p top_p=0.9 -p tier=flex -b 0.05 -d -r --no-cache -q --raw -h "
            "--tag project=thesis --tag 'step=a b=c'"
        )
        assert parse_cell(line, "p") == CellRequest(
            prompt="p", model="a,b", out="x", system="Be brief.", thread="y", new=True,
            variables=("df", "f.g"), cells=(3, 4, 5, 9), attachments=("plot.png", "fig"), format="json",
            schema="S", code=True, temperature=0.5, max_tokens=9, params=(("top_p", 0.9), ("tier", "flex")),
            budget=0.05, dry_run=True, refresh=True, no_cache=True, quiet=True, raw=True, help=True,
            tags=(("project", "thesis"), ("step", "a b=c")),
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("value", "parsed"),
        [
            ("seed=7", ("seed", 7)),
            ('stop=\'["a", "b"]\'', ("stop", ["a", "b"])),
            ("on=true", ("on", True)),
            ("nothing=null", ("nothing", None)),
            ("tier=flex", ("tier", "flex")),
            ("x=NaN", ("x", "NaN")),
            ("empty=", ("empty", "")),
            ("eq=a=b", ("eq", "a=b")),
        ],
    )
    def test_a_parameter_is_json_if_it_can_be_read_as_such(self, value, parsed):
        assert parse_cell(f"-p {value}", "p").params == (parsed,)

    def test_a_system_prompt_may_come_from_a_variable(self):
        assert parse_cell("-s @rules", "p").system_variable == "rules"
        assert parse_cell("-s 'Mail @rules now'", "p").system_variable is None
        assert parse_cell("-s rules", "p").system_variable is None

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (
                "sonnet explain it",
                "'explain' is not an option. The line takes one model and options; the prompt goes below.",
            ),
            ("-m a b", "Two models: b and a. Keep one of them."),
            ("-o a -o b", "-o is given twice. Keep one of them."),
        ],
    )
    def test_a_second_word_is_an_error(self, line, message):
        with pytest.raises(CellError) as caught:
            parse_cell(line, "p")
        assert str(caught.value) == message

    @pytest.mark.parametrize("cell", ["", "\n  \n"])
    def test_an_empty_prompt_says_what_to_type(self, cell):
        with pytest.raises(CellError, match=r"The prompt is empty\. Type it into the lines below %%llm\."):
            parse_cell("sonnet", cell)

    def test_help_needs_no_prompt(self):
        assert parse_cell("-h", "").help


class TestLineMagic:
    @pytest.mark.parametrize(
        ("line", "prompt"),
        [
            ("what's up", "what's up"),
            ("how do I use -m in argparse", "how do I use -m in argparse"),
            ('-m gpt say "hi" -q \'x', 'say "hi" -q \'x'),
            ("-- help me", "help me"),
            ("-q -- -m is an option", "-m is an option"),
            ("-5 + 3", "-5 + 3"),
            ("- a", "- a"),
            ("model trains for the pope", "model trains for the pope"),
            ("doctor who?", "doctor who?"),
            ("budget for a wedding", "budget for a wedding"),
            ("budget 5 people", "budget 5 people"),
            ("replay attack explained", "replay attack explained"),
            ("tags of HTML and what they do", "tags of HTML and what they do"),
            ("cost: why?", "cost: why?"),
            ("fix my code", "fix my code"),
            ("fix this", "fix this"),
            ("explain recursion", "explain recursion"),
            ("alias Smith and his model", "alias Smith and his model"),
            ("thread safety in Python", "thread safety in Python"),
            ("last words of Goethe", "last words of Goethe"),
            ("export controls", "export controls"),
            ("-- fix", "fix"),
            ("-t review this", "review this"),
            ("  spaces   inside  ", "spaces   inside"),
        ],
    )
    def test_everything_after_the_leading_options_is_the_prompt(self, line, prompt):
        ask = parse_line(line)
        assert isinstance(ask, CellRequest)
        assert ask.prompt == prompt

    @pytest.mark.parametrize(
        "line", ["-m x hi", "-mx hi", "-m=x hi", "--model x hi", "--model=x hi", "-m 'x' hi", '-m "x" hi']
    )
    def test_an_option_can_be_written_in_each_usual_way(self, line):
        assert parse_line(line) == CellRequest(prompt="hi", model="x")

    def test_switches_can_share_a_dash(self):
        assert parse_line("-nqT0 hi") == CellRequest(prompt="hi", new=True, quiet=True, temperature=0.0)

    @pytest.mark.parametrize(
        ("line", "command"),
        [
            ("model", Command(name="model")),
            ("model openai:gpt-6-luna", Command(name="model", argument="openai:gpt-6-luna")),
            ("models gpt*", Command(name="models", argument="gpt*")),
            ("key openai", Command(name="key", argument="openai")),
            ("key --save openai", Command(name="key", argument="openai", save=True)),
            ("key openai --save", Command(name="key", argument="openai", save=True)),
            ("cost day", Command(name="cost", argument="day")),
            (" doctor ", Command(name="doctor")),
            ("budget", Command(name="budget")),
            ("budget 5", Command(name="budget", argument="5")),
            ("budget daily=5 per_call=.10", Command(name="budget", argument="daily=5 per_call=.10")),
            ("budget off", Command(name="budget", argument="off")),
            ("tags", Command(name="tags")),
            ("tags off", Command(name="tags", argument="off")),
            ("tags project=x step=2.1", Command(name="tags", argument="project=x step=2.1")),
            ("replay only demo.replay", Command(name="replay", argument="only demo.replay")),
            ("help me", Command(name="help", argument="me")),
            ("help --cells", Command(name="help", argument="--cells")),
            ("alias", Command(name="alias")),
            ("alias fast=openai:gpt-6-luna", Command(name="alias", argument="fast=openai:gpt-6-luna")),
            ("alias remove fast", Command(name="alias", argument="remove fast")),
            ("fix", Command(name="fix")),
            ("explain", Command(name="explain")),
            ("thread", Command(name="thread")),
            ("thread review", Command(name="thread", argument="review")),
            ("thread rename a b", Command(name="thread", argument="rename a b")),
            ("export", Command(name="export")),
            ("export notes.md", Command(name="export", argument="notes.md")),
            ("export thread a notes.md", Command(name="export", argument="thread a notes.md")),
            ("last", Command(name="last")),
            ("chat review", Command(name="chat", argument="review")),
        ],
    )
    def test_a_subcommand_is_the_whole_line(self, line, command):
        assert parse_line(line) == command

    def test_a_key_needs_a_provider(self):
        with pytest.raises(CellError, match=r"Whose key\? Name the provider: %llm key openai\."):
            parse_line("key")

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("--modle x hi", "Unknown option --modle. Did you mean --model?"),
            ("-z hi", "Unknown option -z. If this is part of the prompt, begin the prompt with --."),
            ("-model x hi", "-model has one dash too few. Write --model."),
            ("--m x hi", "Unknown option --m."),
            ("-T 2.5 hi", "-T '2.5': it must be a number from 0 to 2, like 0.7."),
            ("-T nan hi", "-T 'nan': it must be a number from 0 to 2, like 0.7."),
            ("--temperature=inf hi", "--temperature 'inf': it must be a number from 0 to 2, like 0.7."),
            ("-T . hi", "-T '.': it must be a number from 0 to 2, like 0.7."),
            ("-T ٣ hi", "-T '٣': it must be a number from 0 to 2, like 0.7."),
            ("-T 1e hi", "-T '1e': it must be a number from 0 to 2, like 0.7."),
            ("-i x hi", "-i 'x': it must be numbers of cells, like 3-7 or 3,5."),
            ("-i 7-3 hi", "-i '7-3': cell numbers start at 1, and ranges ascend, like 3-7."),
            ("-i 0 hi", "-i '0': cell numbers start at 1, and ranges ascend, like 3-7."),
            ("-i 1-999 hi", "-i '1-999': that is more than 100 cells."),
            ("-i 1-60,70-160 hi", "-i '1-60,70-160': that is more than 100 cells."),
            ("-f yaml hi", "-f 'yaml': it must be one of md, text, json, df, code."),
            ("-p top_p hi", "-p 'top_p': it must be KEY=VALUE, like top_p=0.9."),
            ("-p temperature=1 hi", "-p 'temperature=1': temperature has an option of its own: -T."),
            ("-p stream=false hi", "-p 'stream=false': llmkit sets stream itself."),
            ("-v 2x hi", "-v '2x': it must be a variable's name, like df."),
            ("-T warm hi", "-T 'warm': it must be a number from 0 to 2, like 0.7."),
            ("-k 0 hi", "-k '0': it must be a whole number above 0, like 500."),
            ("-k 1.5 hi", "-k '1.5': it must be a whole number above 0, like 500."),
            ("-o 2x hi", "-o '2x': it must be a variable's name, like answer."),
            ("-o class hi", "-o 'class': it must be a variable's name, like answer."),
            ("-m", "-m needs a value. Write -m NAME."),
            ("-m '' hi", "-m '': it must not be empty."),
            ("-s don't hi", 'The value of -s has an unclosed quote. Put it in double quotes: "…".'),
            ("--quiet=yes hi", "--quiet takes no value."),
            ("-q", "The prompt is empty. Type it after %llm, or %llm help."),
            ("", "The prompt is empty. Type it after %llm, or %llm help."),
        ],
    )
    def test_a_mistake_is_one_line_that_says_what_to_do(self, line, message):
        with pytest.raises(InvalidRequestError) as caught:
            parse_line(line)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)

    @given(st.text(max_size=60))
    def test_any_line_parses_or_says_why_not(self, line):
        for parse in (parse_line, lambda text: parse_cell(text, "p")):
            with contextlib.suppress(CellError):
                parse(line)

    @given(st.text(min_size=1, max_size=60))
    def test_two_dashes_make_anything_a_prompt(self, text):
        ask = parse_line(f"-- {text}x")
        assert ask == CellRequest(prompt=f"{text}x".strip())


class TestHelp:
    def test_each_option_is_documented_once(self):
        assert len({name for option in OPTIONS for name in option.names}) == sum(
            len(o.names) for o in OPTIONS
        )
        fields = set(CellRequest.__dataclass_fields__) - {"prompt", "failed"}  # what %llm fix corrects
        assert {option.field for option in OPTIONS} == fields

    def test_the_table_and_the_help_name_every_option(self):
        for option in OPTIONS:
            assert f"| `{option.usage}` | {option.help} |" in options_table().replace(r"\|", "|")
            assert option.usage in help_text()
        assert all(f"%llm {name}" in help_text() for name in COMMANDS)
        assert max(map(len, help_text().splitlines())) <= 100

    def test_help_on_a_topic_has_the_lines_about_it(self):
        assert help_on("--cells").startswith("-i, --cells 3-7")
        assert help_on("nothing like it") == ""


class Thing:
    name = "probe"
    token = "sk-ant-" + "a" * 30

    def __str__(self):
        return "a thing {{n}}"


SPACE = {
    "n": 3,
    "thing": Thing(),
    "d": {"k": [10, 20]},
    "_": "last",
    "naïve": "yes",
    "big": 1_234_567,
    "word": "two",
    "day": dt.date(2026, 11, 22),
    "frame": pd.DataFrame({"u": [1, 2]}),
}


class TestInterpolation:
    @pytest.mark.parametrize(
        ("text", "filled"),
        [
            ("{{n}} and {{ n }}", "3 and 3"),
            ("{{thing.name}}", "probe"),
            ("{{d['k'][1]}}{{d[\"k\"][-2]}}", "2010"),
            ("{{_}} {{naïve}}", "last yes"),
            ("{{thing}}", "a thing {{n}}"),
            (r"\{{n}} stays", "{{n}} stays"),
            ("{{frame}}", "   u\n0  1\n1  2"),
            ("{{frame.u[1]}}", "2"),
            ("{{frame.shape}}", "(2, 1)"),
            ("{{n:.2f}} {{ n:>4 }}|{{big:,}}", "3.00    3|1,234,567"),
            ("{{word!r}} {{word!s:>6}}", "'two'    two"),
            ("{{day:%Y-%m-%d}}", "2026-11-22"),
            ("{{thing.name:.3}}", "pro"),
        ],
    )
    def test_a_name_stands_for_its_value(self, text, filled):
        assert interpolate(text, SPACE).text == filled

    @pytest.mark.parametrize(
        "text",
        [
            "{n} ${n} {'a': {'b': 1}}", '{"a": {"b": 1}}', '{{"a": 1}}', r"\frac{a}{b}", r"2^{{n-1}}", "{{}}",
            "{{#if x}}", "style={{color: 'red'}}", "{{n", "n}}", "$n$", "{% n %}", r"\{{1}\}",
        ],
    )  # fmt: skip
    def test_other_braces_stay_as_they_were_typed(self, text):
        assert interpolate(text, SPACE).text == text

    @given(
        st.text(alphabet=st.characters(exclude_characters="{"), max_size=80)
        | st.text(alphabet="{ ab}\\n", max_size=20)
    )
    def test_text_without_double_braces_never_changes(self, text):
        if "{{" not in text:
            assert interpolate(text, SPACE).text == text

    @given(st.text(max_size=40))
    def test_a_value_is_not_looked_through_again(self, value):
        assert interpolate("<{{x}}>", {"x": value, "n": 1}).text.startswith("<")
        assert interpolate("{{x}}", {"x": "{{n}}" + "é", "n": 1}).text == "{{n}}é"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{{frme}}", "{{frme}}: frme is not defined. Did you mean frame?"),
            (
                "{{zzz}}",
                "{{zzz}}: zzz is not defined. Define it first, or write \\{{ (or --raw) to keep the braces.",
            ),
            ("{{thing.nme}}", "thing has no .nme. Did you mean name?"),
            ("{{d['kk']}}", "d has no ['kk']. Did you mean k?"),
            ("{{d['k'][9]}}", "d['k'] has no [9]."),
            ("{{n[0]}}", "n has no [0]."),
        ],
    )
    def test_what_is_not_there_is_an_error_with_the_nearest_name(self, text, message):
        with pytest.raises(CellError) as caught:
            interpolate(text, SPACE)
        assert str(caught.value) == message

    @pytest.mark.parametrize(
        "text",
        [
            "{{thing.__class__}}",
            "{{thing._x}}",
            "{{f()}}",
            "{{thing.name.upper()}}",
            "{{d[n]}}",
            "{{d['k'][0:1]}}",
            "{{n.}}",
        ],
    )
    def test_only_look_ups_are_allowed(self, text):
        with pytest.raises(CellError, match="is more than a lookup"):
            interpolate(text, SPACE)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{{word:.2f}}", "{{word:.2f}}: a str does not support the format '.2f'."),
            ("{{n:.2q}}", "{{n:.2q}} has an unsupported format."),
            ("{{n!x}}", "{{n!x}} has an unsupported format."),
            ("{{n:99999d}}", "{{n:99999d}} has an unsupported format."),
        ],
    )
    def test_a_format_that_does_not_fit_says_what_to_do(self, text, message):
        with pytest.raises(CellError) as caught:
            interpolate(text, SPACE)
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("text", ["style={{n: 'red'}}", "{{a: b}}", "2^{{n-1}}"])
    def test_a_colon_and_a_blank_are_no_format(self, text):
        assert interpolate(text, SPACE).text == text

    @pytest.mark.parametrize(
        "key",
        [
            "sk-" + "a1B2" * 6, "sk-ant-api03-" + "x" * 20, "AIza" + "b" * 35, "gsk_" + "c" * 30,
            "xai-" + "d" * 30, "ghp_" + "e" * 36, "AKIA" + "F" * 16, "Bearer " + "g" * 20, "hf_" + "h" * 30,
            "github_pat_" + "i" * 30,
        ],
    )  # fmt: skip
    def test_a_value_that_looks_like_a_key_is_left_out(self, key):
        result = interpolate("Is {{k}} right?", {"k": f"<{key}>"})
        assert result.text == "Is <[redacted]> right?"
        assert result.redacted == ("k",)

    def test_the_report_names_the_look_up_once(self):
        assert interpolate("{{thing.token}} {{thing.token}} {{n}}", SPACE).redacted == ("thing.token",)

    @pytest.mark.parametrize("text", ["task-force", "risk-" + "a" * 30, "sk-short", "Bearer of news"])
    def test_ordinary_words_are_not_keys(self, text):
        assert interpolate("{{t}}", {"t": text}).text == text

    def test_a_long_frame_shows_its_beginning_and_end(self):
        text = interpolate("{{f}}", {"f": pd.Series(range(100_000))}).text
        assert len(text) < 10_000
        assert "99999" in text

    def test_a_heap_of_braces_is_quick(self):
        assert interpolate("{{" * 100_000, SPACE).text == "{{" * 100_000


class TestNearlyACommand:
    @pytest.mark.parametrize(
        ("line", "hint"),
        [
            ("budgt", "Did you mean %llm budget?"),
            ("doktor", "Did you mean %llm doctor?"),
            ("replay onyl", "Write %llm replay"),
            ("budget daly=5", "Write %llm budget"),
            ("budget daily=5 per_cell=1", "Write %llm budget"),
        ],
    )
    def test_it_is_not_sent_for_it_would_cost_money(self, line, hint):
        with pytest.raises(CellError) as caught:
            parse_line(line)
        assert hint in str(caught.value)

    @pytest.mark.parametrize("line", ["-- budgt", "hello", "budget for two", "replay it slowly"])
    def test_a_prompt_stays_one(self, line):
        assert isinstance(parse_line(line), CellRequest)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("-tempereture 3", "--temperature"), ("-temprature=3", "--temperature"), ("-modle x", "--model")],
)
def test_a_long_option_nearly_typed_with_one_dash_is_suggested(typed, meant):
    with pytest.raises(CellError, match=f"Did you mean {meant}"):
        parse_cell(typed, "Hi")


def test_a_letter_keeps_the_value_that_is_attached_to_it():
    assert parse_cell("-tteam", "Hi").thread == "team"
    assert parse_cell("-tmodels -oout", "Hi").thread == "models"
    assert parse_cell("-msandbox", "Hi").model == "sandbox"
