"""`%llm` and `%%llm`: parse, ask, show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Dict, Enum, Float, List, TraitError, Unicode, observe

from llmkit.content.template import CellError
from llmkit.core import settings
from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.core.naming import is_model
from llmkit.notebook.cell.help import help_text
from llmkit.notebook.cell.parser import parse_cell, parse_line
from llmkit.notebook.cell.subcommands import Command
from llmkit.notebook.cell.values import FORMATS
from llmkit.notebook.display.error_messages import Stopped, kept_in, shorten
from llmkit.notebook.scope import Scope, caller

if TYPE_CHECKING:
    from llmkit.content.messages import LLMMessage
    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.compare.comparison import Comparison
    from llmkit.notebook.last_error import LastError
    from llmkit.notebook.record import LogEntry
    from llmkit.notebook.reply import Reply


@magics_class
class LLMMagics(Magics):
    """Ask language models from a cell; `%config LLMMagics` lists and sets what is below."""

    model = Unicode("", help="Model that is asked where none is named: an alias or provider:model.").tag(
        config=True
    )
    aliases = Dict(
        key_trait=Unicode(), value_trait=Unicode(), help="Short names of models, for this session."
    ).tag(config=True)
    system = Unicode("", help="System prompt where a cell gives none.").tag(config=True)
    format = Enum(["", *FORMATS], "", help="Format of answers where a cell gives none.").tag(config=True)
    temperature = Float(
        None, allow_none=True, min=0.0, max=2.0, help="Temperature where a cell gives none."
    ).tag(config=True)
    fallback = List(
        Unicode(), help="Models that stand in, in this order, where the first one gives no answer."
    ).tag(config=True)
    budget = Float(None, allow_none=True, min=0.0, help="What one call may cost at most, in US dollars.").tag(
        config=True
    )
    tags = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Labels of this notebook's calls in the ledger; %llm tags sets them.",
    ).tag(config=True)
    replay = Enum(
        ["", "off", "auto", "only"], "", help="Whether recorded answers are played back; see llmkit.replay."
    ).tag(config=True)
    footer = Bool(default_value=True, help="Show model, tokens, time and cost under an answer.").tag(
        config=True
    )
    max_refresh_hz = Float(
        12.0, min=0.1, max=60.0, help="How often a growing answer is drawn anew, per second at most."
    ).tag(config=True)
    short_errors = Bool(default_value=True, help="Show an error on one line; %tb shows frames.").tag(
        config=True
    )
    warm_up = Bool(default_value=True, help="Load the SDK in the background soon after %load_ext.").tag(
        config=True
    )

    def __init__(self, shell: Any) -> None:
        self.threads: dict[str, list[LLMMessage]] = {}
        self.log: list[LogEntry] = []
        self.last: Reply | Comparison | None = None
        self.made: set[str] = set()
        self.was_free = False  # whether the last question that named no model cost nothing
        self.problem: LastError | None = None
        super().__init__(shell)
        self._begin()
        if not self.aliases:
            self._forget_aliases()

    def _begin(self) -> None:
        """Take what the project's settings say, but for what IPython's own configuration sets."""
        known, chosen = self.traits(config=True), self.config[type(self).__name__]
        for name, value in settings.load().magics.items():
            try:
                if name not in known:
                    raise TraitError(f"known are {', '.join(sorted(known))}")  # noqa: TRY301 - as a bad value
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

    @observe("aliases")
    def _set_aliases(self, change: Any) -> None:
        from llmkit.clients.registry import session_aliases

        session_aliases.clear()
        session_aliases.update(change.new)

    @staticmethod
    def _forget_aliases() -> None:
        """Drop what an earlier load of the extension has left, without loading the clients for it."""
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
            parsed = parse_line(line, is_model) if cell is None else parse_cell(line, cell)
            if isinstance(parsed, Command):
                from llmkit.notebook.commands import handlers

                return handlers.run(self, parsed)
            if parsed.help:
                print(help_text())  # noqa: T201 - it was asked for
                return None
            return self.ask(parsed, scope=Scope(self.variables, caller()))
        except CellError as error:
            from llmkit.core.redaction import redact  # loads at the first error, not with the extension

            raise UsageError(redact(str(error))) from None
        except LLMClientError as error:
            from llmkit.core.redaction import redact_error

            redact_error(error)  # it may repeat what was typed, a key in place of a name
            raise (shorten(error) if self.short_errors else error)  # noqa: B904 - the same exception goes on

    @property
    def variables(self) -> dict[str, Any]:
        """The user's variables, and IPython's."""
        assert self.shell is not None
        variables: dict[str, Any] = self.shell.user_ns
        return variables

    @property
    def own_variables(self) -> dict[str, Any]:
        """The user's variables, without those that IPython brings along."""
        shell: Any = self.shell
        hidden = shell.user_ns_hidden
        return {name: value for name, value in self.variables.items() if hidden.get(name) is not value}

    def ask(self, ask: CellRequest, announcement: str = "", scope: Scope | None = None) -> Any:
        """Ask one model or several; what the cell magic and some subcommands do."""
        from llmkit.notebook.dispatch import run  # the clients load at the first question

        shell: Any = self.shell
        source = shell.history_manager.input_hist_raw[-1].lstrip()
        scope = Scope(self.variables) if scope is None else scope
        asked = run(self, ask, scope, alone=source.startswith("%%llm"), announcement=announcement)
        if asked.result is None:
            return None
        if asked.interrupted:
            raise Stopped(kept_in(ask.out), asked.result)
        if source.startswith(("%%llm", "%llm")) and getattr(shell, "kernel", None) is None:
            # A terminal would print an empty "Out[n]:"; the reply gets its names all the same.
            shell.displayhook.update_user_ns(asked.result)
            return None
        return asked.result

    def note_failure(self, result: Any) -> None:
        """Remember a cell that failed, for `%llm fix`; called by IPython after each cell."""
        from llmkit.notebook.last_error import describe_error, failed, is_about_last_error

        error, source = failed(result), result.info.raw_cell if result.info else ""
        if error is not None and not is_about_last_error(source):
            self.problem = describe_error(source, error, result.execution_count)
