"""Asks the person at the notebook whether a tool may run."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError

from llmkit.content.parts import ToolCall, json_text
from llmkit.notebook.cell.values import PYTHON
from llmkit.notebook.display.markdown.render import page
from llmkit.notebook.display.markdown.style import PARTS
from llmkit.notebook.display.parts import code_html, label_html, one_line, visible
from llmkit.notebook.shell import current_shell, has_kernel, say

if TYPE_CHECKING:
    from llmkit.clients.tools.execution import Question
    from llmkit.content.tools import Tool

ALLOW_PYTHON = "LLMKIT_ALLOW_PYTHON"
"""Variable that allows the tool `python` where no person can be asked."""

CHOICES = "[y]es, [n]o, [e]dit, [a]lways in this session: "


def identity(tool: Tool) -> str:
    """Return what an approval for the session covers: this name, description and parameters."""
    told = json_text([tool.name, tool.description, dict(tool.parameters), tool.pinned])
    return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()


def allowed_alone(tool: Tool) -> bool:
    """Whether a call may run where nobody can be asked."""
    return tool.name == PYTHON and tool.approve == "person" and os.environ.get(ALLOW_PYTHON) == "1"


def ask_person(question: Question, allowed: set[str]) -> None:
    """Show exactly what will run, and let the person answer; without one, the call is denied.

    Args:
        question: The question; gets the answer.
        allowed: Tools that the person has allowed for the session; "always" adds to it.
    """
    if identity(question.tool) in allowed:
        question.answer = True
        return
    shell = current_shell()
    show_call(shell, question.call, question.tool)
    try:
        question.answer = _answered(question, allowed)
    except (StdinNotImplementedError, EOFError):
        question.answer = allowed_alone(question.tool)
        if not question.answer:
            say(f"{_name(question.tool)} was not run: there is nobody to ask.")


def ask_in_cell(question: Question) -> None:
    """Ask for a run from Python in a cell; only on the kernel's main thread can anybody be asked."""
    from llmkit.notebook.session import find_session

    session = find_session()
    if threading.current_thread() is threading.main_thread():
        ask_person(question, set() if session is None else session.allowed_tools)


def show_call(shell: Any, call: ToolCall, tool: Tool) -> None:
    """Show what a call would run: the code of `python`, the arguments of other tools."""
    title = f"The model wants to run {_name(tool)}."
    text = f"{title}\n{visible(runs(call))}"
    if has_kernel(shell):
        html = page(label_html(title) + code_html(runs(call), _language(call)))
        shell.display_pub.publish({"text/html": PARTS + html, "text/plain": text})
    else:
        say(text)


def runs(call: ToolCall) -> str:
    """Return what a call runs, as text: the code of `python`, the arguments of other tools."""
    given = call.arguments or {}
    if _language(call) and isinstance(given.get("code"), str):
        return str(given["code"])
    return json_text(given)


def _language(call: ToolCall) -> str:
    return "python" if call.name == PYTHON and set(call.arguments or {}) == {"code"} else ""


def _name(tool: Tool) -> str:
    return one_line(tool.name, 64)


def _answered(question: Question, allowed: set[str]) -> bool | ToolCall:
    while True:
        answer = input(f"Run {_name(question.tool)}? {CHOICES}").strip().lower()
        if answer in {"a", "always"}:
            allowed.add(identity(question.tool))
        if answer in {"y", "yes", "a", "always"}:
            return True
        if answer in {"", "n", "no"}:
            return False
        if answer in {"e", "edit"} and (changed := _edited(question.call)) is not None:
            return changed


def _edited(call: ToolCall) -> ToolCall | None:
    """Let the person write other arguments; `None` if they are no JSON object."""
    text = input("The arguments as JSON; empty leaves them: ").strip()
    if not text:
        return call
    changed = replace(call, arguments=None, raw=text)
    if changed.arguments is None:
        say('That is not a JSON object, such as {"year": 2026}.')
        return None
    return changed
