"""The completions of `llmkit.notebook.cell.completion` in IPython's completer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.completer import Completion

from llmkit.core.errors import LLMClientError
from llmkit.notebook.cell.completion import Choice, Completions, Known, complete, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmkit.notebook.session import Session

NO_KEY = "no\u2011key"
"""Type of completions without a key; JupyterLab does not wrap at this hyphen."""


def add_completions(shell: Any, session: Session) -> None:
    """Let IPython complete the lines of `%%llm` and `%llm` with our words.

    Its completer's methods are wrapped, because IPython 7 has no matchers, and matchers have no place for our
    descriptions.
    """

    def find(typed: str) -> Completions | None:
        try:
            return complete(typed, _known(session))
        except LLMClientError:  # settings that cannot be read: the question itself will say what is wrong
            return None

    completer = shell.Completer
    completer.completions = _completions(completer.completions, find)
    completer.complete = _complete(completer.complete, find)
    if (kernel := getattr(shell, "kernel", None)) is not None:
        kernel.do_inspect = _inspected(kernel.do_inspect, lambda text: describe(text, _known(session)))


def remove_completions(shell: Any) -> None:
    """Take back what `add_completions` did."""
    for name in ("completions", "complete"):
        vars(shell.Completer).pop(name, None)
    if (kernel := getattr(shell, "kernel", None)) is not None:
        vars(kernel).pop("do_inspect", None)


def _completions(others: Any, find: Callable[[str], Completions | None]) -> Any:
    """Return the method that front ends ask."""

    def completions(text: str, offset: int) -> Iterator[Completion]:
        found = find(text[:offset])
        if found is None:
            yield from others(text, offset)
            return
        start = offset - len(found.fragment)
        for choice in _shown(found):
            yield Completion(start, offset, choice.text, type=choice.kind, signature=choice.hint)

    return completions


def _complete(others: Any, find: Callable[[str], Completions | None]) -> Any:
    """Return the older method, which knows one line only; `shell.complete` uses it."""

    def completed(
        text: str | None = None, line_buffer: str | None = None, cursor_pos: int | None = None
    ) -> tuple[str, Sequence[str]]:
        found = find((line_buffer or text or "")[:cursor_pos])
        if found is None:
            return others(text, line_buffer, cursor_pos)  # type: ignore[no-any-return]
        return found.fragment, [choice.text for choice in _shown(found)]

    return completed


def _shown(found: Completions) -> list[Choice]:
    """Return what to offer: what is typed if nothing fits, or front ends would offer words of their own."""
    return found.choices or [Choice(found.fragment)]


def _inspected(inspect: Any, look_up: Callable[[str], str]) -> Any:
    """Wrap the kernel's method to describe options and models; JupyterLab shows it beside a completion."""

    def inspected(code: str, cursor_pos: int, *args: Any, **options: Any) -> Any:
        try:
            said = look_up(code[:cursor_pos])
        except LLMClientError:  # settings that cannot be read: the question itself will say what is wrong
            said = ""
        if not said:
            return inspect(code, cursor_pos, *args, **options)
        return {"status": "ok", "found": True, "data": {"text/plain": said}, "metadata": {}}

    return inspected


def _known(session: Session) -> Known:
    from llmkit.clients import registry  # loads at the first completion, not with the extension

    return Known(
        models=_models,
        threads=session.threads,
        variables=session.own_variables,
        aliases=registry.aliases,
        providers=registry.provider_names,
        tags=session.defaults.tags,
    )


def _models() -> list[Choice]:
    """Return aliases, providers and models with their prices; those without a key are marked, and last."""
    from llmkit.clients import registry
    from llmkit.notebook.model_list import model_groups

    aliases, groups = registry.aliases(), model_groups()
    names = dict.fromkeys(
        [each.provider for each in groups] + [name for each in groups for name in each.models]
    )
    others = {name: name for name in names if name not in aliases}
    keyless = _keyless({target.partition(":")[0] for target in [*aliases.values(), *others]})
    choices = [_model(*each, keyless=keyless) for each in (aliases | others).items()]
    return sorted(choices, key=lambda choice: choice.kind == NO_KEY)


def _keyless(providers: set[str]) -> set[str]:
    from llmkit.notebook.model_list import lacks

    return {name for name in providers if lacks(name) == "no key"}


def _model(text: str, target: str, *, keyless: set[str]) -> Choice:
    from llmkit.notebook.commands.model_prices import short

    if target.partition(":")[0] in keyless:
        lack, kind = "no key", NO_KEY
    else:
        lack, kind = "", "alias" if text != target else "model" if ":" in text else "provider"
    return Choice(
        text, " · ".join(filter(None, [target if text != target else "", short(target), lack])), kind
    )
