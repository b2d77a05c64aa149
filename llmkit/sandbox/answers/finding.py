"""What was found for a question, before it gets the form that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An answer, in as many lengths as there are.

    Attributes:
        text: The answer in sentences.
        short: The bare answer, such as a name or a number.
        gist: The sentence that matters most, if only a few words are allowed.
        more: Further sentences.
        simple: A comparison with everyday things.
        title: What it is about.
        head: Names of the columns of `rows`; a unit follows an underscore.
        rows: The answer as a list; the first cell names the row.
        code: An example in Python.
    """

    text: str
    short: str = ""
    gist: str = ""
    more: str = ""
    simple: str = ""
    title: str = ""
    head: Row = ()
    rows: tuple[Row, ...] = ()
    code: str = ""
