"""Chooses the functions to call by the words of the prompt, and answers with their results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.sandbox.answers.arguments import DATE, EXPRESSION, argument_sets, lacking
from llmkit.sandbox.answers.wording import joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.sandbox.conversation import Ask, Function, Invocation, Outcome

Wanted = tuple[str, dict[str, Any]]
"""The name of a function and its arguments."""

_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_COMMON = frozenset(
    {"a", "an", "the", "all", "any", "are", "as", "at", "be", "by", "do", "does", "for", "from", "how", "i"}
    | {"if", "in", "is", "it", "me", "my", "of", "on", "or", "and", "our", "that", "this", "to", "up", "was"}
    | {"what", "when", "which", "with", "you", "your", "call", "find", "get", "give", "has", "have", "list"}
    | {"load", "look", "make", "number", "please", "read", "return", "run", "set", "show", "tell", "text"}
    | {"tool", "two", "use", "value"}
)
"""Words that do not tell one function from another."""

_OPERATIONS = {
    "*": "multiply product times", "x": "multiply product times", "\u00d7": "multiply product times",
    "times": "multiply product", "+": "add sum plus addition", "plus": "add sum addition",
    "-": "subtract minus difference", "minus": "subtract difference", "/": "divide quotient division",
    "\u00f7": "divide quotient division", "**": "power", "^": "power",
}  # fmt: skip
_ANY_OPERATION = "calculate calculator compute evaluate arithmetic math"
_IN_TURN = re.compile(
    r"\b(?:one (?:at a time|after (?:the other|another)|by one)|step by step|then)\b", re.IGNORECASE
)
_FOR_EVER = re.compile(r"\b(?:again and again|repeatedly|keep calling|in a loop|endlessly)\b", re.IGNORECASE)
_FAILED = re.compile(r"(?:\w*(?:Error|Exception)\b|Not run\b)")
_NAMED = 3
_ENOUGH = 2
_LONGEST_RESULT = 400
_LONGEST_PROMPT = 10_000


class _Match(NamedTuple):
    """A function that may be meant."""

    score: int
    place: int  # of the first word that names it
    function: Function


def wanted(ask: Ask) -> list[Wanted]:
    """Return the calls that a model would make now; none if it would answer.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Function, Turn
        >>> schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
        >>> tool = Function("multiply", "Multiply two numbers.", schema)
        >>> wanted(Ask(model="sandbox", turns=(Turn("user", "What is 17 * 23?"),), functions=(tool,)))
        [('multiply', {'a': 17, 'b': 23})]
    """
    if not ask.functions or ask.choice == "none":
        return []
    asked = list(_all_calls(ask))
    if _FOR_EVER.search(ask.last_user_text):
        return asked[:1]
    done = [(call.name, dict(call.arguments)) for call, _ in ask.done]
    if ask.parallel and not _IN_TURN.search(ask.last_user_text):
        return [] if done else asked
    return asked[len(done) :][:1]


def _all_calls(ask: Ask) -> Iterator[Wanted]:
    """Yield every call that the prompt asks for, in its order."""
    text = ask.last_user_text[-_LONGEST_PROMPT:]
    functions = _functions(ask)
    matches = _matches(text, functions, forced=ask.choice != "auto")
    operations = list(EXPRESSION.finditer(DATE.sub(" ", text)))
    computed = [(found[0], _for_expression(found, functions)) for found in operations]
    found = [(function, expression) for expression, function in computed if function]
    if found and not _is_named(text, matches):
        yield from ((function.name, argument_sets(function, expression)[0]) for function, expression in found)
        return
    for match in matches:
        clause = _clause(text, match, matches)
        if ask.choice != "auto" or not lacking(match.function, clause):
            yield from ((match.function.name, values) for values in argument_sets(match.function, clause))


def unfilled(ask: Ask) -> str | None:
    """Say which argument a prompt lacks for the function that it means; `None` if none is lacking.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Function, Turn
        >>> schema = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
        >>> turn = Turn("user", "What is the weather?")
        >>> unfilled(Ask(model="sandbox", turns=(turn,), functions=(Function("weather", "", schema),)))
        'The tool `weather` needs a value for `city`, and your question names none, such as city="…".'
    """
    if not ask.functions or ask.choice != "auto" or ask.done:
        return None
    text = ask.last_user_text[-_LONGEST_PROMPT:]
    matches = _matches(text, _functions(ask), forced=False)
    for match in matches:
        if missing := lacking(match.function, _clause(text, match, matches)):
            names = joined(f"`{name}`" for name in missing)
            return (
                f"The tool `{match.function.name}` needs a value for {names}, and your question names none, "
                f'such as {missing[0]}="…".'
            )
    return None


def _is_named(text: str, matches: list[_Match]) -> bool:
    """Whether a prompt asks for a function that does not compute."""
    return any(_asks_for(text, match.function) and not _computes(match.function) for match in matches)


def _asks_for(text: str, function: Function) -> bool:
    """Whether a prompt asks for a function by its name: `use add`, `add: …`, or a name that is no word."""
    name = re.escape(function.name)
    if "_" in function.name and re.search(rf"\b{name}\b", text):
        return True
    asked = rf"\b(?:use|using|call|run|with|tool)\s+(?:the\s+)?[`'\"]?{name}\b|\b{name}\s*[:(]"
    return re.search(asked, text, re.IGNORECASE) is not None


def _computes(function: Function) -> bool:
    known = {word for words in (*_OPERATIONS.values(), _ANY_OPERATION) for word in words.split()}
    return bool(known & _words(function.name))


def _functions(ask: Ask) -> list[Function]:
    """Return the functions among which the model may choose."""
    named = [one for one in ask.functions if one.name == ask.choice]
    return named or list(ask.functions)


def _for_expression(found: re.Match[str], functions: list[Function]) -> Function | None:
    """Return the function that computes an expression such as `17 * 23`."""
    words = set(f"{_OPERATIONS[found[2].lower()]} {_ANY_OPERATION}".split())
    return next((one for one in functions if words & (_words(one.name) | _words(one.description))), None)


_SAME = {
    "cost": "price",
    "uppercase": "upper",
    "lowercase": "lower",
    "capital": "upper",
    "forecast": "weather",
}
"""Words of prompts that mean one of a function's name."""


