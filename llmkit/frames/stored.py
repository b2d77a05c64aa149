"""What the store of answers has: `jobs`, `answer`, `forget`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import InvalidRequestError
from llmkit.core.money import from_nanos
from llmkit.core.timestamps import from_micros, micros, moment
from llmkit.frames.answers.location import answer_store
from llmkit.frames.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.core.timestamps import When
    from llmkit.frames.answers.protocol import Answer

_COLUMNS = (
    "id", "job", "verb", "mode", "provider", "model", "state",
    "rows", "done", "failed", "submitted", "expires", "usd",
)  # fmt: skip


def jobs() -> pd.DataFrame:
    """List the jobs whose answers are stored, the latest first.

    Returns:
        One row per use of a verb: `id, job, verb, mode, provider, model, state, rows, done, failed,
        submitted, expires, usd`. The state `running` also stands for a process that died.

    Raises:
        ConfigurationError: If the store cannot be read.

    Example:
        >>> jobs().columns[:3].tolist()
        ['id', 'job', 'verb']
    """
    import pandas as pd

    rows = [
        (
            one.id, one.label, one.verb, one.mode, one.provider, one.model, one.state,
            one.rows, one.done, one.failed,
            from_micros(one.submitted), None if one.expires is None else from_micros(one.expires),
            from_nanos(one.cost_nanos),
        )
        for one in answer_store().jobs()
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    for name in ("submitted", "expires"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.floor("s")
    return frame.astype({"usd": "float64"})


def forget(older_than: timedelta | When | None = None) -> int:
    """Delete stored answers; rows that had them are asked, and paid, again.

    Args:
        older_than: A time, or an age such as `timedelta(days=30)`; `None` deletes all.

    Returns:
        The number of answers that were deleted.

    Raises:
        ConfigurationError: If the time cannot be read, or the store cannot be written.

    Example:
        >>> forget(older_than=timedelta(days=365))
        0
    """
    if isinstance(older_than, timedelta):
        return answer_store().forget(micros(datetime.now(UTC) - older_than))
    return answer_store().forget(moment(older_than))


def answer(frame: Any, row: int, out: str | None = None) -> Answer:
    """Return what is stored of a row: the model's own text, also where the row has an error.

    Args:
        frame: A frame that a verb returned with `meta=True`.
        row: The row's position, from 0; negative from the end.
        out: The column, if several verbs added theirs.

    Returns:
        The answer: `.text`, `.status`, `.error`, `.model`, `.cost_nanos`, ….

    Raises:
        InvalidRequestError: If the frame does not say which answer is the row's, or nothing is stored.

    Example:
        ```python
        frame = frame.llm.extract("text", Invoice, meta=True)
        print(llmkit.frames.answer(frame, 3).text)
        ```
    """
    table = Table(frame)
    names = [f"{out}_uid"] if out else [name for name in table.names if name.endswith("_uid")]
    if len(names) != 1:
        there = "none" if not names else f"{', '.join(names)}"
        raise InvalidRequestError(
            f"The answer of a row is found by one column …_uid, and the frame has {there}.",
            hint="Ask with meta=True, and name the column: out=….",
        )
    uids = table.column(names[0])
    if not -len(uids) <= row < len(uids):
        raise InvalidRequestError(f"The frame has no row {row}: it has {len(uids):,} rows.", hint="")
    found = None if uids[row] is None else answer_store().of_call(uids[row])
    if found is None:
        raise InvalidRequestError(
            f"Nothing is stored of row {row}.", hint="It was not asked, or was forgotten."
        )
    return found
