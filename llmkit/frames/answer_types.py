"""What a typed question may be answered with: yes or no, a label, a level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from llmkit.core.errors import InvalidRequestError
from llmkit.frames.columns import Column

if TYPE_CHECKING:
    from collections.abc import Sequence


class AnswerType(ABC):
    """A question with a fixed set of answers: `YesNo`, `Choice` or `Score`.

    Attributes:
        instruction: The question; `None` if its name and its labels say it.
    """

    def __init__(self, instruction: str | None = None) -> None:
        given: object = instruction
        if given is not None and not (isinstance(given, str) and given.strip()):
            raise InvalidRequestError(f"instruction must be a text, got {given!r:.60}.", hint="")
        self.instruction = instruction

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""

    @abstractmethod
    def asked(self, name: str) -> str:
        """Return what the prompt says of the question with this name."""

    @abstractmethod
    def column(self, name: str) -> Column:
        """Return the column of the answers."""

    @property
    @abstractmethod
    def longest(self) -> Any:
        """The answer that takes most tokens."""

    @property
    def described(self) -> Mapping[str, str]:
        """The labels with their descriptions; none for yes and no."""
        return {}

    def cell(self, value: Any) -> Any:
        """Return the cell of an answer that fits the schema."""
        return value


class YesNo(AnswerType):
    """A question with the answers yes and no; the column is boolean.

    Args:
        instruction: The question, e.g. `"Is a refund asked for?"`.

    Raises:
        InvalidRequestError: If the instruction is not a text.

    Example:
        >>> YesNo("Is a refund asked for?")
        YesNo('Is a refund asked for?')
    """

    def __init__(self, instruction: str | None = None) -> None:
        super().__init__(instruction)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        return {"type": "boolean"}

    def asked(self, name: str) -> str:
        """Return what the prompt says of the question with this name."""
        return f"{name}: {self.instruction or 'Is this so?'} (true for yes, false for no)"

    def column(self, name: str) -> Column:
        """Return the column of the answers."""
        return Column(name, "bool")

    @property
    def longest(self) -> Any:
        """The answer that takes most tokens."""
        return False

    def __repr__(self) -> str:
        return f"YesNo({'' if self.instruction is None else repr(self.instruction)})"


class _Labelled(AnswerType):
    """A question whose answers are labels, with or without a description of each."""

    kind: Literal["category", "ordered"] = "category"

    def __init__(
        self, labels: Sequence[str] | Mapping[str, str], instruction: str | None, other: str | None = None
    ) -> None:
        super().__init__(instruction)
        self.labels = _described(labels, other)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        return {"type": "string", "enum": list(self.labels)}

    def column(self, name: str) -> Column:
        """Return the column of the answers."""
        return Column(name, self.kind, tuple(self.labels))

    @property
    def longest(self) -> Any:
        """The answer that takes most tokens."""
        return max(self.labels, key=lambda label: len(label.encode()))

    @property
    def described(self) -> Mapping[str, str]:
        """The labels with their descriptions."""
        return self.labels

    def __repr__(self) -> str:
        labels = dict(self.labels) if any(self.labels.values()) else list(self.labels)
        instruction = "" if self.instruction is None else f", instruction={self.instruction!r}"
        return f"{type(self).__name__}({labels!r}{instruction})"

    def _listed(self) -> str:
        return "\n".join(
            f"- {label}: {text}" if text else f"- {label}" for label, text in self.labels.items()
        )


class Choice(_Labelled):
    """A question whose answer is one of some labels, or several; the column is categorical, or of lists.

    Args:
        labels: The labels, or a mapping from each label to its description.
        instruction: The question, e.g. `"Which team should answer?"`.
        multi: Whether several labels may apply, or none; a cell is then a list in the order of the labels.
        other: A further label for what fits none, e.g. `"none of these"`.

    Raises:
        InvalidRequestError: If there are fewer than two labels, or one of them is repeated or not a text.

    Example:
        >>> Choice({"billing": "money and invoices", "technical": "something does not work"}, other="neither")
        Choice({'billing': 'money and invoices', 'technical': 'something does not work', 'neither': ''})
    """

    def __init__(
        self,
        labels: Sequence[str] | Mapping[str, str],
        instruction: str | None = None,
        *,
        multi: bool = False,
        other: str | None = None,
    ) -> None:
        super().__init__(labels, instruction, other)
        self.multi = multi

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        one = super().schema()
        return {"type": "array", "items": one} if self.multi else one

    def asked(self, name: str) -> str:
        """Return what the prompt says of the question with this name."""
        how = "All labels that apply, or an empty list" if self.multi else "One of these labels"
        return f"{name}: {self.instruction or 'Which label fits?'} {how}:\n{self._listed()}"

    def column(self, name: str) -> Column:
        """Return the column of the answers."""
        return Column(name, "labels") if self.multi else super().column(name)

    @property
    def longest(self) -> Any:
        """The answer that takes most tokens."""
        return list(self.labels) if self.multi else super().longest

    def cell(self, value: Any) -> Any:
        """Return the cell of an answer that fits the schema."""
        return [label for label in self.labels if label in value] if self.multi else value


class Score(_Labelled):
    """A question whose answer is a level; the column is an ordered categorical.

    Args:
        levels: The levels from the lowest to the highest, or a mapping from each one to its description.
        instruction: The question, e.g. `"How angry is the writer?"`.

    Raises:
        InvalidRequestError: If there are fewer than two levels, or one of them is repeated or not a text.

    Example:
        >>> Score(["calm", "annoyed", "furious"], "How angry is the writer?")
        Score(['calm', 'annoyed', 'furious'], instruction='How angry is the writer?')
    """

    kind = "ordered"

    def __init__(self, levels: Sequence[str] | Mapping[str, str], instruction: str | None = None) -> None:
        super().__init__(levels, instruction)

    def asked(self, name: str) -> str:
        """Return what the prompt says of the question with this name."""
        question = self.instruction or "Which level fits?"
        return f"{name}: {question} One of these levels, from the lowest to the highest:\n{self._listed()}"


def _described(labels: Any, other: str | None) -> dict[str, str]:
    """Return labels with their descriptions, which may be empty."""
    pairs = _pairs(labels)
    if other is not None:
        pairs.append((other, ""))
    for label, description in pairs:
        _check_text(label)
        if description != "":
            _check_text(description)
    counts = Counter(label for label, _ in pairs)
    twice = next((label for label, count in counts.items() if count > 1), None)
    if twice is not None:
        raise InvalidRequestError(f"The label {twice!r:.60} is given twice.", hint="Leave one of them out.")
    if len(pairs) < 2:
        raise InvalidRequestError(f"There must be at least two labels, got {len(pairs)}.", hint="")
    return dict(pairs)


def _pairs(labels: Any) -> list[tuple[Any, Any]]:
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise InvalidRequestError(f"Labels must be a list of texts, got {labels!r:.60}.", hint="")
    return list(labels.items()) if isinstance(labels, Mapping) else [(label, "") for label in labels]


def _check_text(given: Any) -> None:
    if not (isinstance(given, str) and given.strip()):
        raise InvalidRequestError(
            f"Labels and their descriptions must be texts, got {given!r:.60}.",
            hint=f"Pass {str(given)!r:.60}.",
        )
