"""Which functions the sandbox calls, and with which arguments."""

from typing import Literal

import pytest

from llmkit.content.tools import tool_of
from llmkit.sandbox.answers.answers import write
from llmkit.sandbox.answers.tool_calls import wanted
from llmkit.sandbox.conversation import Ask, Function, Invocation, Outcome, Turn


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""


def add(a: int, b: int = 1) -> int:
    """Add two integers."""


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Return the weather in a city."""


def load_sales(year: int, month: int | None = None) -> list:
    """Load the sales of a year."""


def round_to(x: float, digits: int = 2) -> float:
    """Round a number."""


def mean(values: list[float]) -> float:
    """Return the mean of some numbers."""


def python(code: str) -> str:
    """Run Python code in this kernel."""


def find_orders(customer: str, since: str = "", paid: bool = False) -> list:
    """Find the orders of a customer."""


def today() -> str:
    """Return today's date."""


MADE = [
    tool_of(one)
    for one in (multiply, add, get_weather, load_sales, round_to, mean, python, find_orders, today)
]
FUNCTIONS = tuple(Function(one.name, one.description, one.parameters) for one in MADE)


def calls(prompt, *turns, functions=FUNCTIONS, **settings):
    return wanted(Ask(model="sandbox", turns=(Turn("user", prompt), *turns), functions=functions, **settings))


@pytest.mark.parametrize(
    ("prompt", "name", "arguments"),
    [
        ("What is 17 * 23?", "multiply", {"a": 17, "b": 23}),
        ("Compute 2 times 8", "multiply", {"a": 2, "b": 8}),
        ("Multiply 17 and 23", "multiply", {"a": 17, "b": 23}),
        ("add two and three", "add", {"a": 2, "b": 3}),
        ("Use multiply with a=3 and b: 4", "multiply", {"a": 3, "b": 4}),
        ("What is the weather in Paris?", "get_weather", {"city": "Paris"}),
        ("The weather in New York in fahrenheit", "get_weather", {"city": "New York", "unit": "fahrenheit"}),
        ("How were the sales in 2025?", "load_sales", {"year": 2025}),
        ("Use load_sales for year=2026 month 3", "load_sales", {"year": 2026, "month": 3}),
        ("Round 3.14159 to 3 digits", "round_to", {"x": 3.14159, "digits": 3}),
        ("The mean of 1, 2 and 3.5", "mean", {"values": [1, 2, 3.5]}),
        ("Use python: print(1 + 1)", "python", {"code": "print(1 + 1)"}),
        ("Run python\n```python\nx = 1\nx + 1\n```", "python", {"code": "x = 1\nx + 1"}),
        (
            "Orders of 'Ann Lee' since 2026-01-02",
            "find_orders",
            {"customer": "Ann Lee", "since": "2026-01-02"},
        ),
        ("Find the orders of customer Ann, paid=yes", "find_orders", {"customer": "Ann", "paid": True}),
        ("What is today's date?", "today", {}),
    ],
)
def test_a_prompt_calls_its_function(prompt, name, arguments):
    assert calls(prompt) == [(name, arguments)]


def stock(product: str) -> int:
    """Return how many pieces of a product are in stock."""


def to_upper(text: str) -> str:
    """Convert a text to upper case."""


def price(item: str, size: Literal["small", "extra_large"] = "small") -> float:
    """Return the price of an item."""


def send_mail(to: str, subject: str, body: str) -> str:
    """Send an email."""


def set_light(room: str, on: bool) -> str:
    """Switch the light in a room on or off."""


def bmi(weight_kg: float, height_m: float) -> float:
    """Return the body mass index."""


