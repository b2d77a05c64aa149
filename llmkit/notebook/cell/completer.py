"""The completions of `llmkit.notebook.cell.completion` in IPython's completer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from llmkit.core.errors import LLMClientError
from llmkit.notebook.cell.completion import Choice, Known, complete, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from IPython.core.completer import Completion, CompletionContext, SimpleMatcherResult

    from llmkit.notebook.session import Session

IDENTIFIER = "llmkit"
"""Name of our matcher in IPython's completer."""

NO_KEY = "no\u2011key"
"""Type of completions without a key; JupyterLab does not wrap at this hyphen."""


def add_matcher(shell: Any, session: Session) -> None:
    """Register the completions of `%%llm` and `%llm` lines."""
    hints: dict[str, str] = {}

    @context_matcher(identifier=IDENTIFIER, priority=1_000)  # type: ignore[untyped-decorator]
    def match(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")[: context.cursor_line + 1]
        text = "\n".join([*lines[:-1], lines[-1][: context.cursor_position]])
        try:
            found = complete(text, _known(session))
        except LLMClientError:  # settings that cannot be read: the question itself will say what is wrong
            found = None
        if found is None:
            return {"completions": []}
        # IPython suppresses other completions only if there is one, so the typed text is returned as one.
        choices = found.choices or [Choice(found.fragment)]
        hints.clear()
        hints.update((each.text, each.hint) for each in choices)
        return {
            "completions": [SimpleCompletion(choice.text, type=choice.kind) for choice in choices],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    shell.Completer.custom_matchers.append(match)
    shell.Completer.completions = _described(shell.Completer.completions, hints)
    if (kernel := getattr(shell, "kernel", None)) is not None:
        kernel.do_inspect = _inspected(kernel.do_inspect, lambda text: describe(text, _known(session)))


def remove_matchers(shell: Any) -> None:
    """Undo `add_matcher`."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != IDENTIFIER]
    vars(shell.Completer).pop("completions", None)
    if (kernel := getattr(shell, "kernel", None)) is not None:
        vars(kernel).pop("do_inspect", None)


def _described(completions: Any, hints: Mapping[str, str]) -> Any:
    """Wrap the completer's method to add descriptions, which IPython's matchers cannot return."""

    def described(text: str, offset: int) -> Iterator[Completion]:
        for each in completions(text, offset):
            if each._origin == IDENTIFIER:  # noqa: SLF001 - the only mark of where a completion comes from
                each.signature = hints.get(each.text, "")
            yield each

    return described


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
