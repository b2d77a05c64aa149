"""Moving answers and jobs into another store, so that rows that were paid are not paid again there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.core.errors import ConfigurationError
from llmkit.frames.answers.protocol import OK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.frames.answers.protocol import Answer, AnswerStore


def copy(source: AnswerStore, target: AnswerStore) -> int:
    """Copy what another store lacks; a second run goes on where the first one stopped.

    Args:
        source: The store to read.
        target: The store to write; what it has stays, but an answer replaces an error.

    Returns:
        The number of answers that were copied.

    Raises:
        ConfigurationError: If a store cannot be read or written now.
    """
    count = sum(_put(_lacking(page, target), target) for page in _pages(source))
    known = {job.id for job in target.jobs()}
    for job in source.jobs():
        if job.id not in known:
            target.save(job)
    return count


def _pages(source: AnswerStore) -> Iterator[list[Answer]]:
    after = b""
    while page := source.page(after):
        yield page
        after = page[-1].key


def _lacking(answers: list[Answer], target: AnswerStore) -> list[Answer]:
    """Return the answers that a store lacks, or has an error for."""
    there = target.get([one.key for one in answers])
    return [one for one in answers if one.key not in there or one.status == OK != there[one.key].status]


def _put(answers: list[Answer], target: AnswerStore) -> int:
    """Write answers; return their number."""
    if not all(written.result() for written in [target.put(one) for one in answers]):
        raise ConfigurationError(target.problem or f"Cannot write the answers to {target.name}.")
    return len(answers)
