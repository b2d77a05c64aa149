"""A conversation as a tree: edited questions and further answers are branches, and none is ever lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmkit.content.messages import LLMMessage, LLMResponse
from llmkit.content.parts import ToolResult
from llmkit.content.reasoning import spoken
from llmkit.notebook.reply import Reply, ShownRun
from llmkit.notebook.session_log import IncompleteMessage
from llmkit.notebook.tools.steps import around, events_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmkit.clients.tools.run import Run
    from llmkit.content.attachments import Attachment
    from llmkit.notebook.tools.steps import Event
    from llmkit.records import CallStatus

Role = Literal["user", "assistant"]

State: TypeAlias = "CallStatus | Literal['open']"
"""How an answer ended; `open`: it is being written."""


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """One message, and what followed it."""

    number: int  # index within the conversation
    role: Role
    text: str  # Markdown; grows while an answer arrives
    parent: Node | None  # `None` only for the root
    attachments: tuple[Attachment, ...] = ()
    state: State = "ok"
    hidden: bool = False  # of a question: its turn is not sent to the model
    model: str = ""  # of an answer: the model, as the user named it
    error: str = ""  # one line
    response: LLMResponse | None = None  # set when the call has ended; of a run with the sums of its steps
    messages: tuple[LLMMessage, ...] = ()  # of an answer: what goes back to the model, if it is not `text`
    events: tuple[Event, ...] = ()  # of an answer with tools: its answers and calls, in order
    run: Run | None = None  # of an answer with tools
    children: list[Node] = field(default_factory=list)  # in the order of time
    chosen: Node | None = None  # the child that is shown

    @property
    def siblings(self) -> Sequence[Node]:
        """Its versions, itself included: other wordings of a question, other answers to it."""
        return (self,) if self.parent is None else tuple(self.parent.children)


class Conversation:
    """Questions and answers in turn, with all their versions; one branch of them is shown.

    Example:
        >>> talk = Conversation()
        >>> question = talk.ask("Name a river.")
        >>> first = talk.answer(question, "The Rhine.")
        >>> second = talk.answer(question, "The Po.")
        >>> [node.text for node in talk.branch]
        ['Name a river.', 'The Po.']
        >>> talk.show(first)
        >>> [node.text for node in talk.branch]
        ['Name a river.', 'The Rhine.']
    """

    def __init__(self) -> None:
        self._root = Node(number=0, role="assistant", text="", parent=None)
        self._nodes = [self._root]

    def __getstate__(self) -> list[dict[str, Any]]:
        """Return the messages one by one, for a long chain of them is too deep to copy or pickle."""
        return [_row(node) for node in self._nodes]

    def __setstate__(self, rows: list[dict[str, Any]]) -> None:
        """Make the tree from its messages; an answer that was under way ends where it was."""
        nodes: list[Node] = []
        for row in rows:
            parent = None if row["parent"] is None else nodes[row["parent"]]
            state = "cancelled" if row["state"] == "open" else row["state"]
            node = Node(**{**row, "parent": parent, "state": state, "chosen": None})
            nodes.append(node)
            if parent is not None:
                parent.children.append(node)
        for node, row in zip(nodes, rows, strict=True):
            node.chosen = None if row["chosen"] is None else nodes[row["chosen"]]
        self._root, self._nodes = nodes[0], nodes

    def __len__(self) -> int:
        return len(self._nodes) - 1

    def __iter__(self) -> Iterator[Node]:
        """Go through all messages of all branches, the oldest first."""
        return iter(self._nodes[1:])

    @property
    def branch(self) -> list[Node]:
        """The messages that are shown, from the first to the last."""
        shown, node = [], self._root.chosen
        while node is not None:
            shown.append(node)
            node = node.chosen
        return shown

    def find(self, number: object) -> Node | None:
        """Return the message with this number, if there is one."""
        if not isinstance(number, int) or not 0 < number < len(self._nodes):
            return None
        return self._nodes[number]

    def ask(
        self, text: str, *, attachments: Sequence[Attachment] = (), instead_of: Node | None = None
    ) -> Node:
        """Add a question, and show it."""
        if instead_of is not None and instead_of.parent is not None:
            parent = instead_of.parent
        else:
            parent = self._last_answer()
        return self._add(parent, role="user", text=text, attachments=tuple(attachments))

    def answer(self, question: Node, text: str = "", *, state: State = "ok", model: str = "") -> Node:
        """Add an answer, and show it."""
        return self._add(question, role="assistant", text=text, state=state, model=model)

    def show(self, node: Node) -> None:
        """Show the branch that a message is on."""
        while node.parent is not None:
            node.parent.chosen = node
            node = node.parent

    def step(self, node: Node, by: int) -> Node:
        """Show another version of a message."""
        versions = node.siblings
        found = versions[min(max(versions.index(node) + by, 0), len(versions) - 1)]
        self.show(found)
        return found

    def hide(self, node: Node, hidden: bool = True) -> None:  # noqa: FBT001, FBT002 - the state to be in
        """Keep a turn out of what the model sees, or take it back in.

        A question and its answers go together: providers want turns that alternate.
        """
        question = question_of(node)
        question.hidden = hidden

    def context(self, question: Node) -> list[Node]:
        """Return what a model is sent for a question."""
        sent: list[Node] = [question]
        node = question.parent
        while node is not None and node.parent is not None:
            asked = node.parent
            if not asked.hidden and (node.messages or _said(node).strip()):
                sent += [node, asked]
            node = asked.parent
        return sent[::-1]

    def turns(self) -> list[Node]:
        """Return what of the shown branch the next question would bring along."""
        last = self._last_answer()
        probe = Node(number=-1, role="user", text="?", parent=last)
        return self.context(probe)[:-1]

    def messages(self) -> list[LLMMessage]:
        """Return `turns` as messages."""
        return [message for node in self.turns() for message in as_messages(node)]

    def adopt(self, messages: Sequence[LLMMessage]) -> None:
        """Show the branch that consists of these messages; missing ones are added."""
        node = self._root
        for said in _turns(messages):
            role: Role = "user" if _is_question(said[0]) else "assistant"
            if role == node.role:
                continue  # questions and answers alternate
            known = next((child for child in node.children if _is_same(child, said)), None)
            known = known or self._add_messages(node, role, said)
            node.chosen, node = known, known
        node.chosen = None

    def _add_messages(self, parent: Node, role: Role, said: Sequence[LLMMessage]) -> Node:
        state: State = "cancelled" if isinstance(said[-1], IncompleteMessage) else "ok"
        texts = [message.content for message in said if message.role == role]
        more = role == "assistant" and any(message.parts for message in said)
        return self._add(
            parent,
            role=role,
            text=texts[-1] if texts else "",
            attachments=said[0].attachments,
            state=state,
            messages=tuple(said) if more else (),
            events=tuple(events_of(said)) if more else (),
        )

    def _last_answer(self) -> Node:
        """Return what a new question follows: the last answer; the root if there is none."""
        shown = [node for node in self.branch if node.role == "assistant"]
        return shown[-1] if shown else self._root

    def _add(self, parent: Node, **fields: Any) -> Node:
        node = Node(number=len(self._nodes), parent=parent, **fields)
        self._nodes.append(node)
        parent.children.append(node)
        self.show(node)
        return node


def _row(node: Node) -> dict[str, Any]:
    """Return a message's fields, those around it as their numbers."""
    fields = {name: getattr(node, name) for name in Node.__slots__ if name != "children"}
    near = {name: getattr(fields[name], "number", None) for name in ("parent", "chosen")}
    return {**fields, **near}


