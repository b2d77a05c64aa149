"""Token counts without a provider."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from llmkit.content.media import most_tokens
from llmkit.content.parts import Citation, Media, Text, ToolResult, json_text, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkit.content.media import ImageTokens
    from llmkit.content.messages import LLMMessage

PER_MESSAGE = 4
"""Approximate tokens of a message's role and separators."""

MOST_PER_MESSAGE = 16
"""Maximum tokens of a message's role and separators."""

# Words are shorter; a DNA sequence, for example, is not.
_NO_WORDS = re.compile(" [a-z]{17,}|(?<![a-z ])[a-z]{17,}").findall
_PAIRS = re.compile("[ aeiouy][a-z]|[a-z][aeiouy]").findall


def estimate(text: str) -> int:
    """Estimate the tokens of a text: four characters each, as in English prose.

    Example:
        >>> estimate("Hello, world")
        3
    """
    return len(text) // 4


def estimate_prompt(
    messages: Iterable[LLMMessage], image_tokens: ImageTokens | None = None, model: str = ""
) -> int:
    """Estimate the tokens of a conversation."""
    return _of_prompt(messages, estimate, PER_MESSAGE, image_tokens, model)


class TokenCount(int):
    """A number of tokens; an estimate is shown with `≈`.

    Attributes:
        exact: Whether the provider counted.

    Example:
        >>> TokenCount(12, exact=False), TokenCount(12, exact=True) + 1
        (≈12, 13)
    """

    exact: bool

    def __new__(cls, tokens: int, *, exact: bool) -> Self:
        """Make a count."""
        made = super().__new__(cls, tokens)
        made.exact = exact
        return made

    def __repr__(self) -> str:
        return f"{'' if self.exact else '≈'}{int(self)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(TokenCount, exact=self.exact), (int(self),)


def count_prompt(
    messages: Iterable[LLMMessage], model: str, image_tokens: ImageTokens | None = None, further: str = ""
) -> TokenCount:
    """Count a conversation and a further text, such as that of tools, as well as possible without a network.

    Example:
        >>> from llmkit.content.messages import LLMMessage
        >>> count_prompt([LLMMessage("user", "Hello, world")], "unknown")
        ≈7
    """

    def of(text: str) -> int:
        return count(text, model)

    prompt = _of_prompt(messages, of, PER_MESSAGE, image_tokens, model)
    return TokenCount(prompt + of(further), exact=False)


def upper_bound(text: str) -> int:
    """Return a number of tokens that a text very rarely exceeds with any tokeniser.

    Tokenisers merge bytes, so the number of bytes is the maximum. In words, all of them merge a pair of
    letters with a vowel, and the space with the first letter. Digits, capitals, punctuation
    and anything else, such as a sequence of bases, may be a token each. Prose and code have about half
    as many tokens as the bound.

    Example:
        >>> upper_bound("Hello, world"), upper_bound("2026"), upper_bound("日本")
        (8, 4, 6)
    """
    pairs = len(_PAIRS(text)) - sum(len(_PAIRS(run)) for run in _NO_WORDS(text))
    return len(text.encode("utf-8", "surrogatepass")) - pairs


def size(text: str) -> int:
    """Return a number of tokens that a text never exceeds: its bytes. Unlike `upper_bound`, it takes no time.

    Example:
        >>> size("Hello, world"), size("日本")
        (12, 6)
    """
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def upper_bound_prompt(
    messages: Iterable[LLMMessage],
    image_tokens: ImageTokens | None = None,
    model: str = "",
    count_text: Callable[[str], int] = upper_bound,
) -> int:
    """Return a number of tokens that a conversation very rarely exceeds."""
    return _of_prompt(messages, count_text, MOST_PER_MESSAGE, image_tokens, model)


def _of_prompt(
    messages: Iterable[LLMMessage],
    count_text: Callable[[str], int],
    per_message: int,
    image_tokens: ImageTokens | None,
    model: str,
) -> int:
    """Count the tokens of a conversation; each message has some besides its text."""
    total = 0
    for message in messages:
        total += count_text(message.content) + per_message
        if message.attachments:
            total += _attached(message, count_text, image_tokens, model)
        if message.parts:
            total += _of_parts(message, count_text, image_tokens, model)
    return total


def _of_parts(
    message: LLMMessage, count_text: Callable[[str], int], image_tokens: ImageTokens | None, model: str
) -> int:
    """Count the tokens of a message's parts besides its text."""
    total = 0
    for part in message.parts:
        if isinstance(part, Text | Citation):
            continue
        files = part.attachments if isinstance(part, ToolResult) else ()
        if isinstance(part, Media):
            files = (part.attachment,)
        # Files count by their pixels or pages, not as base64 text.
        plain = replace(part, attachments=()) if isinstance(part, ToolResult) else part
        written = "" if isinstance(plain, Media) else json_text(values_of(plain))
        total += count_text(written) + sum(most_tokens(one, image_tokens, model) for one in files)
    return total


def _attached(
    message: LLMMessage, count_text: Callable[[str], int], image_tokens: ImageTokens | None, model: str
) -> int:
    """Count the tokens of a message's attachments."""
    return sum(
        count_text(one.text) + count_text(one.name) + MOST_PER_MESSAGE
        if one.kind == "text"
        else most_tokens(one, image_tokens, model) + MOST_PER_MESSAGE
        for one in message.attachments
    )


def count(text: str, model: str) -> int:
    """Count the tokens of a text as exactly as possible without a network.

    `tiktoken` is used if it is installed, knows the model, and has the model's ranks on disk
    already, so that nothing is downloaded. Otherwise the count is an estimate.

    Example:
        >>> count("", "gpt-4o-mini")
        0
    """
    encode = _tiktoken(model)
    # By default, tiktoken refuses a text that contains a special token, such as <|endoftext|>.
    return estimate(text) if encode is None else len(encode.encode(text, disallowed_special=()))


class _Encoding(Protocol):
    def encode(self, text: str, *, disallowed_special: tuple[str, ...]) -> list[int]: ...


def _tiktoken(model: str) -> _Encoding | None:
    try:
        import tiktoken
        from tiktoken.model import encoding_name_for_model
    except ImportError:
        return None
    try:
        name = encoding_name_for_model(model)
    except KeyError:
        return None
    if not _on_disk(name):
        return None
    encoding: _Encoding = tiktoken.get_encoding(name)
    return encoding


def _on_disk(encoding: str) -> bool:
    """Whether tiktoken's cache has the ranks; its keys are the SHA-1 of their URL."""
    address = f"https://openaipublic.blob.core.windows.net/encodings/{encoding}.tiktoken"
    default = Path(tempfile.gettempdir(), "data-gym-cache")
    folder = Path(os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR") or default)
    return folder.joinpath(hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()).is_file()
