"""An answer on its way to standard output; its price and what goes wrong go to standard error."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.clients.registry import resolve
from llmkit.command_line import output
from llmkit.content.messages import facts
from llmkit.content.parsing import code_in, parse, repair
from llmkit.content.reasoning import spoken
from llmkit.core.bridge import bridge
from llmkit.core.errors import BadResponseError, ConfigurationError, LLMClientError
from llmkit.core.money import format_money, to_nanos
from llmkit.notebook.display.error_messages import countdown, foreign, uninterrupted
from llmkit.notebook.display.footer import build_footer, outcome_of
from llmkit.notebook.display.live import PlainAnswer
from llmkit.notebook.display.parts import beside
from llmkit.notebook.display.thinking import THINKING, Spoken
from llmkit.notebook.notices import take_notices
from llmkit.notebook.streams import open_stream

if TYPE_CHECKING:
    import argparse

    from llmkit.clients.stream import TextStream
    from llmkit.content.messages import LLMMessage, LLMResponse
    from llmkit.notebook.request import Prompt
    from llmkit.records import CallStatus

READ = ("json", "df", "code")
"""Formats of which only a part of the answer is printed, at its end."""

INTERRUPTED = 130


class Answer:
    """One question and its answer.

    Attributes:
        stream: The call; nothing is sent before `run`.
    """

    def __init__(self, options: argparse.Namespace, prompt: Prompt) -> None:
        if "," in (options.model or ""):
            raise ConfigurationError("llmkit ask takes one model.", hint="%%llm a,b compares in a notebook.")
        self._options = options
        self._prompt = prompt
        self.name = resolve(options.model)
        self._first: LLMResponse | None = None  # the answer that had the wrong format
        self._printed = ""
        self._waiting = PlainAnswer(sys.stderr)  # shows what the call waits for
        self.stream = self._open()

    def _open(self, further: tuple[LLMMessage, ...] = ()) -> TextStream:
        options = self._options
        budget = options.budget
        context = {
            "surface": "cli",
            "cap_nanos": None if budget is None else to_nanos(budget),
            "replay": "off" if options.no_cache else "refresh" if options.refresh else None,
            "tags": {**records.current_context().tags, **dict(options.tags or ())},
        }
        chosen = {**({"cache": None} if further else {}), **self._prompt.options}
        return open_stream(self.name, [*self._prompt.messages, *further], chosen, context)

    def dry_run(self) -> str:
        """Return what would be sent, and its price."""
        from llmkit.notebook.commands.dryrun import dry_run

        return dry_run(self._prompt, self.name, self.stream)

    def run(self) -> int:
        """Ask, print the answer as it comes, and return the exit code."""
        try:
            value = self._answer()
        except KeyboardInterrupt:
            with uninterrupted():  # a second Ctrl+C must not lose the text
                self._finish("cancelled")
            return INTERRUPTED
        except LLMClientError as error:
            self._finish("error" if self.stream.response is None else "ok", error)
            raise
        except OSError:  # whoever read standard output has left
            raise
        except Exception as error:  # as at the end of a cell: another package's client may raise anything
            ours = foreign(error, self.name.provider)
            self._finish("error", ours)
            raise ours from error
        self._finish("ok", value=value)
        return 0

    def _answer(self) -> Any:
        """Stream the answer and read it; ask once more if it has the wrong format."""
        self._show()
        try:
            return self._read()
        except BadResponseError as error:
            further = repair(self.stream.text, error)
            if not further:
                raise
        self._first = self.stream.outcome
        self.stream = self._open(tuple(further))
        self._show()
        return self._read()

    def _show(self) -> None:
        """Print the text as it comes, if it is printed as it is."""
        live = self._prompt.format not in READ and not self._options.json
        filtered = Spoken()
        with closing(bridge.stream(self.stream)) as pieces:
            for piece in pieces:
                self._feed(filtered.feed(piece or "") if live else "")
                if not self._printed:  # later, a notice would erase the last line of the answer
                    self._waiting.tick(self._notice(thinking=filtered.thinking))
        self._waiting.tick()
        if live:
            self._feed(filtered.rest())

    def _notice(self, *, thinking: bool) -> str:
        """Return what the call waits for."""
        if self._options.quiet:
            return ""
        thinks = (thinking or self.stream.thinking) and sys.stderr.isatty()
        return countdown(self.stream.waiting) or (THINKING if thinks else "")

    def _feed(self, text: str) -> None:
        if text:
            self._waiting.tick()
            output.write(text)
            self._printed = text

    def _read(self) -> Any:
        form = self._prompt.format
        return parse(self.stream.text, form, self._prompt.schema) if form in {"json", "df"} else None

    def _finish(self, status: CallStatus, error: LLMClientError | None = None, value: Any = None) -> None:
        """Print the end of the answer, and its price."""
        self._waiting.tick()
        outcome = outcome_of(self.stream)
        if self._options.json:
            found = unanswered(error) if outcome is None else self._facts(outcome, status, error, value)
            output.print_json(found)
            return
        whole = status == "ok" and error is None
        self._print_rest(value, whole=whole)
        if outcome is None or self._options.quiet:
            return
        footer = build_footer(outcome, label=self._options.model, status=status)
        for text in (*self._notes(), beside(outcome).text_below, str(footer), *take_notices()):
            output.note(text)

    def _print_rest(self, value: Any, *, whole: bool) -> None:
        """Print what did not stream; an answer without its form goes where no program reads it."""
        if self._printed:
            output.write("" if self._printed.endswith("\n") else "\n")
        elif whole:
            output.say(self._shaped(value))
        else:
            output.note(spoken(self.stream.text))
        sys.stdout.flush()

    def _shaped(self, value: Any) -> str:
        """Return the part of the answer that its format asks for."""
        form, text = self._prompt.format, spoken(self.stream.text)
        if form == "json":
            return output.json_text(value)
        if form == "df":
            return str(value.to_csv(index=False)).rstrip("\n")
        return code_in(text) if form == "code" else text

    def _notes(self) -> list[str]:
        if self._first is None:
            return list(self._prompt.notes)
        more = format_money(self._first.cost_estimate)
        return [
            *self._prompt.notes,
            f"The first answer had the wrong format, so the call was repeated for {more}.",
        ]

    def _facts(
        self, outcome: LLMResponse, status: CallStatus, error: LLMClientError | None, value: Any
    ) -> dict[str, Any]:
        """Return the answer for JSON, by the ledger's names."""
        found = {"text": spoken(outcome.content), "complete": status == "ok" and error is None}
        if self._prompt.format == "json":
            found["value"] = value
        elif self._prompt.format == "df":
            found["value"] = None if value is None else output.records(value)
        found |= {"reasoning": outcome.reasoning} if outcome.reasoning else {}
        if outcome.citations:
            found["sources"] = [one.url for one in outcome.citations if one.url]
        return {**found, **facts(outcome), **self._troubles(error)}

    def _troubles(self, error: LLMClientError | None) -> dict[str, Any]:
        first = {} if self._first is None else {"first_answer": facts(self._first)}
        return {**first, **_of_error(error)}


def unanswered(error: LLMClientError | None) -> dict[str, Any]:
    """Return for JSON that there is no answer, and why: no text, and an error unless it was stopped."""
    return {"text": "", "complete": False, **_of_error(error)}


def _of_error(error: LLMClientError | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"error": {"type": type(error).__name__, "message": output.shell_words(str(error))}}
