"""The parts of answers in three wire formats, and their way back."""

import json

import pytest

from llmkit import LLMMessage
from llmkit.content.attachments import Attachment
from llmkit.parts import Citation, Media, Other, Reasoning, Text, ToolCall, ToolResult
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.assembly import assembled
from llmkit.providers.codec import Answer, Request
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec

CHAT, MESSAGES, GEMINI = OpenAICodec(), AnthropicCodec(), GoogleCodec()
PIXEL = "R0lGODlhAQABAAAAACw="
CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
REDACTED = {"type": "redacted_thinking", "data": "xyz"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"encrypted_content": "e"}]}
CITED = {"type": "web_search_result_location", "url": "https://e.org", "title": "E", "cited_text": "q"}
GEMINI_THOUGHT = {"thought": True, "text": "Hm."}
GEMINI_CALL = {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "s1"}
GEMINI_SIGNED = {"text": "So.", "thoughtSignature": "s2"}
GEMINI_CODE = {"executableCode": {"language": "PYTHON", "code": "1+1"}, "thoughtSignature": "s3"}


def whole(codec, body, provider="p"):
    answer = Answer(codec=codec)
    text = codec.decode_body(json.dumps(body).encode(), answer)
    answer.texts.append(text)
    return text, assembled(answer, provider)


def streamed(codec, *events, provider="p"):
    answer = Answer(codec=codec)
    for event in events:
        if text := codec.decode(json.dumps(event).encode(), answer):
            answer.texts.append(text)
    return "".join(answer.texts), assembled(answer, provider)


def sent(codec, *messages):
    question = LLMMessage("user", "Go on.")
    return codec.encode(Request(messages=(question, *messages), model="gemini-2.5-flash")).body


def back(codec, parts):
    return sent(codec, LLMMessage("assistant", parts=parts))


def shapes(parts):
    return [(type(part).__name__, getattr(part, "text", getattr(part, "name", ""))) for part in parts]


class TestChatCompletions:
    def body(self, **message):
        return {
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]
        }

    def delta(self, **delta):
        return {"choices": [{"index": 0, "delta": delta}]}

    def test_reasoning_text_and_calls_come_in_this_order(self):
        _, parts = whole(CHAT, self.body(content="So.", reasoning_content="Hm.", tool_calls=[CHAT_CALL]))
        assert shapes(parts) == [("Reasoning", "Hm."), ("Text", "So."), ("ToolCall", "add")]

    def test_a_stream_has_the_same_parts(self):
        first = {**CHAT_CALL, "index": 0, "function": {"name": "add", "arguments": ""}}
        more = {"index": 0, "function": {"arguments": '{"a": 1}'}}
        text, parts = streamed(
            CHAT,
            self.delta(reasoning_content="H"),
            self.delta(reasoning_content="m."),
            self.delta(content="S"),
            self.delta(content="o."),
            self.delta(tool_calls=[first]),
            self.delta(tool_calls=[more]),
        )
        assert text == "So."
        assert (
            parts == whole(CHAT, self.body(content="So.", reasoning_content="Hm.", tool_calls=[CHAT_CALL]))[1]
        )

    def test_what_came_out_goes_back_in(self):
        message = {"content": "So.", "reasoning_content": "Hm.", "tool_calls": [CHAT_CALL]}
        _, parts = whole(CHAT, self.body(**message))
        assert back(CHAT, parts)["messages"][1] == {"role": "assistant", **message}

    def test_reasoning_as_text_goes_back_only_with_calls(self):
        _, parts = whole(CHAT, self.body(content="So.", reasoning_content="Hm."))
        assert back(CHAT, parts)["messages"][1] == {"role": "assistant", "content": "So."}

    def test_signed_reasoning_always_goes_back(self):
        details = [{"type": "reasoning.text", "text": "Hm.", "signature": "s"}]
        _, parts = whole(CHAT, self.body(content="So.", reasoning="Hm.", reasoning_details=details))
        assert [part.text for part in parts if isinstance(part, Reasoning)] == ["Hm.", ""]
        assert back(CHAT, parts)["messages"][1]["reasoning_details"] == details

    def test_each_result_is_a_message(self):
        results = (ToolResult("1", "add", "3"), ToolResult("2", "add", "4"))
        messages = sent(CHAT, LLMMessage("user", parts=results))["messages"]
        assert messages[1:] == [
            {"role": "tool", "tool_call_id": "1", "content": "3"},
            {"role": "tool", "tool_call_id": "2", "content": "4"},
        ]

    def test_an_image_of_a_result_follows_in_a_message(self):
        result = ToolResult("1", "plot", "done", attachments=(Attachment("image/gif", b"GIF89a"),))
        messages = sent(CHAT, LLMMessage("user", parts=(result,)))["messages"]
        assert messages[2]["content"][0]["type"] == "image_url"

    def test_sources_have_their_place(self):
        cited = {"url": "https://e.org", "title": "E", "start_index": 0, "end_index": 3}
        _, parts = whole(
            CHAT, self.body(content="So.", annotations=[{"type": "url_citation", "url_citation": cited}])
        )
        assert parts == (Text("So."), Citation("E", "https://e.org", None, 0, 3))

    def test_an_image_is_an_attachment(self):
        image = {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{PIXEL}"}}
        _, parts = whole(CHAT, self.body(content="Here:", images=[image]))
        assert parts[1].attachment.media_type == "image/gif"

    def test_an_image_at_an_address_is_not_loaded(self):
        image = {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}}
        _, parts = whole(CHAT, self.body(content="Here:", images=[image]))
        assert parts[1] == Other("image_url", image, provider="p")

    def test_further_candidates_are_alternatives(self):
        choices = [{"index": n, "message": {"content": text}} for n, text in enumerate(["A", "B", "C"])]
        _, parts = whole(CHAT, {"choices": choices})
        assert [part.data["text"] for part in parts if isinstance(part, Other)] == ["B", "C"]

    def test_a_call_without_an_identifier_gets_one(self):
        call = {"function": {"name": "add", "arguments": {"a": 1}}}
        _, parts = whole(CHAT, self.body(content=None, tool_calls=[call]))
        assert parts[0].id
        assert parts[0].arguments == {"a": 1}


