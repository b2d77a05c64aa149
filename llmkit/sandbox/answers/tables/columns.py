"""Questions about columns of a table: missing values, measures, groups, frequencies, relations and trends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.tables.asked import (
    COMPARED,
    LEAST,
    MOST,
    columns_in,
    labelled,
    measures_in,
    numeric_in,
)
from llmkit.sandbox.answers.tables.measures import correlation, groups, shown, strongest
from llmkit.sandbox.answers.tables.rows import COUNTS, SENT
from llmkit.sandbox.answers.wording import capitalised, joined, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.tables.asked import Measure
    from llmkit.sandbox.answers.tables.reading import Column, Frame

ROWS = re.compile(
    r"\bhow many (?:rows|entries|records|observations|items|lines|data points|samples|days|points"
    r"|are there)\b|\bnumber of rows\b|\bhow (?:long|big|large) is\b|\bshape\b|\bsize of\b"
)
_COLUMNS = re.compile(
    r"\b(?:how many|which|what|list|name|show)\b.*\b(?:columns?|fields|features|variables)\b|\bcolumn names\b"
)
MISSING = re.compile(r"\bmissing\b|\bnulls?\b|\bnan\b|\bempty\b|\bblank\b|\bincomplete\b")
UNIQUE = re.compile(r"\b(?:unique|distinct|different|how many (?:cities|kinds|categories|groups|types))\b")
FREQUENT = re.compile(
    r"\bmost (?:frequent|common|often|rows|entries|records|lines)\b|\b(?:largest|highest|biggest) number of"
    r" rows\b"
)
RAREST = re.compile(r"\b(?:fewest|least) (?:frequent|common|often|rows|entries|records)\b|\brarest\b")
BY = re.compile(r"\b(?:by|per|each|every|group\w*|which|highest|lowest)\b")
_PER = re.compile(r"\b(?:by|per|each|every|group\w*)\b")
_WHICH = re.compile(r"\b(?:which|what|in which|whose)\b")
_EXTREMES = {1: "largest", -1: "smallest"}
_OF_ROWS = re.compile(r"\b(?:rows|entries|records|lines)\b")
_NOT_ADDED = re.compile(r"temp|\bage\b|price|rate|score|percent|share|year|height|weight|mean|avg|average")
RELATED = re.compile(
    r"\b(?:depends?|correlat\w*|relat\w*|relationship|connection|influence\w*|affect\w*|effect|linked?"
    r"|together|between)\b"
)
TREND = re.compile(
    r"\b(?:trend|over time|chang\w+|grow\w*|increas\w+|decreas\w+|rise|rising|fall|falling|develop\w*)\b"
)
COUNTED = "counted"
"""Title of a finding that counts the rows that filters kept."""

_HEADS = re.compile(r"\bhow many (?:people|persons|employees|customers)\b")
_PAIR = 2
_LISTED = 10
_WEAK, _STRONG = 0.3, 0.7  # customary limits of correlations


def size(frame: Frame, question: str) -> Finding | None:
    """Tell the number of rows and the columns."""
    if _COLUMNS.search(question) and not MOST.search(question) and not _named_column(frame, question):
        names = [one.name for one in frame.columns]
        rows = tuple((one,) for one in names)
        text = f"It has {len(names)} columns: {joined(names)}."
        return Finding(text=text, short=joined(names), head=("column",), rows=rows)
    heads = _HEADS.search(question) and not columns_in(frame, question)
    if (heads or ROWS.search(question)) and not COMPARED.search(question):
        width = max(frame.width, len(frame.columns))
        many = f"{frame.rows:,} row{'' if frame.rows == 1 else 's'}"
        text = f"It has {many} and {width} column{'' if width == 1 else 's'}."
        return Finding(text=text, short=f"{frame.rows:,}")
    return None


def _named_column(frame: Frame, question: str) -> bool:
    """Whether a question is about one column by name: `the coffee column`."""
    return bool(re.search(r"\bcolumn\b", question) and columns_in(frame, question))


def missing(frame: Frame, question: str) -> Finding | None:
    """Tell which values are missing."""
    if not MISSING.search(question):
        return None
    named = columns_in(frame, question)
    gaps = [(one.name, one.missing) for one in named or frame.columns if one.missing]
    if gaps:
        return _gaps(gaps)
    where = joined(one.name for one in named) if named else "any column"
    return Finding(text=f"No value is missing in {where}.", short="none")


def _gaps(gaps: list[tuple[str, int]]) -> Finding:
    many = sum(count for _, count in gaps)
    said = joined(f"{count:,} in {name}" for name, count in gaps)
    return Finding(
        text=f"{many:,} value{'s are' if many > 1 else ' is'} missing: {said}.",
        short=f"{many:,}",
        head=("column", "missing"),
        rows=tuple((name, str(count)) for name, count in gaps),
    )


def grouped(frame: Frame, question: str) -> Finding | None:
    """Compute a measure of each group, such as the mean sales by city."""
    keys = [one for one in columns_in(frame, question) if not one.numeric and one.cells]
    measures, columns = measures_in(question), numeric_in(frame, question)
    if not measures and _PER.search(question):
        measures = [("sum", sum)]
    if len(keys) != 1 or not measures or not columns or not BY.search(question):
        return None
    return _by_group(frame, keys[0], columns[0], measures[0], question)


def ranked(frame: Frame, question: str) -> Finding | None:
    """Name the value of a column of words whose rows have the most or the least of a number in sum."""
    sign = _sign(question)
    pair = _key_and_number(frame, question) if sign and _WHICH.search(question) else None
    if pair is None:
        return None
    key, column = pair
    sums = {name: sum(values) for name, values in groups(frame, key.name, column.name).items()}
    single = len(sums) == len(key.cells)
    if not sums or (single and not frame.whole and column.high is not None):
        return None  # a card knows the most of all rows
    best = sorted(sums.items(), key=lambda one: -sign * one[1])
    return _best_sum(best, key, column, f"{_EXTREMES[sign]}{'' if single else ' sum of'}")


def _sign(question: str) -> int:
    """Return 1 if a question asks for the most, -1 for the least, else 0."""
    if MOST.search(question):
        return 1
    return -1 if LEAST.search(question) else 0


def _best_sum(best: list[tuple[str, float]], key: Column, column: Column, word: str) -> Finding:
    rows = tuple((name, shown(value)) for name, value in best)
    text = f"{rows[0][0]} has the {word} {column.name}: {rows[0][1]}."
    head = (key.name, f"sum {column.name}")
    return Finding(text=text, short=rows[0][0], title=SENT, head=head, rows=rows)


def _key_and_number(frame: Frame, question: str) -> tuple[Column, Column] | None:
    """Return the one column of words that a question names, and the one of numbers that can be added."""
    keys = [one for one in columns_in(frame, question) if not one.numeric and one.cells]
    columns = numeric_in(frame, question)
    if _OF_ROWS.search(question) or len(keys) != 1 or len(columns) != 1:
        return None
    if _NOT_ADDED.search(plain(columns[0].name)):
        return None
    return keys[0], columns[0]


def _by_group(frame: Frame, key: Column, column: Column, measure: Measure, question: str) -> Finding:
    name, compute = measure
    found = {group: compute(values) for group, values in groups(frame, key.name, column.name).items()}
    ranked = sorted(found.items(), key=lambda one: one[1], reverse=not LEAST.search(question))
    rows = tuple((group, shown(value)) for group, value in ranked)
    said = joined(f"{group} {value}" for group, value in rows)
    lead = f"The {name} of {column.name} by {key.name}"
    if re.search(r"\bwhich\b", question) and rows:
        lead = f"{rows[0][0]}. {lead}"
    return Finding(
        text=f"{lead}: {said}.",
        short=rows[0][0] if lead.startswith(rows[0][0]) else said,
        title=SENT,
        head=(key.name, f"{name} {column.name}"),
        rows=rows,
    )


def frequent(frame: Frame, question: str) -> Finding | None:
    """Tell the most or least frequent value of a column, or how many differ."""
    counted, sign = _counted(frame, question), _frequency(question)
    if not (counted or sign or UNIQUE.search(question)):
        return None
    column = counted or _of_words(frame, question)
    if column is None:
        return None
    ranked = _counts(frame, column)
    return _most_frequent(column, ranked, sign) if sign and ranked else _distinct(column, ranked)


def _frequency(question: str) -> int:
    """Return 1 if the most frequent is asked for, -1 if the rarest, 0 if neither."""
    return -1 if RAREST.search(question) else int(FREQUENT.search(question) is not None)


def _most_frequent(column: Column, ranked: list[tuple[str, int]], sign: int) -> Finding:
    many = ranked[0 if sign > 0 else -1][1]
    best = [value for value, count in ranked if count == many][:_LISTED]
    rows = f"{many:,} row{'' if many == 1 else 's'}"
    text = f"{best[0]} is the {'most' if sign > 0 else 'least'} frequent {column.name}, with {rows}."
    return Finding(
        text=text if len(best) == 1 else f"{joined(best)} have {rows} each.",
        short=joined(best),
        head=(column.name, "rows"),
        rows=tuple((key, str(count)) for key, count in ranked),
    )


def _counted(frame: Frame, question: str) -> Column | None:
    """Return the column of words that `how many` asks for: `how many regions are there`."""
    found = re.search(r"\bhow many (\w+)", question)
    named = columns_in(frame, found[1]) if found else []
    return next((one for one in named if not one.numeric), None)


def _of_words(frame: Frame, question: str) -> Column | None:
    """Return the column whose values are meant: a named one, words before numbers."""
    named = columns_in(frame, question)
    words = [one for one in (*named, *frame.columns) if not one.numeric]
    return named[0] if named and not any(not one.numeric for one in named) else next(iter(words), None)


def _counts(frame: Frame, column: Column) -> list[tuple[str, int]]:
    """Return how often each value occurs, the most frequent first."""
    if column.top and not frame.whole:
        return list(column.top)
    counts = {cell: column.cells.count(cell) for cell in dict.fromkeys(column.cells)}
    return sorted(counts.items(), key=lambda one: -one[1])


def _distinct(column: Column, ranked: list[tuple[str, int]]) -> Finding:
    many = len(ranked) if column.unique is None else column.unique
    all_known = many <= len(ranked) <= _LISTED
    listed = f": {joined(key for key, _ in ranked)}" if all_known else ""
    return Finding(
        text=f"{capitalised(column.name)} has {many:,} different values{listed}.", short=f"{many:,}"
    )


def related(frame: Frame, question: str) -> Finding | None:
    """Tell how closely two columns vary together."""
    if not RELATED.search(question) or len(frame.numeric) < _PAIR:
        return None
    named = [one.name for one in columns_in(frame, question) if one.numeric][:_PAIR]
    if len(named) < _PAIR:
        best = strongest(frame)
        named = [best[0], best[1]] if best else frame.numeric[:_PAIR]
    value = correlation(frame, named[0], named[1])
    if value is None:
        return Finding(text="The rows that came along are too few to say.", short="unclear")
    return _together(named[0], named[1], value)


def _together(first: str, second: str, value: float) -> Finding:
    size = abs(value)
    strength = "hardly" if size < _WEAK else "somewhat" if size < _STRONG else "closely"
    way = ": one rises with the other" if value > 0 else ": one falls as the other rises"
    text = (
        f"{capitalised(first)} and {second} vary {strength} together{'' if size < _WEAK else way} "
        f"(correlation {value:.2f}). That alone does not show what causes what."
    )
    return Finding(text=text, short=f"{value:.2f}", title=SENT)


def trend(frame: Frame, question: str) -> Finding | None:
    """Tell how a column goes from the first row to the last."""
    columns = numeric_in(frame, question) if TREND.search(question) else []
    if len(frame.categories) > 1 or len(set(frame.labels)) < len(frame.labels):
        return None  # the rows do not follow each other
    values = columns[0].values if columns else []
    if len(values) < _PAIR or len(frame.labels) < _PAIR:
        return None
    first, last = values[0], values[-1]
    way = "rises" if last > first else "falls" if last < first else "stays the same"
    text = (
        f"{capitalised(columns[0].name)} {way} from {shown(first)} ({frame.labels[0]}) to {shown(last)} "
        f"({frame.labels[-1]}), with values between {shown(min(values))} and {shown(max(values))}."
    )
    return Finding(text=text, short=way, title=SENT)


def _measures(frame: Frame, question: str) -> list[tuple[str, Column, float]]:
    """Return each measure that a question asks for, of each column that it names, or of all."""
    return [
        (name, column, value)
        for column in numeric_in(frame, question) or map(frame.column, frame.numeric)
        for name, compute in measures_in(question)
        if (value := _measure(column, name, compute)) is not None
    ]


def measured(frame: Frame, question: str) -> Finding | None:
    """Compute the measures that a question asks for."""
    found = _measures(frame, question)
    if not found:
        return None
    medians = [name == "median" and column.middle is not None for name, column, _ in found]
    return Finding(
        text=" ".join(f"The {name} of {column.name} is {shown(value)}." for name, column, value in found),
        short=", ".join(shown(value) for _, _, value in found),
        title="" if frame.whole or all(medians) else SENT,
    )


def tallied(frame: Frame, question: str) -> Finding | None:
    """Count the rows that filters kept, or list their values with the sum."""
    columns = numeric_in(frame, question)
    if COUNTS.search(question) and not any(one.numeric for one in columns_in(frame, question)):
        many = f"{len(frame.labels):,}"
        return Finding(text=f"There are {many} rows.", short=many, title=COUNTED)
    return _listed(frame, columns[0]) if len(columns) == 1 and columns[0].values else None


def _listed(frame: Frame, column: Column) -> Finding:
    rows = tuple((label, shown(value)) for label, value in labelled(frame, column))
    if len(rows) == 1:
        return Finding(text=f"{rows[0][0]}: {column.name} {rows[0][1]}.", short=rows[0][1], title=SENT)
    said = joined(f"{label} {value}" for label, value in rows[:_LISTED])
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    total = "" if _NOT_ADDED.search(plain(column.name)) else f" The sum is {shown(sum(column.values))}."
    text = f"The values of {column.name}: {said}{more}.{total}"
    return Finding(text=text, short=said, title=SENT, head=("row", column.name), rows=rows)


def _measure(column: Column, name: str, compute: Callable[[list[float]], float]) -> float | None:
    if name == "median" and column.middle is not None:
        return column.middle  # of all rows, where a card says it
    return compute(column.values) if column.values else None
