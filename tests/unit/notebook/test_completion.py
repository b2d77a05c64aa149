"""What can be typed next after `%%llm` and `%llm`."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter

from llmkit.notebook.cell.completion import Choice, Known, complete
from tests.support.kernels import Kernel
from tests.support.shells import opened

KNOWN = Known(
    models=lambda: [Choice("sonnet", "$3→$15 /M"), Choice("openai:gpt-x"), Choice("sandbox")],
    threads=["review", "plan"],
    variables={"df": 1, "data": "x", "load_sales": print, "_hidden": 2},
    aliases=lambda: {"fast": "openai:gpt-x"},
    providers=lambda: ["openai", "own"],
    tags={"project": "thesis"},
)


def texts(typed):
    found = complete(typed, KNOWN)
    return None if found is None else [choice.text for choice in found.choices]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("%%llm s", ["sonnet", "sandbox"]),
        ("%%llm -o x s", ["sonnet", "sandbox"]),
        ("%%llm sonnet s", []),
        ("%%llm -m o", ["openai:gpt-x"]),
        ("%%llm -m sonnet,sa", ["sonnet,sandbox"]),
        ("%%llm -mso", ["sonnet"]),
        ("%%llm --model=so", ["sonnet"]),
        ("%%llm --m", ["--max-cost", "--max-steps", "--max-tokens", "--model"]),
        ("%%llm -x lo", ["load_sales"]),
        ("%%llm -x load_sales,py", ["load_sales,python"]),
        ("%%llm -t r", ["review"]),
        ("%llm -tr", ["review"]),
        ("%%llm -v d", ["data", "df"]),
        ("%%llm -v _", ["_hidden"]),
        ("%%llm -nqv d", ["data", "df"]),
        ("%%llm -s @d", ["@data", "@df"]),
        ("%%llm -s d", []),
        ("%%llm -f ", ["md", "text", "json", "df", "code"]),
        ("%%llm -T ", []),
        ("%llm mo", ["model", "models"]),
        ("x = %llm mo", ["model", "models"]),
        ("%llm model s", ["sonnet", "sandbox"]),
        ("%llm thread delete ", ["review", "plan"]),
        ("%llm alias remove ", ["fast"]),
        ("%llm alias quick=so", ["quick=sonnet"]),
        ("%llm key o", ["openai", "own"]),
        ("%llm help --ma", ["--max-steps", "--max-cost", "--max-tokens"]),
        ("%llm export thread ", ["review", "plan"]),
        ("%%llm --tag p", ["project=thesis"]),
        ("%llm tags ", ["off", "project=thesis"]),
        ("%llm tags step=2 pro", ["project=thesis"]),
        ("%llm why is d", []),
        ("%llm why is {{d", ["data", "df"]),
        ("y = 1\n%llm mo", ["model", "models"]),
        ("%%llm\nprint(d", []),
        ("%%llm\nthe columns {{d", ["data", "df"]),
    ],
)
def test_our_words_complete_and_no_others(typed, expected):
    assert texts(typed) == expected


@pytest.mark.parametrize("typed", ["print(d", "%llm", "%%llm", "%lls x", "s = 'a'\nd", "%%time\n%x"])
def test_other_lines_are_left_to_ipython(typed):
    assert texts(typed) is None


TICKETS = pd.DataFrame(columns=["text", "team", "order id", "o'clock", 7])
FRAMES = Known(
    variables={
        "df": TICKETS,
        "polars_df": pl.DataFrame(schema=["text"]),
        "table": pa.table({"text": ["a"]}),
        "lazy": pl.LazyFrame({"text": ["a"]}),
        "number": 1,
    }
)


@pytest.mark.parametrize(
    ("typed", "fragment", "expected"),
    [
        ('df.llm.map("Summarise: {{te', "te", ["text", "team"]),
        ('df.llm.map("{{team}}: {{ te', "te", ["text", "team"]),
        ('df.llm.classify("te', "te", ["text", "team"]),
        ('df.llm.score("', "", ["text", "team", "order id", "o'clock", "7"]),
        ("df.llm.filter('o", "o", ["order id"]),
        ('out = await df.llm.amap(\n    "One line.\\n"\n    "{{order', "order", ["order id"]),
        ('df.llm.decide(prompt="te', "te", ["text", "team"]),
        ('df.llm.map("What is it?", attach="te', "te", ["text", "team"]),
        ('df.llm.map("""Of\n{{te', "te", ["text", "team"]),
        ('say("it\'s") # "\ndf.llm.map("{{te', "te", ["text", "team"]),
        ('polars_df.llm.map("{{t', "t", ["text"]),
        ('llmkit.frames.map(table, "{{t', "t", ["text"]),
        ('frames.classify(df, "te', "te", ["text", "team"]),
    ],
)
def test_columns_complete_in_what_a_verb_asks_of_each_row(typed, fragment, expected):
    found = complete(typed, FRAMES)
    assert (found.fragment, [choice.text for choice in found.choices]) == (fragment, expected)


