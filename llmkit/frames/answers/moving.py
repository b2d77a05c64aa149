"""Moving answers and jobs into another store, so that rows that were paid are not paid again there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.core.errors import ConfigurationError
from llmkit.frames.answers.protocol import OK

if TYPE_CHECKING:
    from llmkit.frames.answers.protocol import AnswerStore


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
    count, after = 0, b""
    while answers := source.page(after):
        after = answers[-1].key
        there = target.get([one.key for one in answers])
        new = [one for one in answers if one.key not in there or one.status == OK != there[one.key].status]
        for written in [target.put(one) for one in new]:
            if not written.result():
                raise ConfigurationError(target.problem or f"Cannot write the answers to {target.name}.")
        count += len(new)
    known = {job.id for job in target.jobs()}
    for job in source.jobs():
        if job.id not in known:
            target.save(job)
    return count