def _words(text: str) -> set[str]:
    """Return the telling words of a text or name, in the singular."""
    found = _WORD.findall(_CAMEL.sub(" ", text).replace("_", " "))
    return {_stem(word) for word in found} - _COMMON


def _stem(word: str) -> str:
    lower = word.lower()
    return lower.removesuffix("s") if len(lower) > 3 and not lower.endswith("ss") else lower


def _matches(text: str, functions: list[Function], *, forced: bool) -> list[_Match]:
    """Return the functions that a prompt means, in the order in which it names them."""
    matches = [_match(text, function) for function in functions]
    found = [match for match in matches if match.score >= _NAMED]
    if not found:
        best = max(matches, key=lambda match: match.score)
        found = [best] if forced or best.score >= _ENOUGH else []
    literal = [match for match in found if _asks_for(text, match.function)]
    return sorted(literal or found, key=lambda match: match.place)


def _match(text: str, function: Function) -> _Match:
    said = {_stem(found[0]): found.start() for found in reversed(list(_WORD.finditer(text)))}
    said |= {_SAME[word]: place for word, place in said.items() if word in _SAME}
    named = _words(function.name) & said.keys()
    described = (_words(function.description) & said.keys()) - named
    parameters = set().union(*map(_words, function.properties)) & said.keys()
    score = _NAMED * len(named) + len(described) + len(parameters - named - described)
    literal = text.lower().find(function.name.lower())
    place = literal if literal >= 0 else min((said[word] for word in named), default=len(text))
    return _Match(score + (_NAMED if literal >= 0 else 0), place, function)


def _clause(text: str, match: _Match, matches: list[_Match]) -> str:
    """Return the part of a prompt that is about one of several functions."""
    places = [one.place for one in matches]
    later = next((place for place in places if place > match.place), None)
    return text[0 if match.place == places[0] else match.place : later]


def spoken_results(ask: Ask) -> str | None:
    """Answer with the results of the calls; `None` if there are none.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Invocation, Outcome, Turn
        >>> call = Turn("assistant", "", calls=(Invocation("1", "add", {"a": 1, "b": 2}),))
        >>> turns = (Turn("user", "1 + 2?"), call, Turn("user", "", outcomes=(Outcome("1", "3"),)))
        >>> spoken_results(Ask(model="sandbox", turns=turns))
        'add(a=1, b=2) gives 3.'
    """
    if not ask.done or ask.wants_json:
        return None
    sentences = [_sentence(call, outcome) for call, outcome in ask.done]
    return sentences[0] if len(sentences) == 1 else "\n".join(f"- {sentence}" for sentence in sentences)


def _sentence(call: Invocation, outcome: Outcome) -> str:
    given = ", ".join(f"{name}={value!r:.60}" for name, value in call.arguments.items())
    result = outcome.text.strip()
    short = result if len(result) <= _LONGEST_RESULT else result[:_LONGEST_RESULT].rsplit(" ", 1)[0] + " …"
    if outcome.failed or _FAILED.match(short):
        return f"{call.name}({given}) failed: {short}"
    if not short:
        return f"{call.name}({given}) is done; it returned nothing."
    if "\n" in short:
        return f"{call.name}({given}) gives:\n\n{short}"
    return f"{call.name}({given}) gives {short.rstrip('.')}."
