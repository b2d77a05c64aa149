"""The verb `extract`: one typed column for each field of a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.frames.extraction import Extraction
from llmkit.frames.job import Job
from llmkit.frames.options import options_of
from llmkit.frames.running import arun, run
from llmkit.frames.signatures import verb

if TYPE_CHECKING:
    from llmkit.content.schema import SchemaLike
    from llmkit.frames.prompts import Prompt


@verb
def extract(
    frame: Any,
    prompt: Prompt,
    schema: SchemaLike,
    *,
    instruction: str | None = None,
    out: str | None = None,
    **options: Any,
) -> Any:
    """Read the fields of a schema from every row: one typed column for each field.

    An answer that does not fit the schema is asked for once more; one that still does not fit is an error,
    never a value.

    Args:
        frame: As for `map`.
        prompt: The name of a column, a template such as `"{{title}}: {{text}}"`, or what `map` takes.
        schema: A pydantic model, a dataclass, a `TypedDict`, or the JSON schema of an object.
        instruction: What else to say about the fields.
        out: Beginning of the names of the new columns; by default they are those of the fields.
        **options: The options of all verbs.

    Returns:
        A copy of the frame with a column for each field, and `extract_error` (or `<out>_error`).

    Raises:
        InvalidRequestError: If the schema has no fields, or as for `map`.
        JobStopped: As for `map`.

    Example:
        >>> import pandas as pd
        >>> from typing import TypedDict
        >>> class River(TypedDict):
        ...     name: str
        ...     length_km: int
        >>> rivers = pd.DataFrame({"text": ["The Rhine"]})
        >>> extract(rivers, "text", River, model="sandbox", progress=False)["length_km"].dtype
        Int64Dtype()
    """
    return run(_extraction(frame, prompt, schema, instruction, {"out": out, **options}))


@verb
async def aextract(
    frame: Any,
    prompt: Prompt,
    schema: SchemaLike,
    *,
    instruction: str | None = None,
    out: str | None = None,
    **options: Any,
) -> Any:
    """Do what `extract` does, on the running event loop.

    Args:
        frame: As for `map`.
        prompt: As for `map`.
        schema: As for `extract`.
        instruction: As for `extract`.
        out: As for `extract`.
        **options: The options of all verbs.

    Returns:
        As for `extract`.

    Raises:
        InvalidRequestError: As for `extract`.
        JobStopped: As for `map`.

    Example:
        ```python
        frame = await llmkit.frames.aextract(frame, "text", Invoice)
        ```
    """
    return await arun(_extraction(frame, prompt, schema, instruction, {"out": out, **options}))


def _extraction(
    frame: Any, prompt: Prompt, schema: SchemaLike, instruction: str | None, options: dict[str, Any]
) -> Job:
    return Job(frame, prompt, Extraction(schema, instruction), options_of(options))
