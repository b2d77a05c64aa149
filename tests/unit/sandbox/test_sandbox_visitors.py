"""What visitors asked the sandbox: values of tables, files, code, short texts, people as JSON, labels."""

from __future__ import annotations

import json

import pytest

from llmkit.content.attachments import attach
from llmkit.content.messages import LLMMessage
from llmkit.providers.attachment_limits import written
from llmkit.sandbox.answers.answers import write
from llmkit.sandbox.answers.labels import by_words
from llmkit.sandbox.conversation import Ask, Turn

SURVEY = """id,comment,stars,topic
1,"The trainers are friendly, and know my name.",5,staff
2,Dirty showers again.,1,cleanliness
3,Great spin classes.,5,staff
4,Two treadmills are broken.,2,equipment
"""


def said(question: str, system: str = "") -> str:
    """Return the answer to a question."""
    turns = (Turn("system", system),) if system else ()
    return write(Ask(model="sandbox", turns=(*turns, Turn("user", question))))


def of_file(question: str) -> str:
    """Return the answer to a question about an attached file."""
    return said(written(LLMMessage("user", question, (attach(SURVEY.encode(), "survey.csv"),))))


def test_a_maximum_that_several_rows_share_is_said_without_a_text_as_their_name():
    assert said(f"What is the maximum of stars?\n\n{SURVEY}") == "The largest stars is 5, in 2 rows."


def test_few_rows_that_share_a_maximum_are_named_by_what_is_their_own():
    table = "city,people\nRome,3\nOslo,1\nLima,3\n"
    assert said(f"Which is the largest?\n\n{table}") == "The largest people is 3, in 2 rows (Rome and Lima)."


def test_two_rows_of_one_name_are_not_named_for_their_maximum():
    table = "city,people\nRome,3\nOslo,1\nRome,2\n"
    assert said(f"What is the maximum of people?\n\n{table}") == "The largest people is 3."


@pytest.mark.parametrize("name", ["id", "user_id", "Unnamed: 0"])
def test_a_description_has_no_statistics_of_identifiers(name):
    answer = said(f"Describe this table.\n\n{SURVEY.replace('id,', f'{name},', 1)}")
    assert answer == "Stars goes from 1 (cleanliness) to 5, with a mean of 3.25."


def test_a_table_of_identifiers_and_texts_is_described_by_its_size():
    answer = said("Describe this table.\n\nid,comment\n1,Fine.\n2,Cold.\n")
    assert answer == "It has 2 rows and 2 columns: id and comment."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many rows are in this file?", "It has 4 rows and 4 columns."),
        ("How many rows does survey.csv have?", "It has 4 rows and 4 columns."),
        ("Describe this file.", "Stars goes from 1 (cleanliness) to 5, with a mean of 3.25."),
        ("What is the mean of stars?", "The mean of stars is 3.25."),
    ],
)
def test_an_attached_csv_file_is_read_as_the_table_that_it_is(question, answer):
    assert of_file(question) == answer


def test_rows_without_a_value_are_counted_apart():
    answer = said("How many products cost more than 100?\n\nproduct,price\nlamp,120\ndesk,340\nrug,\n")
    assert answer == "2 rows have price more than 100; 1 row has no price."


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("for i in range(3): print(i**2)", "It prints 0, 1 and 4."),
        ("for n in range(2, 8, 2): print(n // 2 - 5 % 3)", "It prints -1, 0 and 1."),
    ],
)
def test_a_short_loop_is_explained_with_what_it_prints(code, outcome):
    assert said(f"What does this code do? {code}").endswith(outcome)


@pytest.mark.parametrize(
    "code",
    [
        "for i in range(10**9): print(i)",
        "for i in range(3): print(9**9**9)",
        "for i in range(3): print(i / 0)",
        "for i in range(3): print(unknown)",
    ],
)
def test_what_a_long_or_a_failing_loop_prints_is_not_computed(code):
    assert "It prints" not in said(f"What does this code do? {code}")


def test_sql_that_counts_has_no_limit_that_nobody_asked_for():
    answer = said("Write a SQL query that counts orders per customer.")
    assert "GROUP BY customer" in answer
    assert "HAVING" not in answer


def test_random_numbers_keep_to_the_limits_that_are_asked_for():
    answer = said("Give me 5 random numbers between 1 and 10 as a Python list.")
    assert "random.randint(1, 10) for _ in range(5)" in answer


def test_a_misspelling_by_one_letter_is_corrected_too():
    answer = said("Correct the spelling: I recieved teh letter yesterdey.")
    assert answer == "I received the letter yesterday."


def test_a_word_that_is_spelt_right_is_left_alone():
    assert said("Correct the spelling: The school is really quiet.") == "The school is really quiet."


def test_a_fictional_person_is_invented_as_json():
    answer = said("Give me a JSON object with name and age of a fictional person.")
    assert json.loads(answer) == {"name": "Mira Sandberg", "age": 34}


def test_the_fields_of_a_text_are_extracted_as_json():
    answer = said("Extract name and age as JSON: Tom is 31 and lives in Kiel.")
    assert json.loads(answer) == {"name": "Tom", "age": 31}


def test_short_sentences_become_one_if_one_is_asked_for():
    answer = said("Summarise in one sentence: The cat sat on the mat. The bird sang. The dog came home late.")
    assert answer == "The cat sat on the mat, the bird sang, and the dog came home late."


def test_sentences_that_may_begin_with_a_name_are_not_joined():
    assert said("Summarise in one sentence: Ann sings. Bob ran home.") == "Ann sings."


def test_a_summary_in_few_words_leaves_out_the_small_ones():
    answer = said("Summarise this text in 5 words: Two of the treadmills have been broken for weeks.")
    assert answer == "Two treadmills broken for weeks."


def test_three_bullet_points_are_three():
    answer = said("Explain in three bullet points what a p-value is.")
    assert [line[:2] for line in answer.splitlines()] == ["- "] * 3


def test_a_list_says_the_properties_that_are_asked_for_in_the_plural():
    answer = said("List three rivers with their lengths.")
    assert answer == "Nile (6,650 km), Amazon (6,400 km) and Yangtze (6,300 km)."


def test_a_list_with_properties_is_a_table_of_numbers_if_csv_is_asked_for():
    answer = said("List three rivers with their lengths.", "Answer with one table as CSV.")
    assert answer == "```csv\nriver,length\nNile,6650\nAmazon,6400\nYangtze,6300\n```"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Showers were dirty again this morning.", "cleanliness"),
        ("There was mould in the changing room.", "cleanliness"),
        ("Two treadmills have been out of order for weeks.", "equipment"),
        ("I was charged 20 euros more than agreed.", "price"),
        ("The receptionist was rude to me.", "staff"),
        ("The trainers know my name.", "staff"),
    ],
)
def test_bare_labels_are_chosen_by_the_words_that_speak_for_them(text, label):
    labels = ["staff", "cleanliness", "equipment", "price", "other"]
    assert by_words(labels, text, {})[:1] == [label]
    assert said(f"Classify as {', '.join(labels[:-1])} or other: {text}") == f"{label.capitalize()}."


@pytest.mark.parametrize("text", ["There was mould in the changing room.", "Someone stole my bag."])
def test_mould_and_theft_are_negative(text):
    assert said(f"Is this positive, negative or neutral? {text}").startswith("Negative.")
