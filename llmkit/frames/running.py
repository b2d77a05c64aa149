"""Running a job: on the bridge, or on the running event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmkit.core.bridge import bridge
from llmkit.frames.plan import plan_of
from llmkit.frames.progress import Line
from llmkit.frames.stopped import JobInterrupted
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from llmkit.frames.job import Job


def run(job: Job) -> Any:
    """Run a job on the bridge and wait for its frame, or for its plan.

    Raises:
        JobStopped: If the job ends before its last row, also by an interrupt.
    """
    job.prepare()
    if job.options.dry_run:
        return plan_of(job)
    line = _line(job)
    try:
        return bridge.run(job.run(), line.refresh)
    except KeyboardInterrupt:
        raise job.stopped("interrupted", "interrupted", kind=JobInterrupted) from None
    finally:
        line.end()


async def arun(job: Job) -> Any:
    """Run a job on the running event loop."""
    await in_thread(job.prepare)
    if job.options.dry_run:
        return await in_thread(plan_of, job)
    line = _line(job)
    shown = asyncio.create_task(_refreshed(line))
    try:
        return await job.run()
    finally:
        shown.cancel()
        line.end()


def _line(job: Job) -> Line:
    """Return the line of a job; there is none if nothing is to be asked, and nothing has failed."""
    return Line(job.progress, shown=job.options.progress and bool(job.wanted or job.progress.failed))


async def _refreshed(line: Line) -> None:
    while True:
        line.refresh()
        await asyncio.sleep(0.1)
