"""The completions of `llmkit.notebook.syntax.completion` in IPython's completer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from llmkit.errors import LLMClientError
from llmkit.notebook.syntax.completion import Choice, Known, complete

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from llmkit.notebook.magics import LLMMagics

IDENTIFIER = "llmkit"
"""Name of our matcher in IPython's completer."""


def add_matcher(shell: Any, magics: LLMMagics) -> None:
    """Let IPython complete the lines of `%%llm` and `%llm` with our words.

    Args:
        shell: The IPython shell.
        magics: The magics: their threads and the user's variables.
    """

    @context_matcher(identifier=IDENTIFIER, priority=1_000)  # type: ignore[untyped-decorator]
    def match(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")[: context.cursor_line + 1]
        text = "\n".join([*lines[:-1], lines[-1][: context.cursor_position]])
        try:
            found = complete(text, _known(magics))
        except LLMClientError:  # settings that cannot be read: the question itself will say what is wrong
            found = None
        if found is None:
            return {"completions": []}
        # Without any completion IPython would not leave out those of Python: what is typed is one, too.
        choices = found.choices or [Choice(found.fragment)]
        return {
            "completions": [SimpleCompletion(choice.text, type=choice.hint or "llm") for choice in choices],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    shell.Completer.custom_matchers.append(match)


def remove_matchers(shell: Any) -> None:
    """Take back what `add_matcher` did.

    Args:
        shell: The IPython shell.
    """
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != IDENTIFIER]


def _known(magics: LLMMagics) -> Known:
    from llmkit.clients import registry  # loads at the first completion, not with the extension

    return Known(
        models=lambda: list(_models()),
        threads=magics.threads,
        variables=magics.own_variables,
        aliases=registry.aliases,
        providers=registry.provider_names,
        tags=magics.tags,
    )


def _models() -> Iterator[Choice]:
    """Yield aliases, providers and models with their prices."""
    from llmkit.clients import registry

    for alias, target in registry.aliases().items():
        yield Choice(alias, f"{target} {_price(target)}".strip())
    for name in registry.model_names():
        yield Choice(name, _price(name) or "provider")


def _price(name: str) -> str:
    """Return a model's prices per million tokens, in and out, as in `$0.25→$2 /M`."""
    from llmkit import catalog, prices
    from llmkit.messages import Usage

    provider, _, model = name.partition(":")
    known = catalog.providers().get(provider)
    if not model or known is None:
        return ""
    if known.local or known.sandbox:
        return "free"
    into, out = (
        prices.price(provider, (model,), Usage(input_tokens=i * 1_000_000, output_tokens=o * 1_000_000))
        for i, o in ((1, 0), (0, 1))
    )
    return "" if into is None or out is None else f"${into.usd:g}→${out.usd:g} /M"
