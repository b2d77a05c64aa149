"""Tools: what makes one, and what its signature tells a model."""

import functools
import http.server
import threading

import pytest

import llmkit
from llmkit import InvalidRequestError
from llmkit.content.tools import Tool, tool_of


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


class Adder:
    def __init__(self, a: int):
        self.a = a

    def __call__(self, a: int) -> int:
        return a

    def method(self, a: int) -> int:
        return a


@functools.wraps(add)
def decorated(*arguments, **named):
    return add(*arguments, **named)


@pytest.mark.parametrize(
    "function",
    [add, Adder(1), Adder(1).method, Adder, decorated, functools.partial(add, b=2)],
    ids=["function", "callable object", "method", "class", "decorated", "partial"],
)
def test_the_types_of_whatever_can_be_called_are_known(function):
    tool = tool_of(function)
    assert tool.parameters["properties"]["a"] == {"type": "integer"}
    with pytest.raises(ValueError, match="valid integer"):
        tool.validated({"a": "x"})


def test_a_partial_function_has_the_name_and_words_of_the_function():
    tool = tool_of(functools.partial(add, b=2))
    assert (tool.name, tool.description) == ("add", "Add two numbers.")


def test_a_type_that_does_not_exist_is_refused():
    def find(place: "Unknown"):  # noqa: F821 - it is missing by intention
        return place

    with pytest.raises(InvalidRequestError, match="'Unknown' is not defined"):
        tool_of(find)


def test_the_type_of_the_result_need_not_exist():
    def find(place: str) -> "Unknown":  # noqa: F821 - as above
        return place

    assert tool_of(find).parameters["properties"]["place"] == {"type": "string"}


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": None}, {"max_result": -1}, {"max_result": 1.5}, {"approve": "allways"}],
    ids=str,
)
def test_an_option_out_of_range_is_refused(options):
    with pytest.raises(InvalidRequestError, match=next(iter(options))):
        llmkit.tool(**options)(add)


def test_an_invalid_schema_of_another_refuses_the_arguments():
    tool = Tool(name="add", description="", parameters={"type": 5}, function=add)
    with pytest.raises(ValueError, match="schema is invalid"):
        tool.validated({"a": 1})


def test_a_schema_of_another_loads_nothing():
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/schema.json"
        tool = Tool(name="add", description="", parameters={"$ref": place}, function=add)
        with pytest.raises(ValueError, match="schema is invalid"):
            tool.validated({"a": 1})
        server.shutdown()
    assert asked == []
