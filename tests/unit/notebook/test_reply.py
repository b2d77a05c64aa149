"""The value that `%%llm` gives back, and the questions that reach it."""

from __future__ import annotations

import pytest

from llmkit import BadResponseError, LLMResponse
from llmkit.notebook.cell.input_transformer import keep_questions
from llmkit.notebook.reply import Reply


def reply(text):
    return Reply(LLMResponse(text, "openai", "gpt-6-luna", 3, 1, 2, 0.25))


def test_it_is_text_where_text_is_wanted():
    assert f"{reply('Hello')}!" == "Hello!"
    assert (reply("Hello").text, reply("Hello").cost) == ("Hello", 0.25)


def test_code_is_what_stands_in_the_fences_of_one_language():
    assert reply("Do:\n```bash\npip\n```\n```python\na = 1\n```\nthen\n~~~py\nb\n~~~\n").code == "a = 1\nb"
    assert reply("Do:\n```\na = 1\n```\n").code == "a = 1"


@pytest.mark.parametrize(
    "words",
    [
        "Corrected:",
        "**Corrected version:**",
        "Oops, that fails for 0. Here is the fixed code:",
        "Wait.\n\nHere\u2019s the updated function:",
        "Sorry, the corrected cell:",
    ],
)
def test_a_corrected_block_replaces_the_ones_before_it(words):
    text = f"Try:\n```python\na = 1/0\n```\n{words}\n```python\na = 1\n```\nThen:\n```python\nprint(a)\n```\n"
    assert reply(text).code == "a = 1\nprint(a)"


@pytest.mark.parametrize(
    "words",
    ["Then:", "The bug is fixed. Now run:", "Now call the fixed function:", "Plot the updated table:", ""],
)
def test_a_block_that_goes_on_is_joined_to_the_ones_before_it(words):
    assert reply(f"```python\na = 1\n```\n{words}\n```python\nb = 2\n```\n").code == "a = 1\nb = 2"


def test_a_correction_of_another_language_replaces_nothing():
    text = "```python\na = 1\n```\nCorrected:\n```bash\nls\n```\nThen:\n```python\nb = 2\n```\n"
    assert reply(text).code == "a = 1\nb = 2"


def test_code_is_empty_without_a_fence():
    assert reply("just `words`").code == ""


@pytest.mark.parametrize("text", ['{"a": 1}', '```json\n{"a": 1}\n```', ' {"a": 1}\n'])
def test_json_is_read_inside_a_fence_or_not(text):
    assert reply(text).json() == {"a": 1}


def test_what_is_not_json_is_a_clear_error_with_the_text():
    with pytest.raises(BadResponseError, match="not JSON") as caught:
        reply("Sorry.").json()
    assert caught.value.partial == "Sorry."


def test_json_is_checked_against_a_schema():
    schema = {"type": "object", "required": ["b"]}
    assert reply('So: {"b": 1}').json(schema) == {"b": 1}
    with pytest.raises(
        BadResponseError, match=r"does not match the schema: \$: 'b' is a required property"
    ) as caught:
        reply('{"a": 1}').json(schema)
    assert (caught.value.provider, caught.value.model) == ("openai", "gpt-6-luna")


def test_a_table_is_a_frame():
    assert reply("| a | b |\n|---|---|\n| 1 | x |").df.to_dict("list") == {"a": [1], "b": ["x"]}
    with pytest.raises(BadResponseError, match="no table"):
        _ = reply("Sorry.").df


def test_its_repr_is_short():
    assert len(repr(reply("x" * 10_000))) < 120


@pytest.mark.parametrize(
    "line", ["%llm why?\n", "x = %llm why?\n", "  %llm is 'it' so?  \n", "d['k'] = %llm why?\n"]
)
def test_a_question_reaches_the_magic(line):
    (changed,) = keep_questions([line])
    assert "run_line_magic('llm', " in changed
    assert changed.startswith(line.split("%", maxsplit=1)[0])


@pytest.mark.parametrize(
    "lines",
    [
        ["%llm?\n"],
        ["%llm??\n"],
        ["%llm no question\n"],
        ["%%llm\n", "%llm why?\n"],
        ["text = '''\n", "%llm why?\n", "'''\n"],
        ["# %llm why?\n"],
        [],
    ],
)
def test_all_else_stays_as_it_is(lines):
    assert keep_questions(list(lines)) == lines


def test_a_cut_representation_ends_with_an_ellipsis():
    assert repr(reply("x" * 60)).endswith(f"{'x' * 60}'>")
    assert repr(reply("x" * 61)).endswith(f"{'x' * 59}…'>")


def test_a_stopped_answer_that_has_no_table_says_that_it_was_stopped():
    stopped = Reply(LLMResponse("The planets are", "openai", "gpt-6-luna"), ended=False)
    with pytest.raises(BadResponseError, match="The answer was stopped before its end"):
        _ = stopped.df