@pytest.mark.parametrize(
    "typed",
    [
        'df.llm.map("Summarise: te',  # no column: text
        'df.llm.classify("text", ["te',
        'df.llm.map("text", system="{{te',
        'df.llm.map("text") + "{{te',
        'df.llm.map(f"{{te',
        'df.map("{{te',
        'df["te',
        'other.df.llm.map("{{te',
        'df[df.team == 1].llm.map("{{te',
        'number.llm.map("{{te',
        'lazy.llm.map("{{te',
        'unknown.llm.map("{{te',
        'frames.map(df.head(), "{{te',
        "df.llm.map(te",
        'df.llm.map("te"',
        "df.llm.",
    ],
)
def test_no_columns_are_offered_elsewhere(typed):
    assert complete(typed, FRAMES) is None


def test_nothing_is_evaluated_to_complete_a_column():
    class Watched:
        def __getattr__(self, name):
            raise AssertionError(name)

    assert complete('df.llm.map("{{te', Known(variables={"df": Watched()})) is None


def test_files_and_variables_complete_an_attachment(tmp_path):
    (tmp_path / "dogs.png").touch()
    (tmp_path / "down").mkdir()
    assert texts("%%llm -a d") == ["data", "df", "dogs.png", "down/"]


def test_models_come_with_their_prices():
    assert complete("%%llm so", KNOWN).choices == [Choice("sonnet", "$3→$15 /M")]


def test_only_what_stands_before_the_cursor_is_replaced():
    assert complete("%%llm --model=so", KNOWN).fragment == "so"
    assert complete("%%llm\n{{ da", KNOWN).fragment == "da"


@given(
    st.sampled_from(["%%llm", "%llm", "x = %llm", "%%llm\n"]),
    st.text(alphabet="-mtva=, @{.\"'x\n\t", max_size=30),
)
def test_whatever_is_typed_its_end_is_what_is_replaced(start, rest):
    typed = f"{start} {rest}"
    found = complete(typed, KNOWN)
    assert found is None or typed.endswith(found.fragment)


@pytest.fixture(scope="module")
def session():
    with opened() as shell:
        yield shell


@pytest.fixture
def shell(session):
    session.do("%reload_ext llmkit")
    return session


def offered(shell, text):
    with provisionalcompleter():
        return list(shell.shell.Completer.completions(text, len(text)))


TYPED = {
    "%%llm --": {"option"},
    "%%llm -m ": {"alias", "provider", "model", "no\u2011key"},
    "%%llm ": {"alias", "provider", "model", "no\u2011key"},
    "%llm mo": {"command"},
    "%llm key ": {"provider"},
    "%llm alias remove ": {"alias"},
    "%llm thread ": {"command"},
    "%llm help ": {"command", "option"},
    "%llm replay ": {"word"},
    "%%llm -f ": {"format"},
    "%%llm -v ta": {"variable"},
    "%%llm -s @ta": {"variable"},
    "%%llm -a ./": {"file", "folder"},
    "%%llm\n{{ta": {"variable"},
}


