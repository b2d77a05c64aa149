"""The sandbox judges questions about rows by the words that they share with the text."""

import pandas as pd
import pytest

from llmkit.frames import Choice, Score, YesNo, classify, decide, score

TICKETS = pd.DataFrame(
    {
        "text": [
            "I was charged twice for my invoice.",
            "The app crashes at login!",
            "What time is it?",
            "Still no refund! This is outrageous.",
        ]
    }
)
TEAMS = {"billing": "invoices, charges, refunds", "technical": "login, crashes, errors"}
SANDBOX = {"model": "sandbox", "progress": False, "store": False}


def test_a_label_is_the_one_whose_description_shares_most_words():
    found = classify(TICKETS, "text", TEAMS, other="none of these", **SANDBOX)
    assert found["label"].tolist() == ["billing", "technical", "none of these", "billing"]


def test_several_labels_are_those_that_share_a_word():
    frame = pd.DataFrame({"text": ["Charged after a crash", "Hello"]})
    assert classify(frame, "text", TEAMS, multi=True, **SANDBOX)["label"].tolist() == [
        ["billing", "technical"],
        [],
    ]


def test_conditions_and_levels_go_by_the_words_too():
    questions = {
        "refund": YesNo("Is a refund asked for?"),
        "team": Choice(TEAMS),
        "anger": Score(["calm", "annoyed", "furious"]),
    }
    found = decide(TICKETS, "text", questions, **SANDBOX)
    assert found["refund"].tolist() == [False, False, False, True]
    assert found["anger"].tolist() == ["calm", "annoyed", "calm", "furious"]


MESSAGES = {
    "I was charged twice.": "billing",
    "Where is my refund?": "billing",
    "My invoice is wrong.": "billing",
    "Can I pay by card?": "billing",
    "My subscription was renewed without asking.": "billing",
    "You took the money two times.": "billing",
    "Why is my bill so high?": "billing",
    "The app crashes.": "technical",
    "The page does not load.": "technical",
    "The export button does nothing.": "technical",
    "I get error 500 when I upload a file.": "technical",
    "The screen stays black.": "technical",
    "The video freezes all the time.": "technical",
    "How do I log in?": "account",
    "I forgot my password.": "account",
    "Please change my email address.": "account",
    "How do I change my username?": "account",
    "I can't sign in.": "account",
}


def test_common_teams_need_no_description():
    frame = pd.DataFrame({"text": list(MESSAGES)})
    found = classify(frame, "text", ["billing", "technical", "account"], **SANDBOX)
    assert dict(zip(frame["text"], found["label"], strict=True)) == MESSAGES


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["calm", "annoyed", "furious"], ["furious", "calm", "annoyed"]),
        (["angry", "neutral", "happy"], ["angry", "happy", "angry"]),
    ],
)
def test_moods_are_labels_too(labels, expected):
    frame = pd.DataFrame({"text": ["This is outrageous!", "Thank you, I love it.", "It is slow again."]})
    assert classify(frame, "text", labels, **SANDBOX)["label"].tolist() == expected


def test_waiting_in_vain_is_annoying():
    frame = pd.DataFrame({"text": ["Nobody answers.", "This is outrageous!", "All is well."]})
    found = score(frame, "text", "How angry is the writer?", ["calm", "annoyed", "furious"], **SANDBOX)
    assert found["score"].tolist() == ["annoyed", "furious", "calm"]
