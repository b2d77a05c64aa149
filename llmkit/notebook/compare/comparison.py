"""What comparing models gives back: their answers side by side, as data, as a chart, as a choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.content.messages import LLMResponse, facts
from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.notebook.compare.measures import LARGEST, SMALLEST, measured, tokens_per_second
from llmkit.notebook.display.footer import lacks_price
from llmkit.notebook.display.plain_text import plain
from llmkit.notebook.reply import Reply
from llmkit.notebook.shell import execution_number, has_kernel, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from llmkit.records import CallStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One model's part in a comparison.

    Attributes:
        label: What the user called it.
        provider: Name of the provider that was asked.
        model: The provider's model name; `None` for its default model.
        status: How its call ended.
        text: Its text, or what there is of it.
        outcome: The answer as far as it came; `None` if nothing was sent.
        error: Why there is no whole answer; `None` if there is one, or the user stopped it.
    """

    label: str
    provider: str
    model: str | None
    status: CallStatus
    text: str = ""
    outcome: LLMResponse | None = None
    error: LLMClientError | None = None

    @property
    def response(self) -> LLMResponse:
        """The answer as far as it came."""
        return self.outcome or LLMResponse(self.text, self.provider, self.model or self.label)

    @property
    def row(self) -> dict[str, Any]:
        """The facts about it: no prompt, no text, no key."""
        found = facts(self.outcome)
        same = ("input_tokens", "output_tokens", "cost_usd", "saved_usd", "finish_reason")
        return {
            "model": self.label,
            "provider": self.provider if self.outcome is None else found["provider"],
            "served": self.model if self.outcome is None else found["model"],
            "status": "replayed" if found["replayed"] else self.status,
            "first_token_s": found["first_token_s"],
            "duration_s": found["duration_s"],
            "tokens_per_s": tokens_per_second(self.outcome),
            **{name: found[name] for name in same},
            "simulated": bool(found["simulated"]),
            "error": None if self.error is None else type(self.error).__name__,
            "uid": found["uid"],
        }


class Comparison:
    """The answers of several models to one prompt.

    It does not show itself in the execution that made it, for its answers were streamed there.

    Args:
        entries: The models' parts, in the order in which they were asked for.
        most_usd: What all calls together could cost at most, known before they were sent, in US dollars;
            `None` if a model's price is unknown.
        shell: The IPython shell, to know the execution that made it.
        on_keep: Called with the reply that is kept, e.g. to put it into a thread.
        note: What stands under the answers besides their price.

    Attributes:
        replies: The answers by model, as far as any text came; those that were stopped or cut are marked by
            `Reply.complete`.

    Example:
        ```python
        found = llmkit.compare("Name three rivers.", ["sonnet", "flash"])
        found.df
        found.keep(found.best("cost"))
        ```
    """

    def __init__(
        self,
        entries: Sequence[ModelAnswer],
        *,
        most_usd: float | None = None,
        shell: Any = None,
        on_keep: Callable[[Reply], object] | None = None,
        note: str = "",
    ) -> None:
        self.entries = tuple(entries)
        self.most_usd = most_usd
        self.note = note
        self._shell = shell
        self._made_in = execution_number(shell)
        self._on_keep = on_keep
        self.replies = {
            entry.label: Reply(entry.response, shell, ended=entry.status == "ok")
            for entry in self.entries
            if (entry.status == "ok" and entry.outcome is not None) or entry.text.strip()
        }

    @property
    def models(self) -> list[str]:
        """The models, as they were named."""
        return [entry.label for entry in self.entries]

    @property
    def cost(self) -> float | None:
        """What all of it cost, in US dollars; `None` if a price is unknown."""
        found = [entry.outcome for entry in self.entries if entry.outcome is not None]
        known = [one.cost_estimate for one in found if one.cost_estimate is not None]
        return None if any(map(lacks_price, found)) else math.fsum(known)

    @property
    def df(self) -> pd.DataFrame:
        """One row for each model: seconds, tokens, US dollars, how it ended, and its text.

        The text is for display, without control sequences; `[label].text` has it as it came.
        """
        import pandas as pd

        rows = [{**entry.row, "text": plain(entry.text)} for entry in self.entries]
        frame = pd.DataFrame(rows).set_index("model")
        numbers = ["first_token_s", "duration_s", "tokens_per_s", "cost_usd", "saved_usd"]
        counts = ["input_tokens", "output_tokens"]
        # Errors as objects: `None` for no error, where text columns of pandas 3 have NaN.
        frame["error"] = pd.Series([row["error"] for row in rows], index=frame.index, dtype="object")
        return frame.astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(counts, "Int64")})

    def best(self, by: str = "cost") -> str:
        """Find the model that did best, of those with a whole answer.

        Args:
            by: `"cost"` (US dollars; of a replayed answer, what it would have cost), `"time"` (seconds to
                the end), `"first_token"` (seconds to the first text) or `"tokens_per_s"`. A replayed
                answer has no times of its own.

        Returns:
            Its name, as in `models`.

        Raises:
            ConfigurationError: If there is no such measure, or it is not known of any answer.
        """
        column = {**SMALLEST, **LARGEST}.get(by)
        if column is None:
            raise ConfigurationError(
                f"{by!r} is not a measure.", hint=f"Use one of: {', '.join([*SMALLEST, *LARGEST])}."
            )
        known = {
            entry.label: value for entry in self.entries if (value := measured(entry, column)) is not None
        }
        if not known:
            raise ConfigurationError(f"No answer has a known {by}.", hint="Look at .df.")
        return (max if by in LARGEST else min)(known, key=lambda label: known[label])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw what each answer cost over how long it took.

        Args:
            ax: Where to draw; by default a new figure.

        Returns:
            The Axes.
        """
        from llmkit.notebook.compare import chart  # matplotlib takes long to import

        return chart.draw(self.df, ax)

    def keep(self, model: str) -> Reply:
        """Choose an answer: it becomes the thread's, if the comparison was made in one.

        At the end of a cell it also becomes `_`, as every value does.

        Args:
            model: Name of the model, as in `models`.

        Returns:
            Its reply.

        Raises:
            LLMClientError: The model's own error, if it has no whole answer.
            KeyError: If it was not asked.
        """
        found = self[model]
        if isinstance(found, LLMClientError):
            raise found
        if self._on_keep is not None:
            self._on_keep(found)
        return found

    def __getitem__(self, model: str) -> Reply | LLMClientError:
        """Return a model's reply, or the error that it ended with; `replies` has the text so far, too."""
        if model in self.replies and self.replies[model].ended:
            return self.replies[model]
        for entry in self.entries:
            if entry.label == model:
                stopped = f"The answer of {model} was stopped."
                return entry.error or LLMClientError(stopped, provider=entry.provider, partial=entry.text)
        raise KeyError(f"{model!r} is not in this comparison of {', '.join(self.models)}.")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the shell and the thread behind in copies and pickles."""
        return {**vars(self), "_shell": None, "_made_in": None, "_on_keep": None}

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.models)}>"

    @property
    def complete(self) -> bool:
        """Whether every model gave a whole answer."""
        return all(label in self.replies and self.replies[label].complete for label in self.models)

    def _ipython_display_(self) -> None:
        """Show the answers again, but not twice in the execution that streamed them."""
        if self._shell is None or execution_number(self._shell) != self._made_in:
            self.show()
        elif not has_kernel(self._shell):  # a terminal has written `Out[n]:` already
            say(repr(self))

    def show(self) -> None:
        """Show the answers and their footers."""
        from IPython.display import display

        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]  # IPython has no types

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        from llmkit.notebook.compare.drawing import final

        return final(self)
