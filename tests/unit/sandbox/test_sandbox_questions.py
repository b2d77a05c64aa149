"""What answers to the questions of README, help, notebooks, documentation and starters must have."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest
from pydantic import BaseModel

from llmkit.content.describe import card
from llmkit.sandbox.answers.answers import write
from llmkit.sandbox.conversation import Ask, Turn

KIOSK = pd.DataFrame(
    {
        "temperature": [14, 15, 19, 22, 24, 27, 29, 30, 26, 21, 18, 16, 15, 20],
        "coffee": [88, 85, 71, 66, 60, 51, 47, 12, 55, 68, 75, 83, 86, 70],
        "lemonade": [9, 11, 22, 31, 36, 48, 55, 57, 44, 28, 19, 14, 10, 24],
    },
    index=pd.date_range("2026-06-01", periods=14, name="day"),
)
SALES = pd.DataFrame(
    {"city": ["Rome", "Oslo", "Rome", "Lima"], "sales": [30, 10, 50, None], "staff": [3, 1, 4, 2]}
)
"""A column with a missing value, and one with words."""


def said(*questions: str, model: str = "sandbox", system: str = "") -> str:
    """Return the last answer of a conversation."""
    turns: tuple[Turn, ...] = (Turn("system", system),) if system else ()
    answer = ""
    for question in questions:
        turns = (*turns, Turn("user", question))
        answer = write(Ask(model=model, turns=turns))
        turns = (*turns, Turn("assistant", answer))
    return answer


FACTS = [
    ("Name three rivers.", "Nile, Amazon and Yangtze"),
    ("Name a river.", "Nile"),
    ("Name four rivers.", "Yellow River"),
    ("name three rivers", "Amazon"),
    ("Name a hill.", "Arthur's Seat"),
    ("What is the capital of Peru?", "Lima"),
    ("what's the capital of the UK?", "London"),
    ("Compare the planets in a table.", "| **Jupiter** |"),
    ("Why do the tides come twice a day? Answer in 25 words.", "Moon"),
    ("What is the biggest country in Africa?", "Algeria"),
    ("how tall is mount everest", "8,849 m"),
    ("Which language do they speak in Brazil?", "Portuguese"),
    ("What currency is used in Japan?", "yen"),
    ("How many people live in Germany?", "84 million"),
    ("Who wrote Hamlet?", "Shakespeare"),
    ("When did World War II end?", "1945"),
    ("What is the boiling point of water?", "100 °C"),
    ("How far is the moon?", "384,400 km"),
    ("What is the chemical symbol for gold?", "Au"),
    ("Who painted the Mona Lisa?", "Leonardo"),
    ("List the three longest rivers in the world", "Yangtze"),
    ("name 5 European capitals", "Berlin"),
    ("Which planet is closest to the sun?", "Mercury"),
    ("How many moons does Mars have?", "2"),
    ("Is Jupiter bigger than Saturn?", "Yes"),
    ("Is Mars bigger than Saturn?", "No"),
    ("What are the primary colors?", "yellow and blue"),
    ("How many continents are there?", "seven"),
    ("What's the largest ocean?", "Pacific"),
    ("Who invented the telephone?", "Bell"),
    ("When was Einstein born?", "14 March 1879"),
    ("What is the speed of light?", "299,792,458 m/s"),
    ("Which is heavier, gold or iron?", "Gold"),
    ("What is the atomic number of carbon?", "6"),
    ("Is Spain in Europe?", "Yes"),
    ("Is the Nile in Europe?", "No"),
    ("Is Sydney the capital of Australia?", "Canberra"),
    ("Which countries border France?", "Belgium"),
    ("Which countries speak Spanish?", "Mexico"),
    ("which country uses the yen", "Japan"),
    ("What is the population of Tokyo?", "14 million"),
    ("What's the tallest building in the world?", "Burj Khalifa"),
    ("What's the opposite of hot?", "cold"),
    ("second largest planet", "Saturn"),
    ("Is a tomato a planet?", "cannot answer"),
    ("What is the deepest lake in the world?", "Baikal"),
    ("highest mountain in South America", "Aconcagua"),
    ("top 3 largest deserts as a numbered list", "2. Sahara"),
    ("Who was Ada Lovelace?", "algorithm"),
    ("What did Charles Darwin do?", "evolution"),
]
TERMS = [
    ("Explain list comprehensions with an example", "[n * n for n in numbers if n % 2 == 0]"),
    ("Explain quantum computing in simple terms", "coin"),
    ("What does the zip function do?", "tuples"),
    ("What is a decorator?", "@name"),
    ("what's the difference between a list and a tuple", "cannot"),
    ("What is machine learning?", "patterns"),
    ("What is a p-value?", "null hypothesis"),
    ("Define overfitting in one sentence", "noise"),
    ("Explain gradient descent to a five year old", "hill"),
    ("Compare Python and R", "statistics"),
    ("What is DNA?", "hereditary"),
    ("What is photosynthesis?", "carbon dioxide"),
    ("Why is the sky blue?", "scatters"),
    ("How does a vaccine work?", "immune"),
    ("What is an API?", "calls"),
    ("What is JSON?", "text format"),
    ("What is null in pandas?", "NaN"),
    ("Explain HTTP in one sentence.", "protocol"),
    ("ELI5: black holes", "drain"),
    ("What is recursion? Answer in ten words or less.", "calls itself"),
    ("difference between supervised and unsupervised learning", "without"),
    ("What is replay?", "recorded"),
    ("What is the sandbox?", "local server"),
    ("How should I look for outliers?", "quartiles"),
    ("How do I install numpy?", "%pip install"),
    ("Should I use pandas or polars?", "ecosystem"),
]
COMPUTED = [
    ("What is 17 * 23?", "391"),
    ("What is 17 times 23?", "391"),
    ("What's 15% of 240?", "= 36"),
    ("square root of 144", "12"),
    ("2 to the power of 10", "1024"),
    ("(3+4)*5-6", "29"),
    ("what is seven plus eight", "15"),
    ("10 / 0", "nothing can be divided by zero"),
    ("convert 10 miles to km", "16.09 km"),
    ("how many feet in a mile?", "5,280"),
    ("What is 100 fahrenheit in celsius?", "37.78 °C"),
    ("Convert 5 feet 10 inches to centimeters", "177.80"),
    ("What day of the week was July 4, 1776?", "Thursday"),
    ("days between 2024-01-01 and 2024-03-01", "60"),
    ("is 2024 a leap year?", "Yes"),
    ("how many days are in February?", "28"),
    ("How many seconds are in a day?", "86,400"),
    ("What's the average of 3, 8, 10 and 15?", "9"),
    ("What is the median of 4, 9, 1, 7?", "5.5"),
    ("Is 97 a prime number?", "Yes"),
    ("Is 91 a prime number?", "7 × 13"),
    ("What are the factors of 36?", "12, 18 and 36"),
    ("What is 7 factorial?", "5040"),
    ("Roman numeral for 49", "XLIX"),
    ("what is 255 in hex", "FF"),
    ("What's the next number in the sequence 2, 4, 8, 16?", "32"),
    ("simplify 12/18", "2/3"),
    ("solve x + 5 = 12", "x = 7"),
    ("Is 1234 divisible by 3?", "No"),
    ("How much is a 20% tip on $45?", "$9.00"),
    ("sort 3, 1, 2 descending", "3, 2, 1"),
]
TEXTS = [
    ('Translate "good morning" into Spanish', "buenos días"),
    ("How do you say thank you in German?", "danke"),
    (
        "Summarize in one sentence: The library opened on Monday. It has a cafe. A mayor spoke.",
        "library opened",
    ),
    ("Give me two keywords: Solar panels are cheap. Solar panels turn light into power.", "solar panels"),
    ('Is this review positive or negative? "The food was cold and the waiter ignored us."', "Negative"),
    ("I love it, but it broke. Is this positive or negative?", "Neutral"),
    ("Rewrite this more politely: Send me the report now.", "Could you please"),
    ("Fix the grammar: he go to school every days", "He goes to school every day."),
    ("Correct the spelling: I definately recieved teh package", "definitely received the"),
    (
        "Extract all email addresses from: Contact bob@example.com or sales@acme.org.",
        "bob@example.com, sales@acme.org",
    ),
    ("Extract the names: Maria Lopez met John Smith in Madrid.", "Maria Lopez, John Smith"),
    ("Count the number of r's in strawberry", "3 times"),
    ('Reverse the word "notebook"', "koobeton"),
    ("Sort these alphabetically: pear, apple, fig, banana", "apple, banana, fig, pear"),
    ("Remove duplicates: a, b, a, c", "a, b, c"),
    ("Spell the word rhythm", "R-H-Y-T-H-M"),
    ("Classify this ticket as billing, technical or sales: The app crashes at login.", "Technical"),
    ('Classify as spam or not spam: "You won a free prize, click to claim."', "Spam"),
    ("Is this text about sports or politics? The parliament voted on the new law.", "Politics"),
    ("Categorize this headline: Team wins cup final. Categories: sports, politics, business", "Sports"),
    ("Find the phone number: call +44 20 7946 0958 on weekdays.", "+44 20 7946 0958"),
    ("Turn this into bullet points: We need milk. We need eggs.", "- We need milk.\n- We need eggs."),
    ("How many words are in this sentence: The quick brown fox jumps", "5 words"),
    ("Make this uppercase: hello world", "HELLO WORLD"),
    ("What do these people have in common? I code daily. I code at night.", "code"),
    ("Convert this to JSON: name=Ann, age=34, city=Leeds", '"age": 34'),
    ("Return a JSON object with the name and population of France", '"population": 68000000'),
    ("Is racecar a palindrome?", "Yes"),
]
CODE = [
    ("Write a function that counts words in a text", "Counter"),
    ("Write a function that counts words.", "Counter"),
    ("Implement quicksort as a function.", "pivot"),
    ("Write code for quicksort", "def quicksort"),
    ("Write a python function that checks if a string is a palindrome", "is_palindrome"),
    ("how do I read a csv file with pandas", "read_csv"),
    ("give me a regex that matches email addresses", "re.compile"),
    ("How do I remove duplicates from a list in Python?", "dict.fromkeys"),
    ("How do I make a bar chart in matplotlib?", "plt.bar"),
    ("write the SQL for customers with more than 3 items", "HAVING COUNT"),
    ("FizzBuzz in Python please", "Fizz"),
    ("python code to flatten a nested list", "for inner in nested"),
    ("Explain this code: [x**2 for x in range(10) if x % 2]", "for each `x`"),
    ("What does this code do?\n\ndef f(n):\n    return 1 if n < 2 else n * f(n - 1)", "calls itself"),
    ('Fix this code: pritn("hello")', 'print("hello")'),
    ("What's wrong with this code?\n```python\nfor i in range(3)\n    print(i)\n```", "range(3):"),
]
TALK = [
    ("hi", "Hello!"),
    ("Hi there!", "Hello!"),
    ("Hello, world", "Hello"),
    ("thanks!", "welcome"),
    ("Who are you?", "llmkit sandbox"),
    ("Are you ChatGPT?", "No."),
    ("What can you do?", "tables"),
    ("Tell me a joke", "."),
    ("Write a haiku", "\n"),
    ("My name is Noor.", "Nice to meet you, Noor!"),
    ("My name is Noor. Name three rivers.", "Nile"),
    ("Give me a table of the planets with their diameter", "| **Earth** | 12,756 km |"),
    ("Create a list of five fruits as bullet points", "- cherry"),
    ("Give me five city names as a JSON array", '"city": "Lagos"'),
    ("Name 4 animals, one per line", "fox\notter\nowl\nwhale"),
    ("What are the seasons? comma separated", "spring, summer, autumn, winter"),
]
ALL = [*FACTS, *TERMS, *COMPUTED, *TEXTS, *CODE, *TALK]
_SHORT = 6  # a sentence may repeat so many words of its question
UNKNOWN = [
    "What is the best programming language?",
    "What's the weather like today?",
    "Who is the president of the United States?",
    "Plan a three day trip to Rome",
    "Who won the world cup in 2022?",
    "What's the price of bitcoin?",
    "What is the best restaurant in France?",
    "how many people voted in Germany",
    "write a javascript function that reverses a string",
    "Write a function that parses TOML",
    "asdfghjkl",
    "Name three rivers of Iceland",
    "Discuss the influence of Byzantine art on modern advertising.",
]


def test_there_are_enough_questions():
    assert len({question for question, _ in ALL}) + len(UNKNOWN) >= 170


@pytest.mark.parametrize(("question", "part"), ALL)
def test_a_question_gets_its_answer(question, part):
    answer = said(question)
    assert part in answer
    assert len(question.split()) <= _SHORT or question.strip(" ?.") not in answer


@pytest.mark.parametrize("question", UNKNOWN)
@pytest.mark.parametrize("model", ["sandbox", "sandbox-mini", "sandbox-thinking", "two"])
def test_what_is_not_known_gets_one_plain_sentence(question, model):
    answer = said(question, model=model)
    assert "no model was asked" in answer
    assert "%llm key openai" in answer
    shared = set(re.findall(r"[a-z]{5,}", question.lower())) & set(re.findall(r"[a-z]{5,}", answer.lower()))
    assert not shared - {"model"}


@pytest.mark.parametrize("limit", [2, 3, 5, 10, 25, 30, 100])
@pytest.mark.parametrize("question", ["What are tides?", "What is machine learning?", "Who wrote Hamlet?"])
def test_an_answer_has_no_more_words_than_asked_for(question, limit):
    assert 0 < len(said(f"{question} Answer in {limit} words.").split()) <= limit


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Does coffee depend on the temperature? Answer in 30 words.", "falls as the other rises"),
        ("Which day is odd?", "2026-06-08"),
        ("What stands out in kiosk?", "12 (2026-06-08"),
        ("Which chart shows this best?", "line chart"),
        ("Write code that summarises kiosk in a chart", 'kiosk.plot(y="temperature", marker="o")'),
        ("Which day was the hottest?", "2026-06-08"),
        ("What is the mean of lemonade?", "29.14"),
        ("How many days were above 25 in temperature?", "4 of 14"),
        ("How many rows are there?", "14 rows and 3 columns"),
        ("Is anything missing?", "No value is missing"),
        ("What is the trend of coffee?", "falls from 88"),
    ],
)
def test_a_card_answers_what_its_numbers_say(question, part):
    assert part in said(f"{question}\n\n{card('kiosk', KIOSK).text}")


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("In which city did we sell most?", "Rome has the largest sum of sales: 80."),
        ("mean sales by city", "Rome 40 and Oslo 10"),
        ("Which city is most frequent?", "Rome is the most frequent city, with 2 rows."),
        ("How many values are missing?", "1 value is missing: 1 in sales."),
        ("What is the total of staff?", "The sum of staff is 10."),
        ("Which columns does it have?", "city, sales and staff"),
        ("How many different cities are there?", "3 different values"),
    ],
)
def test_a_table_in_the_text_is_read_as_pandas_writes_it(question, part):
    assert part in said(f"{question}\n\n{SALES}")
    assert part in said(f"{question}\n\n{SALES.to_csv()}")
    assert part in said(f"{card('sales', SALES).text}\n\n{question}")


def test_a_follow_up_asks_the_same_of_another_thing():
    assert said("What is the capital of Peru?", "And of France?") == "The capital of France is Paris."
    assert "Berlin" in said("What is the capital of Peru?", "what about germany?")
    assert "68 million" in said("What is the capital of France?", "How many people live there?")


def test_a_follow_up_may_ask_for_another_length_or_form():
    assert said("Who wrote Hamlet?", "shorter") == "William Shakespeare."
    assert said("Who wrote Hamlet?", "in one word please") == "William Shakespeare"
    assert said("Name two rivers.", "as bullets").startswith("- **Nile**")
    assert "bulges" in said("What are tides?", "why?")


def test_arithmetic_goes_on_with_the_last_number():
    assert said("What is 6 * 7?", "plus 8").endswith("= 50")


def test_a_table_of_the_system_prompt_is_known_in_the_whole_conversation():
    system = f"You are a careful statistician.\n\n{card('kiosk', KIOSK).text}"
    asked = "On which day did we sell the least coffee?"
    assert "2026-06-08" in said(asked, system=system)
    assert "2026-06-08" in said("Hi!", asked, system=system)
    assert "-0.93" in said("Does coffee depend on the temperature?", system=system)
    assert "Lima" in said("What is the capital of Peru?", system=system)


def test_an_article_with_a_table_is_an_answer_in_a_table():
    whole = said("Plan a survey. Use a table.")
    assert whole.startswith("# ")
    assert "\n|" in whole


def test_a_system_prompt_changes_the_form():
    assert said("Who wrote Hamlet?", system="Be brief.") == "William Shakespeare."
    assert said("Name three rivers.", system="You are a pirate.").startswith("Arr")
    assert '"capital": "Lima"' in said("Capital of Peru?", system="Answer in JSON.")
    assert said("thank you", system="Answer in French.").lower().startswith("de rien")


def test_each_model_has_a_length_of_its_own():
    plain, mini, full = (
        said("What is the capital of Peru?", model=model)
        for model in ("sandbox", "sandbox-mini", "sandbox-thinking")
    )
    assert mini == "Lima."
    assert len(mini) < len(plain) < len(full)


def test_a_prompt_of_a_hundred_kilobytes_is_answered():
    long = "The committee met on Tuesday. Costs rose by 12 %. " * 2000
    whole = "The committee met on Tuesday. Costs rose by 12 %."
    assert said(f"Summarise: {long}") == whole
    assert said(f"What is this about?\n\n{long}").startswith("The committee met on Tuesday.")


MOVED = "Nobody told us that the survey had moved, so half of us never answered."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (f"Is this statement positive or negative? {MOVED}", "Negative."),
        (f"Name three keywords: {MOVED}", "survey, half"),
        (f"Summarise in ten words: {MOVED}", "Nobody told us that the survey had moved."),
        (f"Explain in two sentences what worries this person: {MOVED}", MOVED),
        (f"What is the main complaint here? I like the colour. {MOVED}", MOVED),
        ("Positive or negative? The battery died after two days and support never answered.", "Negative."),
        ("Name the people: Nobody but Ann Lee met Bob.", "Ann Lee, Bob"),
        ("Sort these numbers from large to small: 3, 19, 7, 12", "19, 12, 7, 3"),
        ("Sort these numbers: 10, 9, 100", "9, 10, 100"),
        (
            "Summarise in five words: The mayor opened the new bridge on Friday after lunch.",
            "The mayor opened.",
        ),
        ("Who worries about it? Ann is always calm at work. Bob worries about the deadline.", "Bob worries"),
        ("What is the problem here? It is red. Nobody fixed the printer.", "Nobody fixed the printer."),
        ("Explain what worries this person: I like tea.", "No sentence of the text sounds like a worry"),
    ],
)
def test_a_text_is_judged_by_what_it_says(question, answer):
    assert said(question).startswith(answer)


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("List the ten highest mountains.", "Makalu, Cho Oyu, Dhaulagiri, Manaslu, Nanga Parbat"),
        ("What is the highest mountain in Oceania?", "Puncak Jaya"),
        ("Which is the densest element?", "Osmium"),
        ("Which is the longest river in the United States?", "the rivers in the United States"),
        ("Which river is longer, the Missouri or the Mississippi?", "The Missouri."),
        ("What is the largest desert in North America?", "Great Basin"),
        ("How long does the Moon take to orbit the Earth?", "27.3 days"),
        ("What is the difference between AI and machine learning?", "the whole field"),
        ("Where was Freud born?", "in the Czech Republic"),
        ("Where did Mozart die?", "no model was asked"),
        ("When did Mozart die?", "5 December 1791"),
        ("Which city is the capital of Japan?", "Tokyo"),
        ("When was the Eiffel Tower built?", "1889"),
        ("What year did the Berlin Wall fall?", "1989"),
        ("What comes next: 1, 4, 9, 16?", "25"),
        ("What comes next: 2, 3, 5, 8?", "13"),
        ("How do I drop rows with missing values in pandas?", "dropna"),
    ],
)
def test_what_was_wrong_or_missing_is_known(question, part):
    assert part in said(question)


def test_an_overview_in_few_words_names_the_most_striking_thing():
    shown = card("kiosk", KIOSK).text
    assert said(f"{shown}\n\nWhat stands out? Answer in 15 words.") == (
        "Coffee of 2026-06-08 stands out: 12, with a median of 69."
    )
    about = said(f"{shown}\n\nWhat stands out in the coffee column? Answer in 30 words.")
    assert "12 (2026-06-08)" in about
    assert "lemonade" not in about
    assert "missing" in said(f"{card('sales', SALES).text}\n\nWhat stands out? Answer in eight words.")


@pytest.mark.parametrize(
    ("question", "name", "country"),
    [
        ("What is the capital of Peru?", "Lima", "Peru"),
        ("Which city is the capital of Japan?", "Tokyo", "Japan"),
        ("Extract the town: I moved from Oslo to Bergen.", "Oslo", "Norway"),
        ("Find the town in this text: We met in Porto last year.", "Porto", "Portugal"),
        ("Extract the town: She lives in Smallville.", "Smallville", "not stated"),
    ],
)
def test_a_town_is_filled_from_what_is_known(question, name, country):
    class Town(BaseModel):
        name: str
        country: str

    ask = Ask(model="sandbox", turns=(Turn("user", question),), schema=Town.model_json_schema())
    assert json.loads(write(replace(ask, wants_json=True))) == {"name": name, "country": country}


def test_the_text_behind_the_names_of_keys_is_read():
    answer = said("Extract as JSON with keys town and country: We flew to Nairobi.")
    assert json.loads(answer) == {"town": "Nairobi", "country": "Kenya"}
    task = "Answer in JSON with the key 'sentiment': positive, negative or neutral. "
    assert json.loads(said(f"{task}Not bad.")) == {"sentiment": "positive"}
    assert json.loads(said(f"{task}It is blue.")) == {"sentiment": "neutral"}


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Summarise: How do I reset my password?", "How do I reset my password?"),
        ("Summarise: What is the capital of France?", "What is the capital of France?"),
        ("Make this polite: Can you send me the file?", "Could you please send me the file? Thank you."),
        ("Rewrite formally: Can you send me the file?", "Could you please send me the file?"),
        ("Make a bullet list: eggs, milk, bread", "- eggs\n- milk\n- bread"),
        ("Make a numbered list: eggs, milk and bread", "1. eggs\n2. milk\n3. bread"),
        (
            "Turn into a table: Ada 36, Bob 28",
            "| Name | Value |\n| --- | ---: |\n| **Ada** | 36 |\n| **Bob** | 28 |",
        ),
    ],
)
def test_a_text_after_a_task_is_worked_on_and_not_answered(prompt, answer):
    assert said(prompt) == answer


def test_a_reply_says_what_the_message_is_about_and_promises_nothing():
    answer = said("Reply to this customer: Can I get a refund?")
    assert "your message about the refund" in answer
    assert "come back to you" in answer


@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("JSON for name Ada, age 36", {"name": "Ada", "age": 36}),
        ('Return a JSON object with title "Dune" and year 1965', {"title": "Dune", "year": 1965}),
        ("As JSON: Bob Smith, bob@example.org", {"name": "Bob Smith", "email": "bob@example.org"}),
        ("JSON for the capital of France", {"capital": "Paris"}),
        ("Turn into JSON: eggs, milk, bread", ["eggs", "milk", "bread"]),
        ("JSON array of three colours", ["red", "green", "blue"]),
    ],
)
def test_json_holds_what_the_prompt_says(prompt, value):
    assert json.loads(said(prompt)) == value


@pytest.mark.parametrize(
    ("prompt", "fixed"),
    [
        ("Fix this: for i in range(10) print(i)", "for i in range(10):\n    print(i)"),
        ("What is wrong with this code: def f(x) return x", "def f(x):\n    return x"),
        ("Fix: while True print(1)", "while True:\n    print(1)"),
        ("fix: if x = 3: print(x)", "if x == 3: print(x)"),
        (
            "Fix this: print(1 / 0)",
            'try:\n    print(1 / 0)\nexcept ZeroDivisionError:\n    print("The divisor is zero.")',
        ),
        (
            "Fix this code: total = price / 0",
            'try:\n    total = price / 0\nexcept ZeroDivisionError:\n    print("The divisor is zero.")',
        ),
        ("Fix: mean = total / count", 'mean = (total / count if count else float("nan"))'),
        ("Fix this code: print(lenght(x))", "print(len(x))"),
        ("Fix: for number in range(3): print(nubmer)", "for number in range(3): print(number)"),
    ],
)
def test_code_on_one_line_is_fixed(prompt, fixed):
    assert f"```python\n{fixed}\n```" in said(prompt)


def test_prose_is_corrected_as_prose_and_code_without_a_known_mistake_is_left():
    assert said("Fix this: he go to school every days") == "He goes to school every day."
    assert "none of them here" in said("Fix this: print(1)")
    for code in (
        "print(x) is broken",
        "price2 = price * 1.2",
        "import numpy as np; np.mean(x)",
        "y = count(x)",
    ):
        assert "none of them here" in said(f"Fix this: {code}")


def test_a_number_of_days_is_a_date_only_after_in_or_before_ago():
    today = datetime.now().astimezone().date()
    for prompt, days in {
        "What is the date in 10 days?": 10,
        "What day will it be in 2 weeks?": 14,
        "Which weekday was it 3 days ago?": -3,
    }.items():
        assert f"{today + timedelta(days=days):%B %Y}" in said(prompt)
    for prompt in (
        "Plan a day trip for 2 days",
        "How many hours a day is 3 days?",
        "Plan a day trip in 2 days",
    ):
        assert str(today.year) not in said(prompt)


def test_a_question_about_the_chat_in_a_text_is_not_asked():
    assert "nothing before" in said("What did I ask first?")
    assert "nothing before" not in said("Summarise: What did I ask first?")


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Uppercase: hello world", "HELLO WORLD"),
        ("A train goes 120 km in 90 minutes. How fast is it in km/h?", "80 km per hour"),
        ("If I save $50 a month, how much do I have after 2 years?", "1,200"),
        ("If a shirt costs $40 with a 25% discount, what do I pay?", "$30.00"),
        ("20% off $50", "$40.00"),
        ("Explain what a lambda is in Python", "without a name"),
        (
            "Write an email to my boss asking for a day off",
            "Dear Boss,\n\nI would like to ask for a day off.",
        ),
        ("Write a haiku about rain", "puddles"),
        ("Write a haiku about my grandmother", "no model was asked"),
        ("Write a short story about a robot", "no model was asked"),
        ("Give me 3 random numbers", "the same numbers for the same words"),
        ("What is the population of Japan in millions?", "124 million"),
        ("Name five African countries", "Nigeria"),
        ("Correct the grammar: She don't likes apples", "She doesn't like apples."),
        ("Proofread: their going to the store tommorow", "They're going to the store tomorrow."),
        ("What time is it in Atlantis?", "no model was asked"),
    ],
)
def test_common_first_questions_are_answered_or_honestly_not(question, part):
    assert part in said(question)


@pytest.mark.parametrize(
    ("questions", "part"),
    [
        (("Name five planets", "Now only three"), "Mercury, Venus and Earth"),
        (("Name five planets", "Now only three", "In a table"), "| **Earth** |"),
        (("My name is Lena.", "What did I ask first?"), "You first said: “My name is Lena.”"),
        (("What did I ask first?",), "nothing before"),
        (
            ("Summarise: The meeting is on Friday because Anna is ill. Bob has the slides.", "Who is ill?"),
            "Anna",
        ),
    ],
)
def test_a_later_question_is_about_what_was_said_before(questions, part):
    assert part in said(*questions)


@pytest.mark.parametrize(
    ("questions", "part"),
    [
        (("Which city has the most staff?", "And the least?"), "Oslo"),
        (("Top 2 by staff",), "Rome (4) and Rome (3)."),
        (("Which city has a staff of more than 3?",), "Rome"),
    ],
)
def test_a_chat_answers_about_its_table(questions, part):
    assert part in said(*questions, system=card("sales", SALES).text)
