import json
import re
import subprocess
import sys

import pytest

from llmkit.sandbox.answers.answers import topic, write
from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.faults import Fault, parse, split_model
from llmkit.sandbox.pieces import count, split
from llmkit.sandbox.reply import reply


def ask(text, *, system="", **settings):
    turns = ((Turn("system", system),) if system else ()) + (Turn("user", text),)
    return Ask(model="sandbox", turns=turns, **settings)


def said(text, **settings):
    return write(ask(text, **settings))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Hello, world!",
        "  two\n\n\tlines ",
        "a" * 5000,
        "naïve café ☕️",
        "日本語のテキスト",
        "x_y = 1\r\n",
    ],
)
def test_tokens_joined_are_the_text_again(text):
    assert "".join(split(text)) == text
    assert len(split(text)) == count(text)


def test_the_same_conversation_gets_the_same_answer():
    question = ask("Explain the tides")
    assert reply(question, Fault()).text == reply(question, Fault()).text


def test_a_long_question_gets_a_heading_a_table_code_and_math():
    answer = said("Explain quantum computing")
    assert answer.startswith("# Quantum computing\n")
    assert "|---|" in answer
    assert "```python\n" in answer
    assert re.search(r"\$[^$\n]+\$", answer)
    assert re.search(r"^\$\$\n.+\n\$\$$", answer, re.MULTILINE)


def test_a_short_question_gets_a_short_answer():
    assert count(said("Hi there!")) < 30
    assert "Paris" in said("What is the capital of France?")
    assert said("What is 12 * 12?") == "12 * 12 = 144"


def test_the_topic_cannot_break_the_markdown_around_it():
    answer = said("Explain <script>alert(1)</script> | `code` **bold** $x$ {braces} please now")
    assert "<script>" not in answer
    assert "{braces}" not in answer


def test_a_very_long_question_is_quoted_by_its_beginning():
    assert len(topic("word " * 1000)) <= 81


def test_a_wish_for_an_echo_is_granted_verbatim():
    text = "  *a* `b`\n\n<c> $d$  "
    assert said(f"Repeat exactly: {text}") == text
    assert said(f"echo: {text}") == text


@pytest.mark.parametrize(("words", "number"), [("12 words", 12), ("one word", 1), ("three words", 3)])
def test_a_wish_for_a_number_of_words_is_kept_to(words, number):
    assert 0 < len(said(f"Explain the tides in {words}").split()) <= number


@pytest.mark.parametrize(
    "wish",
    [
        "Write a quicksort in Python",
        "Write a function for primes",
        "Give me code for fibonacci",
        "Write a script",
    ],
)
def test_code_in_an_answer_runs(wish):
    code = re.search(r"```python\n(.*?)```", said(wish), re.DOTALL)[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout


@pytest.mark.parametrize(
    ("review", "mood"),
    [
        ("I love this product, it is excellent!", "positive"),
        ("Terrible. It broke and support was rude.", "negative"),
        ("It was not good.", "negative"),
        ("The parcel is blue.", "neutral"),
    ],
)
def test_named_keys_get_values_of_their_kind(review, mood):
    keys = "{'sentiment': 'positive/negative/neutral', 'confidence': 0.0-1.0, 'reason': 'brief explanation'}"
    value = json.loads(said(f"Analyze: {review}\nReturn JSON with {keys}"))
    assert list(value) == ["sentiment", "confidence", "reason"]
    assert value["sentiment"] == mood
    assert 0 <= value["confidence"] <= 1
    assert value["reason"]


def test_the_system_prompt_can_ask_for_json():
    value = json.loads(
        said("The room was lovely.", system='Answer in JSON: {"label": "good|bad", "stars": 1-5}')
    )
    assert value == {"label": "good", "stars": 4}


def test_a_schema_is_kept():
    schema = {
        "type": "object",
        "properties": {
            "mood": {"enum": ["positive", "negative", "neutral"]},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "tags": {"type": "ARRAY", "items": {"type": "STRING"}},
            "person": {"$ref": "#/$defs/person"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "$defs": {"person": {"type": "object", "properties": {"age": {"type": "integer"}}}},
    }
    value = json.loads(said("I love it", wants_json=True, schema=schema))
    assert value["mood"] == "positive"
    assert 0 <= value["score"] <= 1
    assert all(isinstance(tag, str) for tag in value["tags"])
    assert isinstance(value["person"]["age"], int)


def test_a_schema_that_refers_to_itself_ends():
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert json.loads(said("Anything", wants_json=True, schema=schema))


def test_a_name_given_before_is_remembered():
    turns = (Turn("user", "My name is Ada."), Turn("assistant", "Hi!"), Turn("user", "What is my name?"))
    assert write(Ask(model="sandbox", turns=turns)) == "Your name is Ada."


def test_the_answer_is_cut_at_the_limit():
    answer = reply(ask("Explain the tides", max_tokens=7), Fault())
    assert (len(answer.pieces), answer.finish, answer.tokens.output) == (7, "length", 7)


def test_the_answer_ends_before_a_stop_sequence():
    answer = reply(ask("echo: one two STOP three", stop=("STOP",)), Fault())
    assert (answer.text, answer.finish, answer.stop_sequence) == ("one two ", "stop_sequence", "STOP")


@pytest.mark.parametrize("tokens", [0, 1, 5000])
def test_an_answer_can_have_any_length(tokens):
    answer = reply(ask("Explain the tides"), parse(f"tokens={tokens}"))
    assert len(answer.pieces) == tokens
    assert answer.finish == "stop"


def test_later_items_of_a_specification_win():
    assert parse("stall=3; rate=5 ;cut=1") == Fault(breaks="cut", after=1, rate=5.0)


@pytest.mark.parametrize(
    "spec", ["bogus", "stall", "stall=-1", "rate=fast", "status=99", "delay=inf", "html=1"]
)
def test_a_specification_that_is_not_understood_names_the_item(spec):
    with pytest.raises(ValueError, match=re.escape(repr(spec))):
        parse(spec)


def test_the_fault_is_taken_out_of_the_name():
    assert split_model("sandbox!429;retry-after=2") == ("sandbox", "429;retry-after=2")
    assert split_model("sandbox") == ("sandbox", "")
