"""Ask several models the same, at once: `%%llm gpt,sonnet,flash` and `llmkit.compare`."""

from __future__ import annotations

import math
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.registry import resolve
from llmkit.content.messages import LLMMessage
from llmkit.core.bridge import bridge
from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.core.money import NANO, format_money
from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
from llmkit.notebook.compare.merged_streams import ModelRun, merge_streams
from llmkit.notebook.compare.rich_columns import live_columns
from llmkit.notebook.display.error_messages import Stopped, kept_in, uninterrupted
from llmkit.notebook.notices import take_notices
from llmkit.notebook.session import keep_last
from llmkit.notebook.shell import current_shell
from llmkit.notebook.streams import open_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmkit.notebook.compare.live_columns import LiveColumns
    from llmkit.notebook.compare.merged_streams import Step
    from llmkit.notebook.reply import Reply

MOST_MODELS = 12
"""Models in one comparison at most."""


def compare(
    prompt: str, models: str | Sequence[str], *, system: str | None = None, **options: Any
) -> Comparison:
    """Ask several models the same, at once, and show the answers side by side as they come.

    A model that fails does not stop the others. What all of it costs at most is shown before anything is
    sent; budgets and replay hold for each call.

    Args:
        prompt: What to ask.
        models: Their names, as for `llmkit.client`: a list, or text with commas.
        system: The system prompt.
        **options: As for `stream_text`: `temperature`, `max_tokens`, and the providers' own parameters.

    Returns:
        The answers: `.df`, `.best("cost")`, `.plot()`, `.keep("sonnet")`, `["sonnet"]`.

    Raises:
        ConfigurationError: If a model is not known, or there are too many; nothing is sent then.
        KeyboardInterrupt: If the user interrupts; the text so far stays on display.

    Example:
        >>> found = compare("repeat exactly: hi", ["sandbox:sandbox", "sandbox:sandbox!tokens=1"])
        >>> found.models
        ['sandbox:sandbox', 'sandbox:sandbox!tokens=1']
        >>> str(found["sandbox:sandbox"])
        'hi'
    """
    return run_compare(_messages(prompt, system), models, options=options, shell=current_shell())


async def acompare(
    prompt: str, models: str | Sequence[str], *, system: str | None = None, **options: Any
) -> Comparison:
    """Do what `compare` does, on the running event loop.

    Args:
        prompt: What to ask.
        models: As for `compare`.
        system: The system prompt.
        **options: As for `compare`.

    Returns:
        The answers.

    Raises:
        ConfigurationError: As for `compare`.
    """
    shell = current_shell()
    runs, most = _runs(_messages(prompt, system), _names(models), options, {})
    display = live_columns(shell)
    progress = _Progress(runs, display, most)
    try:
        progress.start()
        async with aclosing(merge_streams(runs)) as steps:
            async for step in steps:
                progress.take(step)
    finally:  # also when its task is cancelled: the text so far stays
        comparison = progress.finish(shell)
        keep_last(comparison)
    return comparison


def run_compare(
    messages: list[LLMMessage],
    models: str | Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    shell: Any = None,
    alone: bool = False,
    quiet: bool = False,
    on_keep: Callable[[Reply], object] | None = None,
) -> Comparison:
    """Ask several models, as a magic does: over the bridge, from the main thread."""
    runs, most = _runs(messages, _names(models), options or {}, context or {})
    progress = _Progress(runs, live_columns(shell, quiet=quiet, alone=alone), most)
    try:
        progress.start()
        with closing(bridge.stream(merge_streams(runs))) as steps:
            for step in steps:
                progress.take(step)
    except KeyboardInterrupt:
        # A second interrupt must not lose the answers.
        with uninterrupted():
            comparison = progress.finish(shell, on_keep)
        raise _stopped(comparison) from None
    with uninterrupted() as late:
        comparison = progress.finish(shell, on_keep)
    if late:
        raise _stopped(comparison)
    return comparison


def _stopped(comparison: Comparison) -> Stopped:
    """Let `%llm last` have the answers as far as they came, and say so."""
    return Stopped(kept_in(None) if keep_last(comparison) else ".reply of this exception", comparison)


class _Progress:
    """Leads what happens in the runs to the display."""

    def __init__(self, runs: Sequence[ModelRun], display: LiveColumns, most: float | None) -> None:
        self._runs = runs
        self._display = display
        self._most = most

    def start(self) -> None:
        self._display.start(self._runs, _price(self._runs, self._most))
        for number, run in enumerate(self._runs):
            if run.over:
                self._display.end(number, _entry(run))

    def take(self, step: Step | None) -> None:
        if step is None:
            self._display.tick()
        elif step.over:
            self._runs[step.run].end(step.error)
            self._display.end(step.run, _entry(self._runs[step.run]))
        else:
            self._display.feed(step.run, step.text)

    def finish(self, shell: Any, on_keep: Callable[[Reply], object] | None = None) -> Comparison:
        for number, run in enumerate(self._runs):
            if not run.over:
                self._display.end(number, _entry(run))
        entries = [_entry(run) for run in self._runs]
        comparison = Comparison(
            entries, most_usd=self._most, shell=shell, on_keep=on_keep, note=" ".join(take_notices())
        )
        self._display.finish(comparison)
        return comparison


def _runs(
    messages: list[LLMMessage], names: Sequence[str], options: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[list[ModelRun], float | None]:
    """Open a stream for each model, and add up the maximum cost; nothing is sent yet."""
    runs = [ModelRun(label=label, name=resolve(name)) for label, name in _labels(names)]
    bounds: list[int | None] = []
    for run in runs:
        try:
            run.stream = open_stream(run.name, messages, options, context)
        except LLMClientError as error:  # a missing key, for example: the other models still answer
            run.end(error)
        else:
            bounds.append(cost_bound(run.stream.request, run.name.provider).nanos)
    known = [nanos for nanos in bounds if nanos is not None]
    # One unknown price makes the sum unknown.
    return runs, math.fsum(known) / NANO if len(known) == len(bounds) else None


def _names(models: str | Sequence[str]) -> list[str]:
    listed = models.split(",") if isinstance(models, str) else list(models)
    names = [name.strip() for name in listed]
    if not all(names) or not names:
        raise ConfigurationError(
            f"{','.join(listed)!r} has an empty model name.", hint="Write gpt,sonnet,flash."
        )
    if len(names) > MOST_MODELS:
        raise ConfigurationError(
            f"{len(names)} models are too many.", hint=f"Compare at most {MOST_MODELS} at a time."
        )
    return names


def _labels(names: Sequence[str]) -> list[tuple[str, str]]:
    """Number the labels of models that are named more than once."""
    counts = [names[:number].count(name) + 1 for number, name in enumerate(names)]
    return [(name if n == 1 else f"{name} #{n}", name) for n, name in zip(counts, names, strict=True)]


def _entry(run: ModelRun) -> ModelAnswer:
    return ModelAnswer(
        label=run.label,
        provider=run.name.provider,
        model=run.name.model,
        status=run.status,
        text=run.text,
        outcome=run.outcome,
        error=run.error,
    )


def _price(runs: Sequence[ModelRun], most: float | None) -> str:
    if most is None:
        return f"{len(runs)} models · the price of one is unknown ($?)"
    return f"{len(runs)} models · at most {format_money(most)} in total"


def _messages(prompt: str, system: str | None) -> list[LLMMessage]:
    first = [LLMMessage(role="system", content=system)] if system else []
    return [*first, LLMMessage(role="user", content=prompt)]
