"""From a question to its result: shown only, asked of one model, or asked of several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.content.template import CellError
from llmkit.notebook.display.error_messages import Stopped, kept_in
from llmkit.notebook.request import NotebookContext, gather
from llmkit.notebook.single import SingleRun, exchange, limits, remember

if TYPE_CHECKING:
    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.compare.comparison import Comparison
    from llmkit.notebook.magics import LLMMagics
    from llmkit.notebook.reply import Reply
    from llmkit.notebook.request import Prompt
    from llmkit.notebook.scope import Scope


class Dispatched(NamedTuple):
    """What came of a question.

    Attributes:
        result: The reply, or the replies of several models; `None` if nothing was sent.
        interrupted: Whether the user interrupted while the whole answer was being shown.
    """

    result: Reply | Comparison | None
    interrupted: bool = False


def run(
    magics: LLMMagics, ask: CellRequest, scope: Scope, *, alone: bool, announcement: str = ""
) -> Dispatched:
    """Put a question, or show what it would send."""
    outgoing = gather(ask, notebook_context(magics, ask, scope))
    names = _names(ask.model or magics.model)
    if ask.dry_run:
        _report(magics, ask, outgoing, names)
        return Dispatched(None)
    if ask.out is not None:
        scope.check(ask.out)
        outgoing = replace(outgoing, notes=(*outgoing.notes, *filter(None, [scope.told(ask.out)])))
    for line in filter(None, [announcement, outgoing.sent_along]):
        _say(line, quiet=ask.quiet)
    if len(names) > 1:
        return _put_to_several(magics, ask, outgoing, names, scope, alone=alone)
    asking = SingleRun(magics, ask, outgoing, names[0])
    if asking.news:
        _say(asking.news, quiet=ask.quiet)
    try:
        reply = asking.run(alone=alone)
    finally:  # an answer that was stopped or cut is the user's, too
        if ask.out is not None and asking.reply is not None:
            scope.assign(ask.out, asking.reply)
    return Dispatched(reply, asking.interrupted)


def _put_to_several(
    magics: LLMMagics, ask: CellRequest, outgoing: Prompt, names: list[str], scope: Scope, *, alone: bool
) -> Dispatched:
    try:
        comparison = _compare(magics, ask, outgoing, names, alone=alone)
    except Stopped as stopped:
        _note(magics, ask, outgoing, stopped.reply, scope)
        raise Stopped(kept_in(ask.out), stopped.reply) from None
    _note(magics, ask, outgoing, comparison, scope)
    return Dispatched(comparison)


def _note(
    magics: LLMMagics, ask: CellRequest, outgoing: Prompt, comparison: Comparison, scope: Scope
) -> None:
    """Let the session have the answers: its log, `%llm last`, the variable of `-o`."""
    magics.last = comparison
    magics.log += [
        exchange(magics.shell, outgoing, label, reply) for label, reply in comparison.replies.items()
    ]
    if ask.out is not None:
        scope.assign(ask.out, comparison)


def _names(models: str) -> list[str]:
    """Return the names that commas part; one empty name stands for the default model."""
    names = [name.strip() for name in models.split(",")]
    if len(names) > 1 and not all(names):
        raise CellError(f"A model has no name in {models!r}.", hint="Write as in gpt,sonnet,flash.")
    return names


def notebook_context(magics: LLMMagics, ask: CellRequest, scope: Scope) -> NotebookContext:
    """Return what a question may take from the notebook."""
    shell: Any = magics.shell
    return NotebookContext(
        variables=scope,
        inputs=shell.history_manager.input_hist_raw,
        history=magics.threads.get(ask.thread or "", []),
        system=magics.system,
        temperature=magics.temperature,
        format=magics.format,
    )


def _report(magics: LLMMagics, ask: CellRequest, outgoing: Prompt, names: list[str]) -> None:
    from llmkit.notebook.commands.dryrun import dry_run

    reports = []
    for name in names:
        asking = SingleRun(magics, ask, outgoing, name)
        reports.append(dry_run(outgoing, asking.name, asking.stream))
    tags = ", ".join(f"{name}={value}" for name, value in limits(magics, ask)["tags"].items())
    labels = [f"Tags in the ledger: {tags}."] if tags else []
    _say("\n\n".join([*reports, *labels, *outgoing.notes]), quiet=False)


def _compare(
    magics: LLMMagics, ask: CellRequest, outgoing: Prompt, names: list[str], *, alone: bool
) -> Comparison:
    from llmkit.notebook.compare.compare import run_compare

    if ask.code:
        raise CellError("Whose code? -c goes with one model.", hint="Take .keep(…).code of the comparison.")

    def keep(reply: Reply) -> None:
        if ask.thread is not None:
            remember(magics, ask.thread, outgoing, reply)

    return run_compare(
        outgoing.messages,
        names,
        options=outgoing.options,
        limits=limits(magics, ask),
        shell=magics.shell,
        alone=alone,
        quiet=ask.quiet,
        on_keep=keep,
    )


def _say(line: str, *, quiet: bool) -> None:
    if not quiet:
        print(line)  # noqa: T201 - what leaves the notebook is said in words
