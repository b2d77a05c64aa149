"""`Run` and `Step`: what a model did with tools, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmkit.core.brief import brief
from llmkit.core.money import from_nanos
from llmkit.core.rich_display import bundle_of

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.content.messages import LLMMessage, LLMResponse

Stopped: TypeAlias = Literal["done", "max_steps", "max_cost", "repeated", "interrupted", "error"]
"""Why a run ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request to the model, or one call of a tool.

    Attributes:
        step: Number of the request to the model, from 1; a call of a tool has that of the answer it is in.
        kind: `"model"` or `"tool"`.
        name: The model or the tool.
        arguments: The arguments of the tool, as the model wrote them.
        result_chars: Length of the answer or result, in characters.
        input_tokens: Tokens of the request; `None` for a tool.
        output_tokens: Tokens of the answer; `None` for a tool.
        cost_usd: Price in US dollars; `None` for a tool, and if it is unknown.
        seconds: How long it took.
        approved: Whether somebody allowed the call; `None` if nobody had to.
        error: Why it failed; `None` if it did not.
        uid: Identifier of the request in the ledger, or of the call.
        replayed: Whether the answer or the result was recorded.
    """

    step: int
    kind: Literal["model", "tool"]
    name: str
    arguments: str = ""
    result_chars: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    approved: bool | None = None
    error: str | None = None
    uid: str | None = None
    replayed: bool = False


@dataclass(slots=True, kw_only=True)
class Run:
    """What a model did with tools.

    Attributes:
        uid: Identifier; the ledger has it as `parent_uid` of each step.
        response: The last answer; `None` if there is none.
        messages: The whole conversation, to go on with.
        trace: The steps.
        asked: Number of messages that it began with.
        stopped: Why the run ended: `"done"`, at a limit (`"max_steps"`, `"max_cost"`), because the model made
            the same call three times (`"repeated"`), by the user (`"interrupted"`) or by an `"error"`.

    Example:
        >>> Run(uid="0" * 32, stopped="done").text
        ''
    """

    uid: str
    response: LLMResponse | None = None
    messages: list[LLMMessage] = field(default_factory=list, repr=False)
    trace: list[Step] = field(default_factory=list, repr=False)
    stopped: Stopped = "done"
    asked: int = field(default=0, repr=False)
    nanos: int = field(default=0, repr=False)
    unpriced: bool = field(default=False, repr=False)

    def __repr__(self) -> str:
        requests = sum(step.kind == "model" for step in self.trace)
        price = "price unknown" if self.cost is None else f"${self.cost:.4g}"
        calls = len(self.trace) - requests
        return f"Run({self.stopped}: {requests} requests, {calls} tool calls, {price}, {brief(self.text)})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle_of(self)

    @property
    def text(self) -> str:
        """The text of the last answer."""
        return "" if self.response is None else self.response.content

    @property
    def cost(self) -> float | None:
        """The price of all steps, in US dollars; `None` if one of them has no known price."""
        return None if self.unpriced else from_nanos(self.nanos)

    @property
    def steps(self) -> pd.DataFrame:
        """The steps as a DataFrame, with the attributes of `Step` as columns."""
        import pandas as pd

        columns = list(Step.__dataclass_fields__)
        rows: list[dict[str, Any]] = [asdict(step) for step in self.trace]
        frame = pd.DataFrame(rows, columns=columns)
        # `None` for no error, also where text columns of pandas 3 have NaN.
        frame["error"] = pd.Series([step.error for step in self.trace], dtype="object")
        return frame