def question_of(node: Node) -> Node:
    """Return the question of the turn that a message belongs to."""
    return node if node.role == "user" or node.parent is None else node.parent


def reply_of(node: Node, *, ended: bool) -> Reply:
    """Return an answer as what a cell would return; `ended` says whether its last call did."""
    response = node.response or LLMResponse(node.text, "", node.model)
    run = None if node.run is None else ShownRun(node.run, around(node.events))
    return Reply(response, ended=ended, run=run)


def as_messages(node: Node) -> list[LLMMessage]:
    """Return a message as the clients take it; an answer with tools is several."""
    if node.messages:
        return list(node.messages)
    kind = IncompleteMessage if node.state in {"cancelled", "error"} else LLMMessage
    return [kind(role=node.role, content=_said(node), attachments=node.attachments)]


def _turns(messages: Iterable[LLMMessage]) -> Iterator[list[LLMMessage]]:
    """Yield each question, and all messages of each answer together."""
    said = (message for message in messages if message.role != "system")
    for is_question, group in groupby(said, _is_question):
        together = list(group)
        yield from ([message] for message in together) if is_question else [together]


def _is_question(message: LLMMessage) -> bool:
    """Whether a person asks; results of tools are a part of the answer."""
    return message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts)


def _is_same(node: Node, said: Sequence[LLMMessage]) -> bool:
    if node.messages or len(said) > 1:
        return list(node.messages) == list(said)
    (message,) = said
    return message.content in (node.text, _said(node)) and node.attachments == message.attachments


def _said(node: Node) -> str:
    """Return what goes to a model: of an answer without the reasoning in its think tags."""
    return node.text if node.role == "user" else spoken(node.text)
