"""The verb `map`. `frames.question` says how a verb is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.frames.job import Job
from llmkit.frames.options import options_of
from llmkit.frames.question import Question
from llmkit.frames.running import arun, run
from llmkit.frames.signatures import verb

if TYPE_CHECKING:
    from llmkit.frames.prompts import Prompt


@verb
def map(frame: Any, prompt: Prompt, *, out: str = "llm", **options: Any) -> Any:  # noqa: A001 - as Python calls it
    """Ask a model the same of every row, and put its answers into a new column.

    A failed row does not stop the others: its error is in `<out>_error`. What was answered is stored beside
    the ledger and not paid again, also after an interrupt or in another kernel, in any order of the rows.

    A Dask frame gives a lazy Dask frame, which asks when it is computed, on the workers. They read keys and
    addresses from their own environment, and share the ledger and the answers if they use the same files: on
    one machine equal rows are one call, `max_cost` and budgets hold for all workers together, and a killed
    worker's finished rows are not paid again. Nothing is shown meanwhile but what Dask shows. `mode="batch"`,
    `limit` and `dedupe=False` are refused, as are clients: `model` is a name.

    Args:
        frame: A pandas, polars or Dask DataFrame, or a pyarrow Table.
        prompt: A template such as `"Summarise: {{text}}"`, the name of a column, a callable that gets each
            row as a dict and returns a string or a list of messages, or a series. A row is skipped
            if a value that is used is missing, or if all of them are blank.
        out: Name of the new column.
        **options: The options of all verbs.

    Returns:
        A copy of the frame with the columns `<out>` and `<out>_error`; with `dry_run=True` a `Plan`: for
        that, a Dask frame is computed.

    Raises:
        InvalidRequestError: If the frame, the prompt or an option is not possible; nothing is sent.
        JobStopped: If the job ends before its last row; `.frame` has what was answered; of a Dask
            frame, in the partition that stopped.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"river": ["Rhine", "Elbe"]})
        >>> frame = map(frame, "repeat exactly: {{river}}", out="said", model="sandbox", progress=False)
        >>> frame["said"].tolist()
        ['Rhine', 'Elbe']
    """
    return run(Job(frame, prompt, Question(), options_of({"out": out, **options})))


@verb
async def amap(frame: Any, prompt: Prompt, *, out: str = "llm", **options: Any) -> Any:
    """Do what `map` does, on the running event loop; the rows' prompts are made in a thread.

    Args:
        frame: As for `map`.
        prompt: As for `map`.
        out: As for `map`.
        **options: The options of all verbs.

    Returns:
        As for `map`.

    Raises:
        InvalidRequestError: As for `map`.
        JobStopped: As for `map`.

    Example:
        ```python
        frame = await llmkit.frames.amap(frame, "Summarise: {{text}}", out="summary")
        ```
    """
    return await arun(Job(frame, prompt, Question(), options_of({"out": out, **options})))