@pytest.mark.parametrize(
    ("function", "prompt", "arguments"),
    [
        (stock, "How many laptops are in stock?", {"product": "laptops"}),
        (stock, "Is the Thinkpad X1 in stock?", {"product": "Thinkpad X1"}),
        (to_upper, "Make hello world uppercase", {"text": "hello world"}),
        (to_upper, "Use to_upper on the word banana", {"text": "banana"}),
        (to_upper, "Put 'a b' into upper case", {"text": "a b"}),
        (price, "What does an extra large pizza cost?", {"item": "pizza", "size": "extra_large"}),
        (
            send_mail,
            "Send an email to bob@example.org about the meeting saying we start at ten.",
            {"to": "bob@example.org", "subject": "meeting", "body": "we start at ten"},
        ),
        (set_light, "Turn the kitchen light off", {"room": "kitchen", "on": False}),
        (bmi, "The bmi of someone 1.75 m tall weighing 70 kg", {"weight_kg": 70, "height_m": 1.75}),
    ],
)
def test_an_argument_is_what_the_prompt_says_beside_the_name_of_the_function(function, prompt, arguments):
    made = tool_of(function)
    offered = (Function(made.name, made.description, made.parameters),)
    assert calls(prompt, functions=offered) == [(function.__name__, arguments)]


def test_a_prompt_without_a_needed_value_calls_nothing_and_says_which_is_needed():
    made = tool_of(stock)
    turn = Turn("user", "What is in stock?")
    offered = (Function(made.name, made.description, made.parameters),)
    ask = Ask(model="sandbox", turns=(turn,), functions=offered)
    assert wanted(ask) == []
    assert write(ask).startswith("The tool `stock` needs a value for `product`")
    assert [name for name, _ in calls("What is in stock?", functions=offered, choice="stock")] == ["stock"]


@pytest.mark.parametrize("prompt", ["Hello", "Tell me a joke", "Explain the tides", ""])
def test_a_prompt_that_needs_no_function_calls_none(prompt):
    assert calls(prompt) == []


def test_several_values_are_several_calls():
    assert calls("Weather in Paris, Rome and Oslo?") == [
        ("get_weather", {"city": city}) for city in ("Paris", "Rome", "Oslo")
    ]
    assert calls("The sales of 2024 and 2025") == [("load_sales", {"year": year}) for year in (2024, 2025)]
    assert calls("17 * 23 and 4 + 5?") == [("multiply", {"a": 17, "b": 23}), ("add", {"a": 4, "b": 5})]


def test_two_functions_share_the_numbers_of_a_prompt():
    assert calls("multiply 3 by 4 and add 5 and 6") == [
        ("multiply", {"a": 3, "b": 4}),
        ("add", {"a": 5, "b": 6}),
    ]


def result(number, name, arguments):
    call = Invocation(str(number), name, arguments)
    return Turn("assistant", "", calls=(call,)), Turn("user", "", outcomes=(Outcome(str(number), "7"),))


def test_calls_in_turn_go_on_after_each_result():
    prompt = "Multiply 3 by 4, then add 5 and 6"
    first = result(1, "multiply", {"a": 3, "b": 4})
    second = result(2, "add", {"a": 5, "b": 6})
    assert calls(prompt) == [("multiply", {"a": 3, "b": 4})]
    assert calls(prompt, *first) == [("add", {"a": 5, "b": 6})]
    assert calls(prompt, *first, *second) == []


def test_a_prompt_can_ask_for_the_same_call_without_end():
    prompt = "Call multiply with a=3 and b=4 again and again"
    assert calls(prompt, *result(1, "multiply", {"a": 3, "b": 4})) == calls(prompt)


def test_results_end_the_calls_and_a_new_question_begins_them():
    done = result(1, "multiply", {"a": 17, "b": 23})
    assert calls("What is 17 * 23?", *done) == []
    assert calls("What is 17 * 23?", *done, Turn("user", "And 2 * 3?")) == [("multiply", {"a": 2, "b": 3})]


def test_an_argument_that_a_prompt_does_not_have_fits_the_schema():
    schema = {
        "properties": {"level": {"enum": ["low", "high"]}, "size": {"$ref": "#/$defs/size"}, "more": True},
        "required": ["level", "size"],
        "$defs": {"size": {"type": "object", "properties": {"width": {"type": "integer"}}}},
    }
    made = calls("Use paint", functions=(Function("paint", "", schema),))
    assert made == [("paint", {"level": "low", "size": {"width": 0}})]


def test_a_long_prompt_is_searched_quickly():
    import time

    start = time.process_time()
    calls("The Big House And " * 20_000 + "what is 6 * 7?")
    assert time.process_time() - start < 1
