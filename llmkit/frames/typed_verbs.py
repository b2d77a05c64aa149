"""The verbs whose answers are fixed: `classify`, `filter`, `score`, `decide`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import InvalidRequestError
from llmkit.frames.answer_types import AnswerType, Choice, Score, YesNo
from llmkit.frames.asked_model import client_of
from llmkit.frames.decision import Decision
from llmkit.frames.job import Job
from llmkit.frames.options import options_of
from llmkit.frames.plan import Plan
from llmkit.frames.running import arun, run
from llmkit.frames.signatures import verb
from llmkit.frames.stopped import JobStopped
from llmkit.frames.table import Table, only_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmkit.frames.prompts import Prompt


@verb
def classify(
    frame: Any,
    prompt: Prompt,
    labels: Sequence[str] | Mapping[str, str],
    *,
    instruction: str | None = None,
    multi: bool = False,
    other: str | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    probabilities: bool = False,
    out: str = "label",
    **options: Any,
) -> Any:
    """Choose one of some labels for every row, or several.

    Args:
        frame: As for `map`.
        prompt: The name of a column, a template such as `"{{title}}: {{text}}"`, or what `map` takes.
        labels: The labels, or a mapping from each label to its description.
        instruction: The question, if the labels do not say it.
        multi: Whether several labels may apply, or none; a cell is then a list.
        other: A further label for what fits none, e.g. `"none of these"`.
        examples: Some inputs with their labels, e.g. `[("I was charged twice", "billing")]`.
        probabilities: Whether answers without a probability are asked for again; `<out>_p` has them where the
            model has a Decisions API.
        out: Name of the new column, which is categorical.
        **options: The options of all verbs.

    Returns:
        A copy of the frame with the columns `<out>` and `<out>_error`.

    Raises:
        InvalidRequestError: If a label is repeated, or as for `map`.
        JobStopped: As for `map`.

    Example:
        >>> import pandas as pd
        >>> tickets = pd.DataFrame({"text": ["I was charged twice."]})
        >>> found = classify(tickets, "text", ["billing", "technical"], model="sandbox", progress=False)
        >>> found["label"].cat.categories.tolist()
        ['billing', 'technical']
    """
    question = Choice(labels, instruction, multi=multi, other=other)
    return _run(
        _decision(
            "classify",
            frame,
            prompt,
            {"label": question},
            examples,
            {"out": out, "probabilities": probabilities, **options},
        )
    )


@verb
async def aclassify(
    frame: Any,
    prompt: Prompt,
    labels: Sequence[str] | Mapping[str, str],
    *,
    instruction: str | None = None,
    multi: bool = False,
    other: str | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    probabilities: bool = False,
    out: str = "label",
    **options: Any,
) -> Any:
    """Do what `classify` does, on the running event loop.

    Args:
        frame: As for `map`.
        prompt: As for `map`.
        labels: As for `classify`.
        instruction: As for `classify`.
        multi: As for `classify`.
        other: As for `classify`.
        examples: As for `classify`.
        probabilities: As for `classify`.
        out: As for `classify`.
        **options: The options of all verbs.

    Returns:
        As for `classify`.

    Raises:
        InvalidRequestError: As for `classify`.
        JobStopped: As for `map`.

    Example:
        ```python
        frame = await llmkit.frames.aclassify(frame, "text", ["billing", "technical"])
        ```
    """
    question = Choice(labels, instruction, multi=multi, other=other)
    job = _decision(
        "classify",
        frame,
        prompt,
        {"label": question},
        examples,
        {"out": out, "probabilities": probabilities, **options},
    )
    return _noted(job, await arun(job))


@verb
def filter(  # noqa: A001 - as Python calls it
    frame: Any,
    prompt: Prompt,
    condition: str,
    *,
    keep: bool = False,
    examples: Iterable[tuple[str, bool]] = (),
    probabilities: bool = False,
    out: str = "keep",
    **options: Any,
) -> Any:
    """Keep the rows for which a condition holds.

    Only rows that were answered with no are dropped: a row that failed stays, with its error, and a line
    says how many there are; so does a row whose text is missing.

    Args:
        frame: As for `map`.
        prompt: The name of a column, a template such as `"{{title}}: {{text}}"`, or what `map` takes.
        condition: What must hold of a row, e.g. `"mentions a refund"`.
        keep: Whether to keep all rows, with the answers in a boolean column.
        examples: Some inputs with their answers, e.g. `[("I want my money back", True)]`.
        probabilities: Whether answers without a probability are asked for again; `<out>_p` has them where the
            model has a Decisions API.
        out: Name of the boolean column, and beginning of the name of the column of errors.
        **options: The options of all verbs.

    Returns:
        A copy of the frame with fewer rows and the column `<out>_error`; with `keep=True` all rows, and the
        column `<out>` as well.

    Raises:
        InvalidRequestError: If the condition is not a text, or as for `map`.
        JobStopped: As for `map`; rows that were not asked are in `.frame`.

    Example:
        >>> import pandas as pd
        >>> tickets = pd.DataFrame({"text": ["Where is my refund?"]})
        >>> found = filter(tickets, "text", "mentions a refund", keep=True, model="sandbox", progress=False)
        >>> found["keep"].dtype
        BooleanDtype
    """
    job = _filter(frame, prompt, condition, examples, {"out": out, "probabilities": probabilities, **options})
    if job.options.dry_run:
        return _run(job)
    try:
        found = _run(job)
    except JobStopped as stopped:
        stopped.frame = _filtered(job, stopped.frame, out, keep=keep)
        raise
    if isinstance(found, Plan):
        return found
    return _told(_filtered(job, found, out, keep=keep), out, keep=keep)


@verb
async def afilter(
    frame: Any,
    prompt: Prompt,
    condition: str,
    *,
    keep: bool = False,
    examples: Iterable[tuple[str, bool]] = (),
    probabilities: bool = False,
    out: str = "keep",
    **options: Any,
) -> Any:
    """Do what `filter` does, on the running event loop.

    Args:
        frame: As for `map`.
        prompt: As for `map`.
        condition: As for `filter`.
        keep: As for `filter`.
        examples: As for `filter`.
        probabilities: As for `filter`.
        out: As for `filter`.
        **options: The options of all verbs.

    Returns:
        As for `filter`.

    Raises:
        InvalidRequestError: As for `filter`.
        JobStopped: As for `filter`.

    Example:
        ```python
        frame = await llmkit.frames.afilter(frame, "text", "mentions a refund")
        ```
    """
    job = _filter(frame, prompt, condition, examples, {"out": out, "probabilities": probabilities, **options})
    if job.options.dry_run:
        return _noted(job, await arun(job))
    try:
        found = _noted(job, await arun(job))
    except JobStopped as stopped:
        stopped.frame = _filtered(job, stopped.frame, out, keep=keep)
        raise
    if isinstance(found, Plan):
        return found
    return _told(_filtered(job, found, out, keep=keep), out, keep=keep)


@verb
def score(
    frame: Any,
    prompt: Prompt,
    instruction: str,
    levels: Sequence[str] | Mapping[str, str],
    *,
    examples: Iterable[tuple[str, str]] = (),
    probabilities: bool = False,
    out: str = "score",
    **options: Any,
) -> Any:
    """Choose a level for every row.

    Args:
        frame: As for `map`.
        prompt: The name of a column, a template such as `"{{title}}: {{text}}"`, or what `map` takes.
        instruction: The question, e.g. `"How angry is the writer?"`.
        levels: The levels from the lowest to the highest, or a mapping from each one to its description.
        examples: Some inputs with their levels, e.g. `[("This is outrageous!", "furious")]`.
        probabilities: Whether answers without a probability are asked for again; `<out>_p` has them where the
            model has a Decisions API.
        out: Name of the new column, an ordered categorical.
        **options: The options of all verbs.

    Returns:
        A copy of the frame with the columns `<out>` and `<out>_error`.

    Raises:
        InvalidRequestError: If a level is repeated, or as for `map`.
        JobStopped: As for `map`.

    Example:
        >>> import pandas as pd
        >>> tickets = pd.DataFrame({"text": ["This is outrageous!"]})
        >>> found = score(tickets, "text", "How angry?", ["calm", "furious"], model="sandbox", progress=False)
        >>> found["score"].cat.ordered
        True
    """
    question = Score(levels, instruction)
    return _run(
        _decision(
            "score",
            frame,
            prompt,
            {"score": question},
            examples,
            {"out": out, "probabilities": probabilities, **options},
        )
    )


@verb
async def ascore(
    frame: Any,
    prompt: Prompt,
    instruction: str,
    levels: Sequence[str] | Mapping[str, str],
    *,
    examples: Iterable[tuple[str, str]] = (),
    probabilities: bool = False,
    out: str = "score",
    **options: Any,
) -> Any:
    """Do what `score` does, on the running event loop.

    Args:
        frame: As for `map`.
        prompt: As for `map`.
        instruction: As for `score`.
        levels: As for `score`.
        examples: As for `score`.
        probabilities: As for `score`.
        out: As for `score`.
        **options: The options of all verbs.

    Returns:
        As for `score`.

    Raises:
        InvalidRequestError: As for `score`.
        JobStopped: As for `map`.

    Example:
        ```python
        frame = await llmkit.frames.ascore(frame, "text", "How angry?", ["calm", "annoyed", "furious"])
        ```
    """
    question = Score(levels, instruction)
    job = _decision(
        "score",
        frame,
        prompt,
        {"score": question},
        examples,
        {"out": out, "probabilities": probabilities, **options},
    )
    return _noted(job, await arun(job))


@verb
def decide(
    frame: Any,
    prompt: Prompt,
    questions: Mapping[str, AnswerType],
    *,
    examples: Iterable[tuple[str, Mapping[str, Any]]] = (),
    probabilities: bool = False,
    out: str | None = None,
    **options: Any,
) -> Any:
    """Answer several questions about every row, in one call for each row.

    Args:
        frame: As for `map`.
        prompt: The name of a column, a template such as `"{{title}}: {{text}}"`, or what `map` takes.
        questions: `YesNo`, `Choice` and `Score` by name; one without an instruction is asked by its name.
        examples: Some inputs with all their answers, e.g. `[("Money back!", {"refund": True})]`.
        probabilities: Whether answers without a probability are asked for again; `<out>_p` has them where the
            model has a Decisions API.
        out: Beginning of the names of the new columns; by default they are those of the questions.
        **options: The options of all verbs.

    Returns:
        A copy of the frame with the columns `<name>` and `<name>_error` for each question.

    Raises:
        InvalidRequestError: If a question is not possible, or as for `map`.
        JobStopped: As for `map`.

    Example:
        >>> import pandas as pd
        >>> tickets = pd.DataFrame({"text": ["Where is my refund?"]})
        >>> questions = {"refund": YesNo("Is a refund asked for?"), "team": Choice(["billing", "technical"])}
        >>> decide(tickets, "text", questions, model="sandbox", progress=False).columns.tolist()
        ['text', 'refund', 'team', 'refund_error', 'team_error']
    """
    return _run(
        _decision(
            "decide",
            frame,
            prompt,
            questions,
            examples,
            {"out": out, "probabilities": probabilities, **options},
            named=True,
        )
    )


@verb
async def adecide(
    frame: Any,
    prompt: Prompt,
    questions: Mapping[str, AnswerType],
    *,
    examples: Iterable[tuple[str, Mapping[str, Any]]] = (),
    probabilities: bool = False,
    out: str | None = None,
    **options: Any,
) -> Any:
    """Do what `decide` does, on the running event loop.

    Args:
        frame: As for `map`.
        prompt: As for `map`.
        questions: As for `decide`.
        examples: As for `decide`.
        probabilities: As for `decide`.
        out: As for `decide`.
        **options: The options of all verbs.

    Returns:
        As for `decide`.

    Raises:
        InvalidRequestError: As for `decide`.
        JobStopped: As for `map`.

    Example:
        ```python
        frame = await llmkit.frames.adecide(frame, "text", {"refund": YesNo("Is a refund asked for?")})
        ```
    """
    job = _decision(
        "decide",
        frame,
        prompt,
        questions,
        examples,
        {"out": out, "probabilities": probabilities, **options},
        named=True,
    )
    return _noted(job, await arun(job))


def _decision(  # noqa: PLR0917 - as the verbs have them
    verb: str,
    frame: Any,
    prompt: Prompt,
    questions: Mapping[str, AnswerType],
    examples: Iterable[Any],
    options: dict[str, Any],
    *,
    named: bool = False,
) -> Job:
    question = Decision(verb, questions, examples=examples, named=named)
    probabilities = options.pop("probabilities", False)
    made = options_of(options)
    question.way(client_of(made), made, probabilities=probabilities)
    return Job(frame, prompt, question, made)


def _filter(
    frame: Any, prompt: Prompt, condition: object, examples: Iterable[Any], options: dict[str, Any]
) -> Job:
    if not (isinstance(condition, str) and condition.strip()):
        raise InvalidRequestError(
            f"The condition must be a text, got {condition!r:.60}.", hint='For example "mentions a refund".'
        )
    question = YesNo(f"Does this hold of the input: {condition.strip()}?")
    return _decision("filter", frame, prompt, {"keep": question}, examples, options)


def _run(job: Job) -> Any:
    return _noted(job, run(job))


def _noted(job: Job, found: Any) -> Any:
    """Say how many answers have no probability, if others have one."""
    assert isinstance(job.question, Decision)
    without, all_of_them = job.question.without_p(job.answers.values())
    if job.question.has_p and 0 < without < all_of_them:
        sys.stderr.write(
            f"{without:,} of {all_of_them:,} answers have no probability: they were not asked at a Decisions"
            " API. probabilities=True asks them again.\n"
        )
    return found


def _filtered(job: Job, frame: Any, out: str, *, keep: bool) -> Any:
    """Return the rows that were not answered with no, without the answers."""
    if keep:
        return frame
    import narwhals as nw

    kept = nw.from_native(only_rows(frame, [answer is not False for answer in Table(frame).column(out)]))
    assert isinstance(job.question, Decision)
    return nw.to_native(kept.drop([out, f"{out}_p"] if job.question.has_p else [out]))


def _told(frame: Any, out: str, *, keep: bool) -> Any:
    """Say how many rows have no answer and were kept."""
    failed = sum(error is not None for error in Table(frame).column(f"{out}_error"))
    if failed and not keep:
        rows = "1 row has no answer and was" if failed == 1 else f"{failed:,} rows have no answer and were"
        sys.stderr.write(f"{rows} kept: see {out}_error.\n")
    return frame
