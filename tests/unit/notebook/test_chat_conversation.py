"""The tree of a conversation: whatever is done to it, no message is lost and turns alternate."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from llmkit import LLMMessage
from llmkit.notebook.chat.conversation import Conversation, question_of

TEXTS = st.text(max_size=6)
QUESTIONS = TEXTS.filter(str.strip)


class Talking(RuleBasedStateMachine):
    """A user who asks, edits, asks again, hides and goes back and forth."""

    questions = Bundle("questions")
    answers = Bundle("answers")

    def __init__(self):
        super().__init__()
        self.talk = Conversation()
        self.made = []

    def keep(self, node):
        self.made.append((node, node.role, node.text))
        return node

    @rule(target=questions, text=QUESTIONS)
    def ask(self, text):
        return self.keep(self.talk.ask(text))

    @rule(target=questions, text=QUESTIONS, old=questions)
    def edit(self, text, old):
        node = self.keep(self.talk.ask(text, instead_of=old))
        assert node.parent is old.parent
        return node

    @rule(target=answers, text=TEXTS, question=questions)
    def answer(self, text, question):
        return self.keep(self.talk.answer(question, text))

    @rule(node=st.one_of(questions, answers), by=st.integers(-2, 2))
    def step(self, node, by):
        found = self.talk.step(node, by)
        assert found in self.talk.branch
        assert found in node.siblings

    @rule(node=st.one_of(questions, answers), hidden=st.booleans())
    def hide(self, node, hidden):
        self.talk.hide(node, hidden=hidden)
        assert question_of(node).hidden is hidden

    @rule()
    def adopt_itself(self):
        messages = self.talk.messages()
        before = len(self.talk)
        self.talk.adopt(messages)
        assert self.talk.messages() == messages or any(n.hidden for n in self.talk.branch)
        self.made += [(n, n.role, n.text) for n in list(self.talk)[before:]]

    @rule(texts=st.lists(QUESTIONS, max_size=4))
    def adopt_another(self, texts):
        before = len(self.talk)
        roles = ["user", "assistant"] * 2
        self.talk.adopt([LLMMessage(role, text) for role, text in zip(roles, texts, strict=False)])
        assert [node.text for node in self.talk.branch] == texts
        self.made += [(n, n.role, n.text) for n in list(self.talk)[before:]]

    @invariant()
    def nothing_is_lost(self):
        assert len(self.talk) == len(self.made)
        for node, role, text in self.made:
            assert self.talk.find(node.number) is node
            assert (node.role, node.text) == (role, text)
            assert node in node.siblings

    @invariant()
    def what_is_shown_alternates(self):
        roles = [node.role for node in self.talk.branch]
        assert roles == [("user", "assistant")[n % 2] for n in range(len(roles))]

    @invariant()
    def what_is_sent_alternates_and_has_text(self):
        for question in [node for node in self.talk if node.role == "user"]:
            sent = self.talk.context(question)
            assert [n.role for n in sent] == [("user", "assistant")[n % 2] for n in range(len(sent))]
            assert sent[-1] is question
            assert all(node.text.strip() for node in sent)
            assert not any(question_of(node).hidden for node in sent[:-1])


TestTalking = Talking.TestCase


def test_any_message_can_be_shown_again():
    talk = Conversation()
    first = talk.answer(talk.ask("one"), "1")
    talk.ask("two", instead_of=talk.branch[0])
    talk.show(first)
    assert [node.text for node in talk.branch] == ["one", "1"]


def test_a_question_after_a_failed_answer_follows_it_and_leaves_the_turn_out():
    talk = Conversation()
    talk.answer(talk.ask("lost"), "", state="error")
    question = talk.ask("next")
    assert [node.text for node in talk.branch] == ["lost", "", "next"]
    assert talk.context(question) == [question]


def test_numbers_that_a_front_end_makes_up_find_nothing():
    talk = Conversation()
    talk.ask("one")
    assert [talk.find(number) for number in (0, -1, 2, "1", None, 1.0, [])] == [None] * 7
