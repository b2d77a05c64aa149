"""The value that `%%llm` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.content.parsing import code_in, parse
from llmkit.content.reasoning import spoken
from llmkit.core.errors import BadResponseError
from llmkit.notebook.shell import execution_number, has_kernel

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.clients.tools.run import Run
    from llmkit.content.messages import LLMResponse, Usage
    from llmkit.content.parsing import Format
    from llmkit.content.schema import SchemaLike
    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.output import Output
    from llmkit.notebook.display.parts import Beside
    from llmkit.records import CallStatus


CUT = frozenset({"length", "content_filter"})
"""Reasons to finish that leave a text incomplete."""

SHOWN = 60
"""A longer text is cut in the representation of a reply."""


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run with tools, and how it is shown."""

    run: Run
    beside: Beside


class Reply:
    """An answer in the notebook: text when it is used as text.

    It does not show itself in the execution that made it, for its text was streamed there.

    Args:
        response: The answer.
        shell: The IPython shell, to know the execution that made it.
        form: The format that was asked for.
        value: What was read from the text in that format.
        ended: Whether the call ended well; an answer that was stopped or cut did not.
        run: The run with tools that the answer ends, and how it is shown.
        before: The first answer, if it did not fit and was asked for once more.

    Attributes:
        form: The format that was asked for.
        footer: The line under the answer.
        run: The run with tools that led to the answer; `None` without tools.
        ended: Whether the call ended well.
        complete: Whether the text is the whole answer: neither stopped, nor cut off, nor at its token limit.

    Example:
        >>> from llmkit.content.messages import LLMResponse
        >>> str(Reply(LLMResponse("Hello", "openai", "gpt-6-luna")))
        'Hello'
    """

    def __init__(
        self,
        response: LLMResponse,
        shell: Any = None,
        *,
        form: str = "md",
        value: Any = None,
        ended: bool = True,
        run: ShownRun | None = None,
        before: LLMResponse | None = None,
    ) -> None:
        self.response = response
        self._before = before
        self._shown_run = run
        self.form = form
        self.footer: Footer | None = None
        self.run: Run | None = None if run is None else run.run
        self.complete = ended and response.finish_reason not in CUT
        self.ended = ended
        self._value = value
        self._shell = shell
        self._made_in = execution_number(shell)

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.response.content

    @property
    def usage(self) -> Usage | None:
        """Its tokens."""
        return self.response.usage

    @property
    def cost(self) -> float | None:
        """Its price in US dollars, of all steps of a run and of a first answer in the wrong format.

        `None` if it is unknown.
        """
        if self.run is not None:
            return self.run.cost
        last, first = self.response.cost_estimate, self._before
        if first is None or last is None:
            return last
        return None if first.cost_estimate is None else first.cost_estimate + last

    @property
    def code(self) -> str:
        """The fenced code in one language, Python if there is any; empty if there is none.

        Several blocks are joined. A block that the text announces as a correction replaces those before it.
        """
        return str(self._value) if self.form == "code" and self._value is not None else code_in(self.text)

    @property
    def value(self) -> Any:
        """The answer as what was asked for: an instance of the schema's class, JSON, a table, code, or text.

        Raises:
            BadResponseError: If it does not fit.
        """
        if self.form == "json" and self.response.reader is not None:
            return self.response.value
        return self.text if self._value is None else self._value

    @property
    def df(self) -> pd.DataFrame:
        """The table in it as a DataFrame: from records in JSON, CSV, or a Markdown table.

        Raises:
            BadResponseError: If there is no table; the text is in `.partial`.
        """
        import pandas as pd

        found = self._value if self.form == "df" and self._value is not None else self._parsed("df")
        assert isinstance(found, pd.DataFrame)
        return found

    def json(self, schema: SchemaLike = None) -> Any:
        """Read the answer as JSON, whatever words or fence are around it.

        Args:
            schema: What it must look like: a JSON schema, a dataclass, a `TypedDict` or a pydantic model.

        Raises:
            BadResponseError: If it is not JSON, or does not fit; the text is in `.partial`.

        Example:
            >>> from llmkit.content.messages import LLMResponse
            >>> Reply(LLMResponse('Sure: {"a": 1}', "openai", "gpt-6-luna")).json()
            {'a': 1}
        """
        if schema is None and self.form == "json":
            return self._value  # of several values in the text, the one that fits what was asked for
        return self._parsed("json", schema)

    @property
    def shown(self) -> Output:
        """How it is shown in the end."""
        from llmkit.notebook.display.output import shown

        return shown(self.form, spoken(self.text), self._value)

    @property
    def beside(self) -> Beside:
        """What is shown beside the text: reasoning, images, sources, calls of tools."""
        from llmkit.notebook.display.parts import beside
        from llmkit.notebook.tools.steps import around, events_of_run

        if self._shown_run is not None:
            return self._shown_run.beside
        return beside(self.response) if self.run is None else around(events_of_run(self.run))

    def _parsed(self, format: Format, schema: SchemaLike = None) -> Any:  # noqa: A002 - as the option is called
        try:
            return parse(self.text, format, schema)
        except BadResponseError as error:
            error.provider, error.model = self.response.provider, self.response.model
            explain_empty(error, self.response)
            if not self.ended:
                error.hint = "The answer was stopped before its end: ask again, or read the text in .partial."
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Leave the shell behind in copies and pickles: they belong to no execution."""
        return {**vars(self), "_shell": None, "_made_in": None}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        kind = "Reply" if self.complete else "Incomplete reply"
        start = self.text if len(self.text) <= SHOWN else f"{self.text[: SHOWN - 1]}…"
        shown = repr(start) if self.text.strip() else self.response.note or "''"
        return f"<{kind} of {self.response.model}: {shown}>"

    def __len__(self) -> int:
        return len(self.text)

    def _ipython_display_(self) -> None:
        """Show the answer again, but not twice in the execution that streamed it."""
        if self._shell is None or execution_number(self._shell) != self._made_in:
            self.show()

    def show(self) -> None:
        """Show the answer and its footer."""
        from IPython.display import display

        from llmkit.notebook.display.rich_answer import final_data, live_answer

        final, around = self.shown, self.beside
        if self._shell is None or has_kernel(self._shell):
            status: CallStatus = "ok" if self.ended else "cancelled"
            data = final_data(final.text, self.footer, {}, status, final.html, beside=around)
            display({name: data[name] for name in ("text/plain", "text/html")}, raw=True)  # type: ignore[no-untyped-call]  # IPython has no types here
        else:
            live_answer(self._shell).finish(final.text, self.footer, {}, html=final.html, beside=around)


def explain_empty(error: BadResponseError, response: LLMResponse | None) -> None:
    """Say what came instead of text, if that is why an answer could not be read."""
    if response is not None and response.note and not spoken(response.content).strip():
        error.message, error.hint = response.note, "Ask for text instead."
