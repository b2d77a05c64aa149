"""Runs a parsed question: a dry run, a call to one model, or a comparison."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from llmkit.content.template import CellError
from llmkit.notebook.display.error_messages import Stopped, kept_in
from llmkit.notebook.request import NotebookContext, gather
from llmkit.notebook.shell import has_kernel, say
from llmkit.notebook.single import SingleRun
from llmkit.notebook.streams import call_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.tools import Tool
    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.compare.comparison import Comparison
    from llmkit.notebook.reply import Reply
    from llmkit.notebook.request import Prompt
    from llmkit.notebook.scope import Scope
    from llmkit.notebook.session import Session


def run(
    session: Session, request: CellRequest, scope: Scope, announcement: str = ""
) -> Reply | Comparison | None:
    """Call one model or several, or show what would be sent; return what the magic returns."""
    prompt = gather(request, notebook_context(session, request, scope))
    names = _names(request.model or session.defaults.model)
    tools = _tools(session, request, scope, names)
    if request.dry_run:
        prompt = replace(prompt, options={**prompt.options, **({"tools": list(tools)} if tools else {})})
        _report(session, request, prompt, names)
        return None
    if request.out is not None:
        # Before anything is sent: an answer that cannot be assigned would be paid for in vain.
        scope.check(request.out)
        note = scope.assignment_note(request.out)
        prompt = replace(prompt, notes=(*prompt.notes, *filter(None, [note])))
    for line in filter(None, [announcement, prompt.sent_along]):
        say(line, quiet=request.quiet)
    # A cell magic has the cell's output to itself; a line magic may share it.
    ask = _ask_several if len(names) > 1 else partial(_ask_one, tools=tools)
    source = session.shell.history_manager.input_hist_raw[-1].lstrip()
    result = ask(session, request, prompt, names, scope, alone=source.startswith("%%llm"))
    return _returned(session, source, result)


def _returned(session: Session, source: str, result: Reply | Comparison) -> Reply | Comparison | None:
    """Return what the magic returns; nothing in a terminal, which would print an empty `Out[n]:`."""
    if has_kernel(session.shell) or not source.startswith(("%%llm", "%llm")):
        return result
    session.shell.displayhook.update_user_ns(result)  # sets _ and _n, as a displayed value does
    return None


def _tools(
    session: Session, request: CellRequest, scope: Scope, names: list[str]
) -> tuple[Tool | Mapping[str, Any], ...]:
    """Return the tools that a question names."""
    if not request.tools:
        for option, given in {"--max-steps": request.max_steps, "--max-cost": request.max_cost}.items():
            if given is not None:
                raise CellError(f"{option} needs tools.", hint="Name them with -x.")
        return ()
    if len(names) > 1:
        raise CellError("-x works with one model only.", hint="Name one model.")
    from llmkit.notebook.tools.names import named_tools

    return named_tools(request.tool_names, scope, session.shell)


def _ask_one(
    session: Session,
    request: CellRequest,
    prompt: Prompt,
    names: list[str],
    scope: Scope,
    *,
    alone: bool,
    tools: tuple[Tool | Mapping[str, Any], ...] = (),
) -> Reply:
    run = _run_of(session, request, prompt, names[0], tools)
    if run.news:
        say(run.news, quiet=request.quiet)
    try:
        reply = run.run(alone=alone)
    finally:  # an incomplete answer is assigned, too
        if request.out is not None and run.reply is not None:
            scope.assign(request.out, run.reply)
    if run.interrupted:
        raise Stopped(kept_in(request.out), reply)
    return reply


def _run_of(
    session: Session,
    request: CellRequest,
    prompt: Prompt,
    name: str,
    tools: tuple[Tool | Mapping[str, Any], ...],
) -> SingleRun:
    if not tools:
        return SingleRun(session, request, prompt, name)
    from llmkit.notebook.tools.tool_run import ToolRun

    return ToolRun(session, request, prompt, name, tools)


def _ask_several(
    session: Session, request: CellRequest, prompt: Prompt, names: list[str], scope: Scope, *, alone: bool
) -> Comparison:
    from llmkit.notebook.compare.compare import run_compare

    if request.code:
        raise CellError("-c works with one model only.", hint="Use .keep(…).code of the comparison.")

    def keep(reply: Reply) -> None:
        if request.thread is not None:
            session.extend_thread(request.thread, prompt, reply)

    def note(comparison: Comparison) -> None:
        for label, reply in comparison.replies.items():
            session.add(label, prompt, reply)
        session.last_reply = comparison
        if request.out is not None:
            scope.assign(request.out, comparison)

    try:
        comparison = run_compare(
            prompt.messages,
            names,
            options=prompt.options,
            context=call_context(session, request),
            shell=session.shell,
            alone=alone,
            quiet=request.quiet,
            on_keep=keep,
        )
    except Stopped as stopped:
        # What came before the interrupt was paid for, too.
        note(stopped.reply)
        raise Stopped(kept_in(request.out), stopped.reply) from None
    note(comparison)
    return comparison


def _names(models: str) -> list[str]:
    """Split names at commas; a single empty name means the default model."""
    names = [name.strip() for name in models.split(",")]
    if len(names) > 1 and not all(names):
        raise CellError(f"{models!r} has an empty model name.", hint="Write gpt,sonnet,flash.")
    return names


def notebook_context(session: Session, request: CellRequest, scope: Scope) -> NotebookContext:
    """Return what a question can use from the notebook."""
    defaults = session.defaults
    return NotebookContext(
        variables=scope,
        inputs=session.shell.history_manager.input_hist_raw,
        history=session.threads.get(request.thread or "", []),
        system=defaults.system,
        temperature=defaults.temperature,
        format=defaults.format,
    )


def _report(session: Session, request: CellRequest, prompt: Prompt, names: list[str]) -> None:
    from llmkit.notebook.commands.dryrun import counted, dry_run

    runs = [SingleRun(session, request, prompt, name) for name in names]
    reports = [dry_run(prompt, run.name, run.stream) for run in runs]
    if request.exact:
        reports += [counted(run.name, run.stream) for run in runs]
    tags = ", ".join(f"{name}={value}" for name, value in call_context(session, request)["tags"].items())
    labels = [f"Tags in the ledger: {tags}."] if tags else []
    say("\n\n".join([*reports, *labels, *prompt.notes]))