@pytest.mark.parametrize("typed", TYPED)
def test_each_completion_has_its_kind_as_one_word(shell, typed, monkeypatch):
    Path("notes.txt").touch()
    Path("more").mkdir()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    shell.do("table = 1")
    assert {each.type for each in offered(shell, typed)} == TYPED[typed]


def test_descriptions_travel_beside_the_completions(shell):
    (option,) = offered(shell, "%%llm --temp")
    assert (option.text, option.signature) == ("--temperature", "sampling temperature, 0 to 2")
    (model,) = offered(shell, "%%llm -m sandbox:sandbox-m")
    assert model.signature == "free"


def test_a_front_end_that_knows_the_current_line_only_gets_the_same_words(shell):
    assert shell.shell.complete("mo", "%llm mo", 7) == ("mo", ["model", "models"])
    assert shell.shell.complete("zz", "%llm model zz", 13) == ("zz", ["zz"])
    with pytest.warns(PendingDeprecationWarning):  # IPython's own words about this method
        assert "%timeit" in shell.shell.complete("%timei", "%timei", 6)[1]


def test_completions_of_python_are_left_as_they_are(shell):
    shell.do("table = 1")
    found = {each.text: each for each in offered(shell, "tab")}
    assert found["table"].type != "variable"


def test_columns_complete_in_every_way_in_which_a_front_end_asks(shell):
    shell.do("import pandas\nframe = pandas.DataFrame(columns=['text', 'team', 'other'])")
    typed = 'x = 1\nframe.llm.map("Summarise: {{te'
    assert [(each.text, each.type) for each in offered(shell, typed)] == [
        ("text", "column"),
        ("team", "column"),
    ]
    line = 'frame.llm.classify("te'
    assert shell.shell.complete("te", line, len(line)) == ("te", ["text", "team"])


@pytest.mark.full
def test_the_verbs_complete_after_the_accessor(shell):
    shell.do("import pandas\nframe = pandas.DataFrame(columns=['text'])")
    found = {each.text.rpartition(".")[2] for each in offered(shell, "frame.llm.")}
    assert {"map", "amap", "extract", "classify", "filter", "score", "decide"} <= found


def test_the_price_of_every_model_is_the_one_that_the_list_shows(shell):
    listed = shell.do("%llm models").value
    found = {each.text: each.signature for each in offered(shell, "%%llm -m ")}
    wrong = []
    for name, row in listed.iterrows():
        prices = re.search(r"\$([\d.]+)→\$([\d.]+) /M", found.get(name, ""))
        if prices is not None and [float(each) for each in prices.groups()] != [row.iloc[1], row.iloc[3]]:
            wrong.append((name, found[name], row.iloc[1], row.iloc[3]))
    assert not wrong
    assert sum("→" in each for each in found.values()) > 10


def test_models_without_a_key_are_marked_and_last(shell, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    found = offered(shell, "%%llm -m ")
    marked = ["no key" in each.signature for each in found]
    assert marked == sorted(marked) == [each.type == "no\u2011key" for each in found]
    by_name = {each.text: each.signature for each in found}
    assert "no key" in by_name["openai"]
    assert not [
        name
        for name in by_name
        if name.startswith(("anthropic", "sandbox", "ollama")) and "no key" in by_name[name]
    ]


@pytest.mark.kernel
def test_a_front_end_that_asks_what_a_word_is_gets_its_description(tmp_path):
    kernel = Kernel(tmp_path, LLMKIT_LEDGER=":memory:")

    def told(code):
        request = kernel.client.inspect(code, cursor_pos=len(code) + 5)
        data = kernel._reply(request)["data"]
        return data.get("text/plain", "")

    kernel.run("%load_ext llmkit\n%load_ext llmkit")
    assert told("%%llm --temperature") == "sampling temperature, 0 to 2"
    assert "the most" not in told("%%llm\nsome prompt with print")
    assert "Prints the values" in told("print") or "Docstring" in told("print")
    kernel.run("%unload_ext llmkit")
    assert told("%%llm --temperature") != "sampling temperature, 0 to 2"
    kernel.close()
