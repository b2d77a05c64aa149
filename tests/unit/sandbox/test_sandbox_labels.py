"""The sandbox judges questions about rows by the words that they share with the text."""

import pandas as pd

from llmkit.frames import Choice, Score, YesNo, classify, decide

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
