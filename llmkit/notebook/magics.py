"""`%llm` and `%%llm`: parse, ask, show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Float, List, Unicode, observe

from llmkit.errors import LLMClientError
from llmkit.notebook.cell import Command, completions, help_text, parse_cell, parse_line
from llmkit.notebook.errors import Stopped, shorten
from llmkit.notebook.options import CellError

if TYPE_CHECKING:
    from llmkit.messages import LLMMessage
    from llmkit.notebook.cell import Ask
    from llmkit.notebook.reply import Reply


@magics_class
class LLMMagics(Magics):
    """Ask language models from a cell; `%config LLMMagics` lists and sets what is below."""

    model = Unicode("", help="Model that is asked where none is named: an alias or provider:model.").tag(
        config=True
    )
    system = Unicode("", help="System prompt where a cell gives none.").tag(config=True)
    temperature = Float(None, allow_none=True, help="Temperature where a cell gives none.").tag(config=True)
    warm_up = Bool(default_value=True, help="Load the SDK in the background soon after %load_ext.").tag(
        config=True
    )
    fallback = List(
        Unicode(), help="Models that stand in, in this order, where the first one gives no answer."
    ).tag(config=True)
    budget = Float(
        None,
        allow_none=True,
        help="What one call may cost at most, in US dollars.",
    ).tag(config=True)
    replay = Enum(
        ["", "off", "auto", "only"], "", help="Whether recorded answers are played back; see llmkit.replay."
    ).tag(config=True)
    footer = Bool(default_value=True, help="Show model, tokens, time and cost under an answer.").tag(
        config=True
    )
    short_errors = Bool(default_value=True, help="Show an error on one line; %tb shows all.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.threads: dict[str, list[LLMMessage]] = {}

    @observe("replay")
    def _set_replay(self, change: Any) -> None:
        from llmkit.clients.replay import replay

        if change.new:
            replay(mode=change.new)

    @no_var_expand  # IPython would fill in {name} and $name, and a key with them
    @line_cell_magic
    def llm(self, line: str, cell: str | None = None) -> Any:
        """Ask a language model; the answer streams into the cell.

        Copy one of these:

            %%llm
            Explain asyncio in three sentences.

            %%llm sonnet -o plan -T 0
            Plan the analysis of {{df.columns}}.

            reply = %llm name three rivers
            %llm model sonnet        use this model from now on
            %llm models              what can be asked, and its price
            %llm cost                what it has cost
            %llm budget 5            spend five dollars a day at most
            %llm replay auto         record answers, and play them back for nothing
            %llm key openai          enter a key without showing it
            %llm doctor              what works and what does not
            %llm help                all options
        """
        try:
            parsed = parse_line(line) if cell is None else parse_cell(line, cell)
            if isinstance(parsed, Command):
                from llmkit.notebook import commands

                return commands.run(self, parsed)
            if parsed.help:
                print(help_text())  # noqa: T201 - it was asked for
                return None
            return self._ask(parsed)
        except CellError as error:
            raise UsageError(str(error)) from None
        except LLMClientError as error:
            raise (shorten(error) if self.short_errors else error)  # noqa: B904 - the same exception goes on

    @property
    def variables(self) -> dict[str, Any]:
        """The user's variables."""
        assert self.shell is not None
        variables: dict[str, Any] = self.shell.user_ns
        return variables

    def _ask(self, ask: Ask) -> Reply | None:
        from llmkit.notebook.asking import Asking  # the clients load at the first question

        shell: Any = self.shell
        source = shell.history_manager.input_hist_raw[-1].lstrip()
        asking = Asking(self, ask)
        reply = asking.run(alone=source.startswith("%%llm"))
        if ask.out is not None:
            self.variables[ask.out] = reply
        if asking.interrupted:
            raise Stopped
        if source.startswith(("%%llm", "%llm")) and getattr(shell, "kernel", None) is None:
            # A terminal would print an empty "Out[n]:"; the reply gets its names all the same.
            shell.displayhook.update_user_ns(reply)
            return None
        return reply

    def complete(self, _shell: Any, event: Any) -> list[str]:
        """Complete options, subcommands and models for IPython's completer.

        Args:
            event: What was typed: `line` and `symbol`.
        """
        from llmkit.clients.registry import model_names

        typed = event.symbol
        found = completions(typed, cell=event.line.lstrip().startswith("%%"))
        return found + [name for name in model_names() if name.startswith(typed)]