class TestMessages:
    def blocks(self):
        text = {"type": "text", "text": "So.", "citations": [CITED]}
        first = {"type": "text", "text": "Let me see."}
        return [THINKING, REDACTED, first, SEARCH, FOUND, text, USE]

    def body(self, blocks):
        return {"type": "message", "role": "assistant", "content": blocks, "stop_reason": "tool_use"}

    def events(self, blocks):
        for index, block in enumerate(blocks):
            kind = block["type"]
            empty = {
                "text": {"text": ""},
                "thinking": {"thinking": "", "signature": ""},
                "tool_use": {"input": {}},
            }
            start = {name: value for name, value in block.items() if name != "citations"} | empty.get(
                kind, {}
            )
            yield {"type": "content_block_start", "index": index, "content_block": start}
            for delta in self.deltas(block):
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}

    def deltas(self, block):
        if block["type"] == "text":
            yield from ({"type": "citations_delta", "citation": one} for one in block.get("citations", ()))
            yield from ({"type": "text_delta", "text": letter} for letter in block["text"])
        if block["type"] == "thinking":
            yield {"type": "thinking_delta", "thinking": block["thinking"]}
            yield {"type": "signature_delta", "signature": block["signature"]}
        if block["type"] == "tool_use":
            yield from (
                {"type": "input_json_delta", "partial_json": one} for one in json.dumps(block["input"])
            )

    def test_all_blocks_are_parts_in_order(self):
        text, parts = whole(MESSAGES, self.body(self.blocks()))
        assert text == "Let me see.\n\nSo."
        assert [type(part) for part in parts] == [
            Reasoning,
            Reasoning,
            Text,
            Other,
            Other,
            Text,
            Citation,
            ToolCall,
        ]
        assert [part.text for part in parts if isinstance(part, Text)] == ["Let me see.", "So."]
        assert parts[6] == Citation("E", "https://e.org", "q")

    def test_a_stream_has_the_same_parts(self):
        assert streamed(MESSAGES, *self.events(self.blocks())) == whole(MESSAGES, self.body(self.blocks()))

    def test_what_came_out_goes_back_in(self):
        _, parts = streamed(MESSAGES, *self.events(self.blocks()))
        assert back(MESSAGES, parts)["messages"][1]["content"] == self.blocks()

    def test_a_search_before_the_first_text_does_not_cut_the_text(self):
        blocks = [SEARCH, FOUND, {"type": "text", "text": "So it is."}]
        text, _ = streamed(MESSAGES, *self.events(blocks))
        assert text == "So it is."

    def test_results_come_before_the_text(self):
        result = ToolResult("toolu_1", "add", "no", is_error=True)
        content = sent(MESSAGES, LLMMessage("user", parts=(Text("Now?"), result)))["messages"][1]["content"]
        failed = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no", "is_error": True}
        assert content == [failed, {"type": "text", "text": "Now?"}]

    def test_unsigned_reasoning_of_another_provider_stays_here(self):
        content = back(MESSAGES, (Reasoning("Hm."), Text("So.")))["messages"][1]["content"]
        assert content == [{"type": "text", "text": "So."}]

    def test_arguments_that_broke_off_are_kept(self):
        events = list(self.events([USE]))[:-3]
        _, parts = streamed(MESSAGES, *events)
        assert parts[0].arguments is None
        assert parts[0].raw


