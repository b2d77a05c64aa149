"""Code for a table that a prompt describes, with its own column names."""

from __future__ import annotations

import re

from llmkit.sandbox.answers.tables.reading import Frame, read_frame
from llmkit.sandbox.answers.wording import plain

_HISTOGRAM = re.compile(r"\b(?:histogram|distribution)\b")
_CHART = re.compile(r"\b(?:charts?|plots?|graphs?|visuali[sz]e|draw|figure)\b")
_SCATTER = re.compile(r"\b(?:scatter|against|relationship|correlat\w+|depend\w*)\b")
_GROUP = re.compile(r"\b(?:group\w*|per|by|each|average|mean|sum|total)\b")
_SUMMARY = re.compile(r"\b(?:summari[sz]e\w*|summary|describe|overview|explore|analy[sz]e|analysis)\b")
_MISSING = re.compile(r"\b(?:missing|nan|null|empty)\b")
_SORT = re.compile(r"\b(?:sort|order|rank|top|largest|highest)\w*\b")


def chart_or_summary(text: str, question: str) -> str:
    r"""Return code for what a plain question wants with a described table; empty if there is no table.

    Example:
        >>> card = "df: pandas DataFrame with 2 rows and 1 columns\nColumns:\n  people: int64\n"
        >>> print(chart_or_summary(card, "plot it"))
        df.plot(y="people", marker="o")
    """
    frame = read_frame(text)
    if frame is None or not frame.name:
        return ""
    question = plain(frame.rest).strip() or question
    if _HISTOGRAM.search(question) and frame.numeric:
        return f'df["{_named(frame.numeric, question)}"].plot.hist(bins=20, edgecolor="white")'.replace(
            "df", frame.name, 1
        )
    if _CHART.search(question) or _SCATTER.search(question):
        return _chart(frame, question)
    if _MISSING.search(question):
        return f"{frame.name}.isna().sum()"
    return _worked(frame, question)


def _named(columns: list[str], question: str) -> str:
    """Return the column that a question names, else the first."""
    return next((name for name in columns if name.lower() in question), columns[0])


def _chart(frame: Frame, question: str) -> str:
    numbers, words = frame.numeric, frame.categories
    asked = [name for name in numbers if name.lower() in question]
    if not numbers:
        return f'{frame.name}["{words[0]}"].value_counts().plot.barh()' if words else ""
    if (_SCATTER.search(question) or len(asked) > 1) and len(numbers) > 1:
        x, y = (*asked, *(name for name in numbers if name not in asked))[:2]
        return f'{frame.name}.plot.scatter(x="{x}", y="{y}")'
    value = _named(numbers, question)
    if words:
        return f'{frame.name}.groupby("{_named(words, question)}")["{value}"].sum().sort_values().plot.barh()'
    return f'{frame.name}.plot(y="{value}", marker="o")'


def _worked(frame: Frame, question: str) -> str:
    if _GROUP.search(question) and frame.numeric and frame.categories:
        how = "sum" if re.search(r"\b(?:sum|total)\b", question) else "mean"
        key, value = _named(frame.categories, question), _named(frame.numeric, question)
        return f'{frame.name}.groupby("{key}")["{value}"].{how}()'
    if _SORT.search(question) and frame.numeric:
        return f'{frame.name}.sort_values("{_named(frame.numeric, question)}", ascending=False).head(10)'
    return f'{frame.name}.describe(include="all")' if _SUMMARY.search(question) else ""
