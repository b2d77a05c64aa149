"""What a model writes between think tags is its reasoning: no answer, no code, no table, no turn."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit import BadResponseError, LLMResponse
from llmkit.content.parsing import code_in, parse
from llmkit.content.reasoning import spoken
from llmkit.notebook.chat.conversation import Conversation
from llmkit.notebook.reply import Reply
from tests.support.fixed import Fixed

DRAFT = (
    '<think>\nPerhaps {"total": 1000}, or\n```python\ntotal = 1\n```\n| total |\n|---|\n| 1 |\n'
    "```csv\ntotal\n1\n```\n</think>\n\n"
)
TOTAL = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("42", "42"),
        ("  42\n", "  42\n"),
        ("<think>hm</think>42", "42"),
        ("<think>\nhm\n</think>\n\n42\n", "42"),
        ("<THINK>hm</THINK> 42", "42"),
        ("<thinking>hm</thinking>42", "42"),
        ("<thought>hm</thought>42", "42"),
        ("[THINK]hm[/THINK]42", "42"),
        ("<seed:think>hm</seed:think>42", "42"),
        ("◁think▷hm◁/think▷42", "42"),
        ("hm◁/think▷42", "42"),
        ("<|begin_of_thought|>hm<|end_of_thought|>42", "42"),
        ("<|START_THINKING|>hm<|END_THINKING|>42", "42"),
        ('<think type="slow">hm</think >42', "42"),
        ("The model writes <think> before it answers.", "The model writes <think> before it answers."),
        ("hm\n</think>\n\n42", "42"),
        ("hm</think>42", "42"),
        ("<think>a</think><think>b</think>42", "42"),
        ("<think>a</think>4\n<think>b</think>2", "4\n2"),
        ("<think>I use <think> here</think>42", "42"),
        ("<think>a<think>b</think>c</think>42", "42"),
        ("<think>hm", ""),
        ("42\n<think>hm", "42"),
        ("<think></think>", ""),
        ("The tag `<think>` opens, `</think>` closes.", "The tag `<think>` opens, `</think>` closes."),
        ('{"tag": "<think>x</think>"}', '{"tag": "<think>x</think>"}'),
        ("```html\n<think>x</think>\n```", "```html\n<think>x</think>\n```"),
        ("<thinker>x</thinker>", "<thinker>x</thinker>"),
    ],
)
def test_reasoning_is_left_out_and_tags_that_are_quoted_are_not(text, said):
    assert spoken(text) == said


@given(st.lists(st.sampled_from([*'a<>/`"\n{}', "<think>", "</think>", "```"]), max_size=30))
def test_what_is_left_of_any_text_is_a_part_of_it(pieces):
    text = "".join(pieces)
    rest = iter(text)
    assert all(letter in rest for letter in spoken(text))


def test_a_hundred_thousand_tags_cost_no_time():
    started = time.process_time()
    spoken("<think>a</think>b\n" * 100_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("draft", [DRAFT, DRAFT.removeprefix("<think>"), f"{DRAFT}{DRAFT}"])
class TestReading:
    def test_json_is_read_behind_it(self, draft):
        assert parse(draft + '{"total": 42}', "json") == {"total": 42}
        assert parse(draft + '{"total": 42}', "json", TOTAL) == {"total": 42}

    def test_a_table_is_read_behind_it(self, draft):
        for table in ("| total |\n|---|\n| 42 |", '[{"total": 42}]', "```csv\ntotal\n42\n```"):
            assert parse(draft + table, "df").to_dict("list") == {"total": [42]}

    def test_code_is_read_behind_it(self, draft):
        answer = f"{draft}```python\ntotal = 42\n```"
        assert parse(answer, "code") == code_in(answer) == "total = 42"

    def test_a_reply_reads_behind_it_and_keeps_its_text(self, draft):
        text = f'{draft}```json\n{{"total": 42}}\n```'
        reply = Reply(LLMResponse(text, "ollama", "r1"))
        assert (reply.json(), reply.text) == ({"total": 42}, text)


def test_an_answer_that_was_cut_while_it_thought_is_none():
    with pytest.raises(BadResponseError) as caught:
        parse('<think>Perhaps {"total": 1000}', "json")
    assert caught.value.partial == '<think>Perhaps {"total": 1000}'
    with pytest.raises(BadResponseError):
        parse("<think>| a |\n|---|\n| 1 |", "df")


def test_it_does_not_go_back_to_the_model_in_a_chat():
    with Fixed() as server:
        server.text("m", "<think>hm</think>Lima")
        llmkit.register("thinks", lambda **_: llmkit.OpenAIClient("k", server.url("openai")))
        chat = llmkit.Chat(model="thinks:m")
        chat.ask("First?")
        assert chat.ask("Second?").text == "<think>hm</think>Lima"
        assert [turn["content"] for turn in server.asked[-1]["messages"]] == ["First?", "Lima", "Second?"]


def test_an_answer_of_reasoning_alone_is_no_turn_and_says_so():
    with Fixed() as server:
        server.text("m", "<think>hm</think>")
        llmkit.register("thinks", lambda **_: llmkit.OpenAIClient("k", server.url("openai")))
        chat = llmkit.Chat(model="thinks:m")
        assert chat.ask("First?").response.note == "The answer has no text: only reasoning."
        chat.ask("Second?")
        assert [turn["content"] for turn in server.asked[-1]["messages"]] == ["Second?"]


def test_a_thread_that_a_chat_shares_knows_its_answers_again():
    talk = Conversation()
    talk.answer(talk.ask("First?"), "<think>hm</think>Lima", model="m")
    talk.adopt(talk.messages())
    assert [node.text for node in talk.branch] == ["First?", "<think>hm</think>Lima"]
    assert len(talk.branch[0].siblings) == len(talk.branch[1].siblings) == 1


@pytest.mark.kernel
def test_it_is_in_neither_the_thread_nor_the_next_cell(tmp_path):
    from tests.support.kernels import Kernel

    answer = f"{DRAFT}Do:\n```python\ntotal = 42\n```"
    with Fixed() as server:
        server.text("m", answer)
        kernel = Kernel(tmp_path, LLMKIT_LEDGER=":memory:", **server.environment)
        try:
            kernel.run("%load_ext llmkit")
            made = kernel.run("%%llm -c -t talk openai:m\nFirst?")
            [inserted] = [one["text"] for one in made.reply["payload"] if one["source"] == "set_next_input"]
            assert inserted.endswith("total = 42")
            assert "total = 1\n" not in inserted
            kernel.run("%%llm -t talk openai:m\nSecond?")
            roles = [turn["content"] for turn in server.asked[-1]["messages"]]
            assert roles[-2:] == ["Do:\n```python\ntotal = 42\n```", "Second?"]
        finally:
            kernel.close()