class TestGemini:
    def body(self, *parts, **candidate):
        return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **candidate}]}

    def test_all_parts_come_in_order(self):
        text, parts = whole(
            GEMINI, self.body(GEMINI_THOUGHT, GEMINI_SIGNED, {"text": "More."}, GEMINI_CODE, GEMINI_CALL)
        )
        assert text == "So.More."
        assert shapes(parts)[:3] == [("Reasoning", "Hm."), ("Text", "So."), ("Text", "More.")]
        assert [type(part) for part in parts[3:]] == [Other, ToolCall]

    def test_a_stream_has_the_same_parts(self):
        wire = [GEMINI_THOUGHT, GEMINI_SIGNED, {"text": "More."}, GEMINI_CODE, GEMINI_CALL]
        assert streamed(GEMINI, *map(self.body, wire)) == whole(GEMINI, self.body(*wire))

    def test_a_signature_goes_back_on_its_own_part(self):
        wire = [
            {"text": "First. "},
            GEMINI_SIGNED,
            GEMINI_CODE,
            GEMINI_CALL,
            {"text": "", "thoughtSignature": "s4"},
        ]
        _, parts = streamed(GEMINI, *map(self.body, wire))
        assert back(GEMINI, parts)["contents"][1] == {"role": "model", "parts": wire}

    def test_thoughts_stay_here(self):
        _, parts = whole(GEMINI, self.body(GEMINI_THOUGHT, GEMINI_SIGNED))
        assert back(GEMINI, parts)["contents"][1]["parts"] == [GEMINI_SIGNED]

    def test_an_invented_identifier_is_not_sent(self):
        _, parts = whole(GEMINI, self.body(GEMINI_CALL))
        result = ToolResult(parts[0].id, "add", "3")
        assert parts[0].id
        assert sent(GEMINI, LLMMessage("user", parts=(result,)))["contents"][1]["parts"] == [
            {"functionResponse": {"name": "add", "response": {"output": "3"}}}
        ]

    def test_equal_calls_of_an_answer_have_their_own_identifiers_streamed_and_not(self):
        one, other = streamed(GEMINI, self.body(GEMINI_CALL), self.body(GEMINI_CALL))[1]
        assert one.id != other.id
        assert [part.id for part in whole(GEMINI, self.body(GEMINI_CALL, GEMINI_CALL))[1]] == [
            one.id,
            other.id,
        ]
        assert back(GEMINI, [one, other])["contents"][1]["parts"] == [GEMINI_CALL, GEMINI_CALL]

    def test_an_identifier_of_the_server_is_sent(self):
        _, parts = whole(GEMINI, self.body({"functionCall": {"id": "f1", "name": "add", "args": {}}}))
        assert back(GEMINI, parts)["contents"][1]["parts"][0]["functionCall"]["id"] == "f1"
        failed = ToolResult("f1", "add", "no", is_error=True)
        (part,) = sent(GEMINI, LLMMessage("user", parts=(failed,)))["contents"][1]["parts"]
        assert part == {"functionResponse": {"id": "f1", "name": "add", "response": {"error": "no"}}}

    def test_bytes_become_characters(self):
        grounding = {
            "groundingChunks": [{"web": {"uri": "https://e.org", "title": "E"}}],
            "groundingSupports": [
                {"segment": {"startIndex": 8, "endIndex": 13, "text": "Fluß"}, "groundingChunkIndices": [0]}
            ],
        }
        _, parts = whole(
            GEMINI, self.body({"text": "Größe Fluß"}, groundingMetadata=grounding, finishReason="STOP")
        )
        (source,) = [part for part in parts if isinstance(part, Citation)]
        assert "Größe Fluß"[source.start : source.end] == " Fluß"[:5].strip() or (
            source.start,
            source.end,
        ) == (5, 10)

    def test_an_image_goes_back(self):
        image = {"inlineData": {"mimeType": "image/gif", "data": PIXEL}, "thoughtSignature": "s5"}
        _, parts = whole(GEMINI, self.body({"text": "Here:"}, image))
        assert isinstance(parts[1], Media)
        assert back(GEMINI, parts)["contents"][1]["parts"][1] == image

    def test_further_candidates_are_alternatives(self):
        first, second = self.body({"text": "A"})["candidates"][0], self.body({"text": "B"})["candidates"][0]
        text, parts = whole(GEMINI, {"candidates": [first | {"index": 0}, second | {"index": 1}]})
        assert text == "A"
        assert [part.data["text"] for part in parts if isinstance(part, Other)] == ["B"]


@pytest.mark.parametrize("codec", [CHAT, MESSAGES, GEMINI], ids=["chat", "messages", "gemini"])
def test_edited_arguments_are_sent(codec):
    call = ToolCall("1", "add", {"a": 2}, '{"a": 1}')
    written = json.dumps(back(codec, (call,)))
    assert '"a": 2' in written.replace("\\", "")
    assert '"a": 1' not in written.replace("\\", "")


@pytest.mark.parametrize(
    "hidden", [Reasoning("Hm."), Media(Attachment("audio/wav", b"RIFF"))], ids=["reasoning", "sound"]
)
@pytest.mark.parametrize("codec", [MESSAGES, GEMINI], ids=["messages", "gemini"])
def test_a_turn_of_which_nothing_can_be_sent_is_left_out(codec, hidden):
    messages = (
        LLMMessage("user", "Hi"),
        LLMMessage("assistant", parts=(hidden,)),
        LLMMessage("user", "And?"),
    )
    body = codec.encode(Request(messages=messages, model="m")).body
    assert [turn["role"] for turn in body.get("messages") or body["contents"]] == ["user", "user"]
