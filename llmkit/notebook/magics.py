"""The magics `%llm` and `%%llm`."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import TraitError, observe

from llmkit.content.template import CellError
from llmkit.core import naming, settings
from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.notebook.cell.help import help_text
from llmkit.notebook.cell.parser import parse_cell, parse_line
from llmkit.notebook.cell.subcommands import Command
from llmkit.notebook.defaults import Defaults
from llmkit.notebook.display.error_messages import shorten
from llmkit.notebook.scope import Scope, caller
from llmkit.notebook.session import Session


@magics_class
class LLMMagics(Magics, Defaults):
    """Call language models from a cell; `%config LLMMagics` lists and sets the defaults."""

    def __init__(self, shell: Any) -> None:
        self.session = Session(shell, self)
        super().__init__(shell)
        self._begin()
        if not self.aliases:
            self._forget_aliases()

    def _begin(self) -> None:
        """Apply the project's settings, except where IPython's own configuration sets the same."""
        known, chosen = self.traits(config=True), self.config[type(self).__name__]
        for name, value in settings.load().magics.items():
            try:
                if name not in known:
                    raise TraitError(f"known names are {', '.join(sorted(known))}")  # noqa: TRY301 - as a bad value
                if name not in chosen:
                    setattr(self, name, value)
            except TraitError as error:
                raise ConfigurationError(
                    f"{name} = {value!r} in [tool.llmkit.magics] cannot be used: {str(error).rstrip('.')}."
                ) from error

    @observe("replay")
    def _set_replay(self, change: Any) -> None:
        from llmkit.clients.cassettes.replay import replay

        if change.new:
            replay(mode=change.new)

    @observe("model")
    def _set_model(self, change: Any) -> None:
        naming.session_model = change.new  # also for calls from Python

    @observe("aliases")
    def _set_aliases(self, change: Any) -> None:
        from llmkit.clients.registry import session_aliases

        session_aliases.clear()
        session_aliases.update(change.new)

    @staticmethod
    def _forget_aliases() -> None:
        """Drop the aliases of an earlier load of the extension, without importing the clients."""
        if (registry := sys.modules.get("llmkit.clients.registry")) is not None:
            registry.session_aliases.clear()

    @no_var_expand  # IPython would fill in {name} and $name, and a key with them
    @line_cell_magic
    def llm(self, line: str, cell: str | None = None) -> Any:
        """Ask a language model; the answer streams into the cell.

        Copy one of these:

            %%llm
            Explain asyncio in three sentences.

            %%llm sonnet -o plan -v df -T 0
            Plan the analysis of this table; it has {{df.shape}} rows and columns.

            %%llm sonnet,gpt,flash
            Name the best of three models. This asks all of them, side by side.

            reply = %llm name three rivers
            planets = %llm -f df list the planets and their masses in kg
            %llm -d name three rivers    what would be sent and its price; sends nothing
            %llm fix                     correct the cell that failed last
            %llm model sonnet            use this model from now on
            %llm models                  what can be asked, and its price
            %llm cost                    what it has cost
            %llm budget 5                spend five dollars a day at most
            %llm tags project=thesis     label the calls from now on, for %llm cost tag:project
            %llm replay auto             record answers, and play them back for nothing
            %llm key openai              enter a key without showing it
            %llm doctor                  what works and what does not
            %llm help                    all options and subcommands
        """
        try:
            parsed = parse_line(line, naming.is_model) if cell is None else parse_cell(line, cell)
            if isinstance(parsed, Command):
                from llmkit.notebook.commands import handlers

                return handlers.run(self.session, parsed)
            if parsed.help:
                print(help_text())  # noqa: T201 - it was asked for
                return None
            from llmkit.notebook import dispatch  # the clients load at the first question

            return dispatch.run(self.session, parsed, Scope(self.session.variables, caller()))
        except CellError as error:
            from llmkit.core.redaction import redact  # loads at the first error, not with the extension

            raise UsageError(redact(str(error))) from None
        except LLMClientError as error:
            from llmkit.core.redaction import redact_error

            redact_error(error)  # it may repeat what was typed, a key in place of a name
            raise (shorten(error) if self.short_errors else error)  # noqa: B904 - the same exception goes on
