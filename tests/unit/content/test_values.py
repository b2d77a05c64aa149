"""Several values in one answer: all of them, the corrected one, the one that fits, or an error; no guess."""

import json
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import BadResponseError
from llmkit.content.parsing import parse

RECORDS = [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
LINES = "\n".join(map(json.dumps, RECORDS))
NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


def block(value, language="json"):
    return f"```{language}\n{value if isinstance(value, str) else json.dumps(value)}\n```"


ALL = {
    "JSON Lines": LINES,
    "JSON Lines with blank lines": LINES.replace("\n", "\n\n") + "\n",
    "JSON Lines in a block": f"Here:\n{block(LINES, 'jsonl')}\nDone.",
    "JSON Lines in a block of JSON": block(LINES),
    "JSON Lines between words": f"Here are the final records:\n{LINES}\nI hope this helps.",
    "objects with commas between": LINES.replace("\n", ",\n"),
    "objects with bullets": "So:\n" + "\n".join(f"- {line}" for line in LINES.splitlines()),
    "objects with numbers": "So:\n" + "\n".join(f"{one['n']}. {json.dumps(one)}" for one in RECORDS),
    "several blocks": "\n".join(f"Part {n}:\n{block(one)}" for n, one in enumerate(RECORDS, 1)),
    "several blocks of lists": f"One:\n{block(RECORDS[:2])}\nTwo:\n{block(RECORDS[2:])}",
    "a list": json.dumps(RECORDS),
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_all_records_are_read(name):
    assert parse(ALL[name], "json") == RECORDS
    assert parse(ALL[name], "df").to_dict("list") == {"n": [1, 2, 3, 4]}
    assert parse(ALL[name], "df", NUMBER).to_dict("list") == {"n": [1, 2, 3, 4]}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(), min_size=1), min_size=2))
def test_lines_of_any_objects_are_all_read(records):
    assert parse("\n".join(map(json.dumps, records)), "json") == records
    assert len(parse("\n".join(map(json.dumps, records)), "df")) == len(records)


def test_a_thousand_records_between_words_are_all_read():
    records = [{"n": n, "name": "{"} for n in range(1000)]
    text = "Here:\n" + "\n".join(map(json.dumps, records)) + "\nDone."
    started = time.process_time()
    assert parse(text, "json") == records
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}\n{"n": 2}\n{"n": oops}\n{"n": 4}',
        '{"n": 1}\n{"n": 2}\n{"n":',
        'So:\n{"n": 1}\n{"n": 2, "x": [1, 2], oops}',
        'Result: {"a": {"n": 1}, oops',
        f"{block(RECORDS[0])}\nand\n{block('{oops', 'json')}",
        'The input was {"q": 7} and the output {"n": 42}.',
        f"Input:\n{block({'q': 7})}\nOutput:\n{block({'n': 42})}",
    ],
)
@pytest.mark.parametrize("form", ["json", "df"])
def test_what_would_be_a_guess_is_refused_with_the_text(text, form):
    with pytest.raises(BadResponseError) as caught:
        parse(text, form)
    assert caught.value.partial == text


@pytest.mark.parametrize(
    "text",
    [
        f"First attempt:\n{block({'n': 1000})}\nThat is wrong. Corrected:\n{block({'n': 42})}",
        'First attempt: {"n": 1000}. Corrected: {"n": 42}',
        f"Draft:\n{block({'n': 1000})}\nFinal:\n{block({'n': 42})}",
        f"{block({'n': 1000})}\nWait, I forgot the tax.\n{block({'n': 42})}",
        '{"n": 1000}\nSorry, that should be:\n{"n": 42}',
        'First:\n{"n": 1000,\nOops. Again, corrected:\n{"n": 41}\nActually:\n{"n": 42}',
        'Erster Versuch: {"n": 1000}. Korrigiert: {"n": 42}',
        f'{block({"n": 1000})}\nWait, that is wrong: it should be {{"n": 42}}.',
    ],
)
def test_of_a_draft_and_its_correction_the_correction_is_read(text):
    assert parse(text, "json") == {"n": 42}
    assert parse(text, "json", NUMBER) == {"n": 42}
    assert parse(text, "df").to_dict("list") == {"n": [42]}


