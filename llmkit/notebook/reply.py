"""What `%%llm` gives back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmkit.errors import BadResponseError

if TYPE_CHECKING:
    from llmkit.messages import LLMResponse, Usage

_FENCE = re.compile(r"^(?P<mark>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)^(?P=mark)[ \t]*$", re.DOTALL | re.MULTILINE)


class Reply:
    """An answer in the notebook: text when it is used as text.

    It does not show itself in the execution that made it, for its text was streamed there.

    Args:
        response: The answer.
        shell: The IPython shell, to know the execution that made it.

    Example:
        >>> from llmkit.messages import LLMResponse
        >>> str(Reply(LLMResponse("Hello", "openai", "gpt-6-luna")))
        'Hello'
    """

    def __init__(self, response: LLMResponse, shell: Any = None) -> None:
        self.response = response
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
        """Its price in US dollars; `None` if unknown."""
        return self.response.cost_estimate

    @property
    def code(self) -> str:
        """The code in its fenced blocks, one block after the other; empty if there is none."""
        return "\n".join(match["code"].rstrip("\n") for match in _FENCE.finditer(self.text))

    def json(self) -> Any:
        """Read the answer as JSON, inside a fence or not.

        Raises:
            BadResponseError: If it is not JSON; the text is in `.partial`.
        """
        source = self.code if self.text.lstrip().startswith(("```", "~~~")) else self.text
        try:
            return json.loads(source)
        except ValueError as error:
            raise BadResponseError(
                f"The answer is not JSON: {error}.",
                model=self.response.model,
                hint="Ask for JSON only, or read .text.",
                partial=self.text,
            ) from error

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Reply of {self.response.model}: {self.text[:60]!r}>"

    def __len__(self) -> int:
        return len(self.text)

    def _ipython_display_(self) -> None:
        """Show the answer again, but not twice in the execution that streamed it."""
        if self._shell is None or execution_number(self._shell) != self._made_in:
            from IPython.display import display

            display(self._data(), raw=True)  # type: ignore[no-untyped-call]  # IPython has no types here

    def _data(self) -> dict[str, str]:
        from llmkit.notebook.render import page, render

        return {"text/plain": self.text, "text/html": page(render(self.text))}


def execution_number(shell: Any) -> int | None:
    """Return n of the `In [n]` that is running.

    Some releases of IPython count up before a cell runs and some after, but all of them have stored
    its input by then.

    Args:
        shell: The IPython shell; `None` outside of one.
    """
    return None if shell is None else len(shell.history_manager.input_hist_parsed) - 1
