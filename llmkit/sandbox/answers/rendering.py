"""Writes a finding in the form that was asked for, else in the voice of the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.texts.condensing import keywords
from llmkit.sandbox.answers.texts.sentences import fitted, sentences
from llmkit.sandbox.answers.wording import capitalised, joined

if TYPE_CHECKING:
    from llmkit.sandbox.answers.finding import Finding, Row
    from llmkit.sandbox.answers.forms import Form
    from llmkit.sandbox.answers.voices import Style, Voice

_CARD_ROWS = 2
_FEW_WORDS = 5


def render(finding: Finding, form: Form, voice: Voice) -> str:
    """Return a finding as text.

    Example:
        >>> from llmkit.sandbox.answers.finding import Finding
        >>> from llmkit.sandbox.answers.forms import Form
        >>> from llmkit.sandbox.answers.voices import voice
        >>> render(Finding(text="It is Oslo.", short="Oslo"), Form(words=1), voice("sandbox"))
        'Oslo'
    """
    text = _shaped(finding, form) or _sized(finding, form) or _in_voice(finding, form, voice)
    return dressed(text, form)


def dressed(text: str, form: Form) -> str:
    """Return a text in the case and tongue that are asked for.

    Example:
        >>> from llmkit.sandbox.answers.forms import Form
        >>> dressed("Oslo.", Form(pirate=True))
        'Arr, matey! Oslo.'
    """
    if form.pirate:
        text = f"Arr, matey! {text}"
    return text.upper() if form.case == "upper" else text.lower() if form.case == "lower" else text


def _shaped(finding: Finding, form: Form) -> str:
    """Return the form of a list that is asked for, if the finding can have it."""
    if not form.shape:
        return ""
    rows = finding.rows or _points(finding, form.items)
    head = finding.head or ("answer",)
    names = [row[0] for row in rows]
    shapes = {
        "csv": lambda: csv_block(head, rows),
        "table": lambda: table(head, rows),
        "bullets": lambda: bullets(rows),
        "numbered": lambda: "\n".join(f"{n}. {name}" for n, name in enumerate(names, 1)),
        "commas": lambda: ", ".join(names),
        "lines": lambda: "\n".join(names),
    }
    return shapes[form.shape]()


def _points(finding: Finding, many: int | None) -> tuple[Row, ...]:
    """Return the sentences of a finding, with its comparison if more are asked for, and no more than that."""
    found = sentences(f"{finding.text} {finding.more}")
    if many and len(found) < many:
        found += sentences(finding.simple)
    return tuple((one,) for one in found[:many])


def _sized(finding: Finding, form: Form) -> str:
    """Return an answer of the length that is asked for."""
    if form.words:
        return _in_words(finding, form.words)
    if form.simple and finding.simple:
        return f"{finding.text} {finding.simple}" if form.sentences is None else finding.simple
    if form.sentences:
        return " ".join(sentences(_whole(finding))[: form.sentences])
    if form.brief:
        return f"{capitalised(finding.short)}." if finding.short else finding.text
    return ""


def _in_words(finding: Finding, most: int) -> str:
    if most == 1 and finding.short:
        return finding.short.split()[0].strip(",.") if " and " in finding.short else finding.short
    if most <= _FEW_WORDS and not finding.short:
        return f"{capitalised(', '.join(keywords(_whole(finding), most)))}."
    whole = _whole(finding)
    return fitted(finding.gist if finding.gist and len(whole.split()) > most else whole, most)


def _whole(finding: Finding) -> str:
    return " ".join(filter(None, (finding.text, finding.more, finding.simple)))


def _in_voice(finding: Finding, form: Form, voice: Voice) -> str:
    if _is_list(finding):
        return as_list(finding, voice.lists)
    if form.long:
        return _whole(finding)
    if voice.length == "short":
        return f"{capitalised(finding.short)}." if finding.short else finding.text
    bare = bool(finding.short) and voice.length == "plain"
    return finding.text if bare else f"{finding.text} {finding.more}".strip()


def _is_list(finding: Finding) -> bool:
    """Whether the text of a finding only names its rows."""
    names = capitalised(joined(row[0] for row in finding.rows)) if finding.rows else ""
    return len(finding.rows) >= _CARD_ROWS and finding.text == f"{names}."


def as_list(finding: Finding, style: Style) -> str:
    """Return the rows of a finding as a list in some style."""
    names = [row[0] for row in finding.rows]
    if style == "numbered":
        return "\n".join(f"{number}. {name}" for number, name in enumerate(names, 1))
    if style == "bullets":
        return bullets(finding.rows)
    if style == "detailed":
        return f"{capitalised(joined(_with_detail(row) for row in finding.rows))}."
    return finding.text


def _with_detail(row: Row) -> str:
    return f"{row[0]} ({row[1]})" if len(row) > 1 and row[1] else row[0]


def bullets(rows: tuple[Row, ...]) -> str:
    r"""Return rows as bullets, whose first cells are bold if there are others.

    Example:
        >>> bullets((("Nile", "6,650 km"), ("Amazon", "6,400 km")))
        '- **Nile**, 6,650 km\n- **Amazon**, 6,400 km'
    """
    marked = ([f"**{row[0]}**", *filter(None, row[1:])] if len(row) > 1 else [row[0]] for row in rows)
    return "\n".join(f"- {', '.join(cells)}" for cells in marked)


def table(head: Row, rows: tuple[Row, ...]) -> str:
    """Return rows as a Markdown table.

    Example:
        >>> print(table(("fruit",), (("apple",), ("pear",))))
        | Fruit |
        | --- |
        | **apple** |
        | **pear** |
    """
    columns = [capitalised(name.replace("_", " ")) for name in head]
    marks = [
        "---",
        *("---:" if cell[:1].isdigit() or cell[:1] in "-\u2212" else "---" for cell in rows[0][1:]),
    ]
    bold = ([f"**{name}**", *more] for name, *more in rows)
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in (columns, marks, *bold)
    )


def csv_block(head: Row, rows: tuple[Row, ...]) -> str:
    """Return rows as CSV in a code block; figures lose their commas and units, which go to the head.

    Example:
        >>> print(csv_block(("river", "length"), (("Nile", "6,650 km"),)))
        ```csv
        river,length
        Nile,6650
        ```
    """
    body = "\n".join(",".join(_cell(cell) for cell in row) for row in rows)
    return f"```csv\n{','.join(head)}\n{body}\n```"


def _cell(text: str) -> str:
    if found := re.match(r"(-?[\d,]+(?:\.\d+)?(?:e\d+)?)(?: \S{1,4}(?: \S+)?)?$", text):
        return found[1].replace(",", "")
    return f'"{text}"' if "," in text else text