def test_the_one_that_fits_the_schema_is_read_wherever_it_stands():
    assert parse('{"n": 7} was the plan; corrected: {"n": 0}', "json", NUMBER) == {"n": 7}
    assert parse(f"{block({'q': 1})}\n{block({'n': 2})}", "json", NUMBER) == {"n": 2}
    assert parse(f"{block([{'q': 1}])}\n{block([{'n': 2}])}", "df", NUMBER).to_dict("list") == {"n": [2]}


def test_several_that_fit_are_a_guess_where_one_is_wanted():
    with pytest.raises(BadResponseError, match="4 values that match"):
        parse(LINES, "json", NUMBER)
    with pytest.raises(BadResponseError, match="4 values that match"):
        parse(LINES, "json", "json")


def test_a_list_that_comes_in_lines_fits_a_schema_of_a_list():
    assert parse(LINES, "json", {"type": "array", "items": NUMBER}) == RECORDS


@pytest.mark.parametrize(
    "text",
    [
        'Here you are: {"n": 42} (in euros).',
        f"{block({'n': 42})}\nThat is {{n}} for you [1].",
        'Set {x} and {y}: {"n": 42}',
        '{"n": 42}\n\nAs above: {"n": 42}',
        'See [1, 2] and {}: {"n": 42}',
    ],
)
def test_one_value_between_words_is_read(text):
    assert parse(text, "json") == {"n": 42}


def test_what_follows_a_block_is_not_lost():
    text = f'{block({"n": 1})}\n{block("x = {}", "python")}\nAnd another one: {{"n": 2}}'
    assert parse(text, "json") == RECORDS[:2]
    assert parse(text, "df").to_dict("list") == {"n": [1, 2]}
    assert parse(f'{block([{"n": 1}])}\nAnd: {{"n": 2}}', "json") == RECORDS[:2]


def test_a_record_that_is_named_again_behind_its_list_is_no_further_one():
    text = f'{block(RECORDS)}\nEach of them is like {{"n": 1}}.'
    assert parse(text, "json") == RECORDS
    assert len(parse(text, "df")) == 4


@pytest.mark.parametrize(
    "text",
    [
        f'In the form {{"n": 0}}:\n{block({"n": 42})}',
        f'{block({"n": 42})}\nThe input was {{"q": 7}}.',
        f"{block({'n': 42})}\nIn Python:\n{block('x = {' + chr(34) + 'n' + chr(34) + ': 7}', 'python')}",
        f'{block({"n": 42})}\nAs I said: {{"n": 42}}',
    ],
)
def test_a_block_is_the_answer_whatever_stands_before_it(text):
    assert parse(text, "json") == {"n": 42}


ROWS = pd.DataFrame({"city": ["Rome", "Oslo"], "people": [3, 1]})


@pytest.mark.parametrize(
    "text",
    [
        "```csv\ncity,people\nRome,3\n```\nand\n```csv\ncity,people\nOslo,1\n```",
        "| city | people |\n|---|---|\n| Rome | 3 |\n\nNorth:\n\n| city | people |\n|---|---|\n| Oslo | 1 |",
        "```csv\ncity,people\nRome,3\n\ncity,people\nOslo,1\n```",
        "```\ncity,people\nRome,3\n```\nand\n```\ncity,people\nOslo,1\n```",
    ],
)
def test_tables_with_the_same_columns_are_one(text):
    pd.testing.assert_frame_equal(parse(text, "df"), ROWS)


def test_of_tables_with_different_columns_none_is_chosen_by_chance():
    text = "| city | people |\n|---|---|\n| Rome | 3 |\n\n| river | km |\n|---|---|\n| Po | 652 |"
    with pytest.raises(BadResponseError, match="2 tables with different columns"):
        parse(text, "df")


def test_of_tables_with_a_correction_the_last_is_read():
    text = "| n |\n|---|\n| 1 |\n\nI made a mistake; corrected:\n\n| n |\n|---|\n| 42 |"
    assert parse(text, "df").to_dict("list") == {"n": [42]}
