"""Parts of messages and answers."""

import json

import pytest

from llmkit import LLMMessage, LLMResponse
from llmkit.content.attachments import Attachment
from llmkit.content.messages import parts_of, shown_to
from llmkit.content.parts import part_of, values_of
from llmkit.parts import Citation, Media, Other, Reasoning, Text, ToolCall, ToolResult

GIF = Attachment("image/gif", b"GIF89a...", "dot.gif")
SOUND = Attachment("audio/wav", b"\x01\x02")
EVERY = [
    Text("Hi", {"phase": "final"}, "openai"),
    Reasoning("Hm.", {"signature": "s"}, "anthropic"),
    ToolCall("c1", "add", {"a": 1}),
    ToolCall("c2", "add", raw='{"a": '),
    ToolResult("c1", "add", "3", is_error=True, attachments=(GIF,)),
    Citation("Rivers", "https://example.org", "long", 0, 2),
    Media(GIF),
    Media(SOUND, {"audio": {"id": "a"}}, "openai"),
    Other("web_search_call", {"type": "web_search_call"}),
]


@pytest.mark.parametrize("part", EVERY, ids=lambda part: type(part).__name__)
def test_a_part_survives_a_file(part):
    assert part_of(json.loads(json.dumps(values_of(part)))) == part


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"part": "nothing"},
        {"part": "text"},
        {"part": "text", "text": 3},
        {"part": "text", "text": "x", "more": 1},
        {"part": "text", "text": "", "opaque": []},
        {"part": "media", "attachment": {}},
    ],
)
def test_values_that_are_no_part_are_refused(values):
    with pytest.raises(ValueError, match="part"):
        part_of(values)


class TestToolCall:
    def test_no_arguments_are_an_empty_object(self):
        assert ToolCall("1", "now").arguments == {}

    @pytest.mark.parametrize("raw", ["[1]", "3", '{"a"', "null"])
    def test_what_is_not_an_object_has_no_arguments(self, raw):
        assert ToolCall("1", "now", raw=raw).arguments is None

    def test_changed_arguments_win_over_the_text(self):
        changed = part_of(values_of(ToolCall("1", "add", {"a": 2}, '{"a": 1}')))
        assert changed.arguments == {"a": 2}


class TestMessage:
    def test_the_content_is_the_text_of_the_parts(self):
        message = LLMMessage("assistant", parts=(Text("Let me look."), ToolCall("1", "look"), Text("Found.")))
        assert message.content == "Let me look.\n\nFound."

    def test_a_message_without_text_has_blank_content(self):
        assert LLMMessage("assistant", parts=[ToolCall("1", "look")]).content == ""

    @pytest.mark.parametrize(
        ("role", "part"),
        [("user", ToolCall("1", "f")), ("assistant", ToolResult("1", "f", "x")), ("system", Reasoning("x"))],
    )
    def test_a_part_of_another_role_is_refused(self, role, part):
        with pytest.raises(ValueError, match="cannot have"):
            LLMMessage(role, parts=(part,))

    def test_a_different_content_is_refused(self):
        with pytest.raises(ValueError, match="different"):
            LLMMessage("user", "Hi", parts=(Text("Hello"),))

    @pytest.mark.parametrize("parts", [(Text(" "),), (Text(""),)])
    def test_blank_text_alone_is_refused(self, parts):
        with pytest.raises(ValueError, match="empty"):
            LLMMessage("user", parts=parts)

    def test_what_is_not_a_part_is_refused(self):
        with pytest.raises(TypeError, match="not a part"):
            LLMMessage("user", parts=("Hi",))

    def test_a_message_of_text_is_as_it_was(self):
        assert repr(LLMMessage("user", "Hi")) == "LLMMessage(role='user', content='Hi')"

    def test_changed_content_stays_behind_the_reasoning(self):
        hidden, call = Reasoning("", {"type": "thinking", "signature": "x"}), ToolCall("1", "look")
        message = LLMMessage("assistant", parts=(hidden, Text("Let me look."), call))
        message.content = "I look."
        assert parts_of(message) == (hidden, Text("I look."), call)

    def test_changed_content_takes_the_place_of_the_texts(self):
        message = LLMMessage("assistant", parts=(Text("Hi"), ToolCall("1", "f")))
        message.content = "Hello"
        assert parts_of(message) == (Text("Hello"), ToolCall("1", "f"))

    def test_private_data_stays_with_its_provider(self):
        parts = (Reasoning("Hm.", {"signature": "s"}, "anthropic"), Text("Hi", {"x": 1}, "anthropic"))
        (own,) = shown_to([LLMMessage("assistant", parts=parts)], "anthropic")
        (foreign,) = shown_to([LLMMessage("assistant", parts=parts)], "openai")
        assert own.parts == parts
        assert [part.opaque for part in foreign.parts] == [None]


class TestResponse:
    def test_text_alone_is_one_part(self):
        assert LLMResponse("Hi", "openai", "m").parts == (Text("Hi"),)

    def test_an_empty_response_has_no_part(self):
        assert LLMResponse("", "openai", "m").parts == ()

    def test_the_views_follow_the_order(self):
        parts = (*EVERY[:4], EVERY[5], EVERY[6], Other("alternative", {"text": "Hey"}))
        response = LLMResponse("Hi", "openai", "m", parts=parts)
        assert [call.id for call in response.tool_calls] == ["c1", "c2"]
        assert response.reasoning == "Hm."
        assert [source.title for source in response.citations] == ["Rivers"]
        assert response.media == (GIF,)
        assert response.alternatives == ("Hey",)
        assert response.message.parts == parts[:-1]

    def test_reasoning_between_think_tags_is_reasoning(self):
        assert LLMResponse("<think>Hm.</think>Hi", "ollama", "m").reasoning == "Hm."

    def test_there_may_be_no_reasoning(self):
        assert LLMResponse("Hi", "openai", "m").reasoning is None
