"""The Responses API, as OpenAI documents it, checked with the types of its SDK."""

import json
from dataclasses import replace

import openai.types.responses as sdk
import pytest
from openai.types.responses.response_input_param import ResponseInputParam
from pydantic import TypeAdapter

from llmkit import InvalidRequestError, LLMMessage, Usage, attach, prices
from llmkit.content.schema import schema_of
from llmkit.core.errors import BadResponseError, RateLimitError
from llmkit.parts import Citation, Media, Other, Reasoning, Text, ToolCall, ToolResult
from llmkit.providers.assembly import assembled
from llmkit.providers.codec import Answer, Request
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.providers.openai_responses import ResponsesCodec
from tests.support.releases import OLDEST

CODEC = ResponsesCodec()
# The oldest SDK knows fewer kinds of items; there it checks nothing.
INPUT = TypeAdapter(object if OLDEST else ResponseInputParam)
EVENT = TypeAdapter(object if OLDEST else sdk.ResponseStreamEvent)
RESPONSE = TypeAdapter(object if OLDEST else sdk.Response)
HELLO = (LLMMessage("system", "Be brief."), LLMMessage("user", "Hello"))
PIXEL = "R0lGODlhAQABAAAAACw="
DETAILS = {
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 3},
}
USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18, **DETAILS}

THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "So be it."}],
    "encrypted_content": "gAAA",
}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}
NOTE = {"type": "url_citation", "url": "https://e.org", "title": "E", "start_index": 0, "end_index": 5}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "add",
    "arguments": '{"a": 1}',
    "status": "completed",
}
CUSTOM = {
    "type": "custom_tool_call",
    "id": "ct_1",
    "call_id": "call_2",
    "name": "shell",
    "input": "ls -l",
    "status": "completed",
}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PIXEL}


def message(text, identifier="msg_1", annotations=(), **more):
    block = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {
        "type": "message",
        "id": identifier,
        "role": "assistant",
        "status": "completed",
        "content": [block],
        **more,
    }


EVERYTHING = [
    THOUGHT,
    message("Let me look.", phase="commentary"),
    SEARCH,
    message("Found it.", "msg_2", [NOTE], phase="final_answer"),
    CALL,
    CUSTOM,
    IMAGE,
]


def response(*output, status="completed", **more):
    fixed = {
        "object": "response",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "created_at": 1,
    }
    whole = {
        "id": "resp_1",
        "model": "gpt-6-luna-2026",
        "status": status,
        "output": list(output),
        "usage": USAGE,
        **fixed,
    }
    RESPONSE.validate_python(whole | more)
    return whole | more


def usage_of_images(asked, drawn):
    image = {
        "input_tokens": asked,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": asked},
        "output_tokens": drawn,
        "total_tokens": asked + drawn,
    }
    return {"image_gen": image, "web_search": {"num_requests": 0}}


def whole(*output, **more):
    answer = Answer(codec=CODEC)
    text = CODEC.decode_body(json.dumps(response(*output, **more)).encode(), answer)
    answer.texts.append(text)
    return text, answer


def events(*output, final="response.completed", **more):
    """Yield the events of a streamed answer, in the order of the documentation."""
    yield {"type": "response.created", "response": response(status="in_progress", usage=None)}
    for index, item in enumerate(output):
        place = {"output_index": index, "item_id": item["id"]}
        yield {"type": "response.output_item.added", "output_index": index, "item": begun(item)}
        yield from deltas(item, place)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": final, "response": response(*output, **more)}


def begun(item):
    empty = {
        "content": [],
        "summary": [],
        "arguments": "",
        "input": "",
        "result": None,
        "encrypted_content": None,
    }
    return {**item, **{name: value for name, value in empty.items() if name in item}}


def deltas(item, place):
    for number, block in enumerate(item.get("summary", ())):
        at = {**place, "summary_index": number}
        yield {
            "type": "response.reasoning_summary_part.added",
            **at,
            "part": {"type": "summary_text", "text": ""},
        }
        for letter in block["text"]:
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": letter}
    for number, block in enumerate(item.get("content", ())):
        at = {**place, "content_index": number}
        yield {"type": "response.content_part.added", **at, "part": {**block, "text": "", "annotations": []}}
        for letter in block["text"]:
            yield {"type": "response.output_text.delta", **at, "delta": letter, "logprobs": []}
        yield {"type": "response.output_text.done", **at, "text": block["text"], "logprobs": []}
    for name, kind in (("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")):
        for letter in item.get(name, ""):
            yield {"type": f"response.{kind}.delta", **place, "delta": letter}


def streamed(*output, **more):
    return played(list(events(*output, **more)))


def played(found):
    answer = Answer(codec=CODEC)
    for number, event in enumerate(found):
        EVENT.validate_python({**event, "sequence_number": number})
        if text := CODEC.decode(json.dumps(event).encode(), answer):
            answer.texts.append(text)
    return "".join(answer.texts), answer


def parts(answer):
    return assembled(answer, "openai")


def encode(*messages, **fields):
    body = CODEC.encode(Request(messages=messages or HELLO, **{"model": "gpt-6-luna", **fields})).body
    INPUT.validate_python(body["input"])
    return body


class TestReading:
    def test_all_items_are_parts_in_order(self):
        text, answer = whole(*EVERYTHING)
        assert text == "Let me look.\n\nFound it."
        found = parts(answer)
        kinds = [Reasoning, Text, Other, Text, Citation, ToolCall, ToolCall, Media]
        assert [type(part) for part in found] == kinds
        assert found[0].text == "Hm.\n\nSo be it."
        assert [part.text for part in found if isinstance(part, Text)] == ["Let me look.", "Found it."]
        assert text[found[4].start : found[4].end] == "Found"
        assert (found[5].id, found[5].arguments) == ("call_1", {"a": 1})
        assert (found[6].name, found[6].raw) == ("shell", "ls -l")
        assert found[7].attachment.media_type == "image/gif"

    def test_a_stream_has_the_same_parts(self):
        text, answer = streamed(*EVERYTHING)
        assert text == whole(*EVERYTHING)[0]
        assert parts(answer) == parts(whole(*EVERYTHING)[1])

    @pytest.mark.parametrize("read", [whole, streamed])
    def test_tokens_and_ending(self, read):
        _, answer = read(message("Hi"))
        assert answer.usage == Usage(
            input_tokens=11, output_tokens=7, cache_read_tokens=4, cache_write_tokens=0, reasoning_tokens=3
        )
        assert (answer.finish_reason, answer.model, answer.ended) == ("stop", "gpt-6-luna-2026", True)

    def test_tools_of_the_server_are_counted(self):
        image = {
            "input_tokens": 500,
            "output_tokens": 4000,
            "total_tokens": 4500,
            "input_tokens_details": {"image_tokens": 200, "text_tokens": 300},
            "output_tokens_details": {"image_tokens": 3800, "text_tokens": 200},
        }
        tools = [{"type": "image_generation", "model": "gpt-image-1.5"}]
        tool_usage = {"web_search": {"num_requests": 2}, "image_gen": image}
        _, answer = whole(IMAGE, message("Hi"), tool_usage=tool_usage, tools=tools)
        assert answer.usage.units == {
            "web_searches": 2,
            "gpt-image-1.5:input_tokens": 500,
            "gpt-image-1.5:input_image_tokens": 200,
            "gpt-image-1.5:output_tokens": 4000,
            "gpt-image-1.5:output_image_tokens": 3800,
        }
        alone = prices.price("openai", ("gpt-5.4-mini",), replace(answer.usage, units={}))
        price = prices.price("openai", ("gpt-5.4-mini",), answer.usage)
        of_image = (300 * 5 + 200 * 8 + 200 * 10 + 3800 * 32) / 1e6  # gpt-image-1.5
        assert price.usd == pytest.approx(alone.usd + of_image + 2 * 0.01)
        assert price.exact

    @pytest.mark.parametrize(
        ("changes", "units"),
        [
            ({}, {"image_generation:images_not_counted": 1}),
            ({"tools": [{"type": "image_generation", "model": "m"}]}, {"m:images_not_counted": 1}),
            (
                {"tool_usage": usage_of_images(2000, 9)},
                {
                    "image_generation:input_tokens": 2000,
                    "image_generation:output_tokens": 9,
                    "image_generation:output_image_tokens": 9,
                    "image_generation:cache_not_counted": 1,
                },
            ),
        ],
    )
    def test_an_image_whose_price_is_not_known_makes_the_price_incomplete(self, changes, units):
        _, answer = whole(IMAGE, message("Hi"), **changes)
        assert answer.usage.units == units
        assert not prices.price("openai", ("gpt-5.4-mini",), answer.usage).exact

    def test_the_output_of_a_model_for_images_is_images(self):
        tools = [{"type": "image_generation", "model": "gpt-image-2"}]
        _, answer = whole(IMAGE, tools=tools, tool_usage=usage_of_images(500, 4000))
        price = prices.price("openai", ("gpt-5.4-mini",), answer.usage)
        alone = prices.price("openai", ("gpt-5.4-mini",), replace(answer.usage, units={}))
        assert price.usd == pytest.approx(alone.usd + (500 * 5 + 4000 * 30) / 1e6)
        assert price.exact

    def test_searches_without_a_report_are_counted_and_unlisted_fees_are_marked(self):
        search = {"type": "search", "query": "rivers", "queries": ["rivers"]}
        searches = [
            {"type": "web_search_call", "id": f"ws_{n}", "status": "completed", "action": action}
            for n, action in enumerate((search, {"type": "open_page", "url": "https://e.org"}, search))
        ]
        assert whole(*searches, message("Hi"))[1].usage.units == {"web_searches": 2}
        code = {
            "type": "code_interpreter_call",
            "id": "ci_1",
            "status": "completed",
            "code": "1",
            "container_id": "c",
            "outputs": None,
        }
        _, answer = whole(code, message("Hi"))
        assert answer.usage.units == {"server_tools": 1}
        assert not prices.price("openai", ("gpt-5.4-mini",), answer.usage).exact

    @pytest.mark.parametrize("read", [whole, streamed])
    def test_a_call_is_the_finish_reason(self, read):
        assert read(CALL)[1].finish_reason == "tool_calls"

    @pytest.mark.parametrize(
        ("reason", "word"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
    )
    @pytest.mark.parametrize("read", [whole, streamed])
    def test_an_incomplete_answer_says_why(self, read, reason, word):
        more = {"final": "response.incomplete"} if read is streamed else {}
        _, answer = read(message("Hi"), status="incomplete", incomplete_details={"reason": reason}, **more)
        assert answer.finish_reason == word

    @pytest.mark.parametrize("read", [whole, streamed])
    def test_a_failed_answer_is_broken(self, read):
        more = {"final": "response.failed"} if read is streamed else {}
        error = {"code": "rate_limit_exceeded", "message": "Too many tokens."}
        _, answer = read(message("Hi"), status="failed", error=error, **more)
        assert isinstance(answer.broken, RateLimitError)

    def test_an_error_event_is_raised(self):
        with pytest.raises(RateLimitError, match="slow"):
            played([{"type": "error", "code": "rate_limit_exceeded", "message": "Go slow.", "param": None}])

    def test_a_queued_answer_is_refused(self):
        with pytest.raises(BadResponseError, match="background"):
            whole(status="queued")

    @pytest.mark.parametrize("read", [whole, streamed])
    def test_a_refusal_is_text(self, read):
        refused = {**message(""), "content": [{"type": "refusal", "refusal": "No."}]}
        if read is streamed:
            place = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
            stream = [
                {"type": "response.output_item.added", "output_index": 0, "item": {**refused, "content": []}},
                {"type": "response.refusal.delta", **place, "delta": "No."},
                {"type": "response.output_item.done", "output_index": 0, "item": refused},
                {"type": "response.completed", "response": response(refused)},
            ]
            text, answer = played(stream)
        else:
            text, answer = whole(refused)
        assert (text, answer.finish_reason) == ("No.", "refusal")
        assert encode(LLMMessage("assistant", parts=parts(answer)))["input"][0]["content"] == [
            {"type": "refusal", "refusal": "No."}
        ]

    def test_items_that_were_not_streamed_are_read_at_the_end(self):
        text, answer = played([{"type": "response.completed", "response": response(*EVERYTHING)}])
        assert text == whole(*EVERYTHING)[0]
        assert parts(answer) == parts(whole(*EVERYTHING)[1])

    def test_a_search_before_the_first_text_does_not_cut_the_text(self):
        text, answer = streamed(SEARCH, message("Found it."))
        assert text == "Found it."
        assert [type(part) for part in parts(answer)] == [Other, Text]

    def test_arguments_of_a_cut_stream_are_kept(self):
        cut = list(events(CALL))[:-3]
        _, answer = played(cut)
        (call,) = parts(answer)
        assert (call.name, call.arguments) == ("add", None)
        assert call.raw == '{"a": 1'


class TestWriting:
    def test_a_plain_request(self):
        assert encode(max_tokens=100) == {
            "model": "gpt-6-luna",
            "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
            "store": False,
            "max_output_tokens": 100,
            "reasoning": {"summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        }

    def test_a_model_that_does_not_reason_is_not_asked_for_reasoning(self):
        assert not {"reasoning", "include"} & encode(model="gpt-4o").keys()

    def test_what_came_out_goes_back_in(self):
        _, answer = streamed(*EVERYTHING)
        body = encode(HELLO[1], LLMMessage("assistant", parts=parts(answer)))
        sent = [{**item} for item in body["input"][1:]]
        for item in sent:
            for block in item.get("content", ()) if item.get("type") == "message" else ():
                assert block.pop("annotations") == []
        wanted = [json.loads(json.dumps(item)) for item in EVERYTHING]
        for item in wanted:
            for block in item.get("content", ()):
                block.pop("annotations")
        assert sent == wanted

    def test_results_are_items(self):
        calls = LLMMessage("assistant", parts=parts(whole(CALL, CUSTOM)[1]))
        image = ToolResult("call_2", "shell", "see", attachments=(attach(b"GIF89a..."),))
        results = LLMMessage("user", parts=(ToolResult("call_1", "add", "3"), image, Text("And now?")))
        first, second, third = encode(calls, results)["input"][-3:]
        assert first == {"type": "function_call_output", "call_id": "call_1", "output": "3"}
        assert second["type"] == "custom_tool_call_output"
        assert [one["type"] for one in second["output"]] == ["input_text", "input_image"]
        assert third == {"role": "user", "content": "And now?"}

    def test_reasoning_without_its_encrypted_form_stays_here(self):
        _, answer = whole({**THOUGHT, "encrypted_content": None}, message("Hi"))
        assert [one["type"] for one in encode(LLMMessage("assistant", parts=parts(answer)))["input"]] == [
            "message"
        ]

    def test_texts_of_one_message_stay_together(self):
        block = {"type": "output_text", "text": "B", "annotations": []}
        both = {**message("A"), "content": [*message("A")["content"], block]}
        _, answer = whole(both)
        (item,) = encode(LLMMessage("assistant", parts=parts(answer)))["input"]
        assert "".join(one["text"] for one in item["content"]) == "AB"

    def test_another_providers_answer_is_put_simply(self):
        body = encode(LLMMessage("assistant", parts=(Text("Hi"), ToolCall("c1", "add", {"a": 1}))))
        assert body["input"] == [
            {"role": "assistant", "content": "Hi"},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 1}'},
        ]

    def test_a_schema_is_a_format(self):
        schema = schema_of({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
        form = encode(schema=schema)["text"]["format"]
        assert (form["type"], form["strict"]) == ("json_schema", True)
        assert form["schema"]["required"] == ["a"]

    def test_names_of_chat_completions_are_understood(self):
        tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
        choice = {"type": "function", "function": {"name": "add"}}
        extra = {
            "tools": [tool, {"type": "web_search"}],
            "tool_choice": choice,
            "reasoning_effort": "low",
            "verbosity": "low",
        }
        body = encode(extra=extra)
        flat = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}
        assert body["tools"] == [flat, {"type": "web_search"}]
        assert body["tool_choice"] == {"type": "function", "name": "add"}
        assert body["reasoning"] == {"summary": "auto", "effort": "low"}
        assert body["text"] == {"verbosity": "low"}

    @pytest.mark.parametrize("name", ["n", "stop", "seed", "logit_bias"])
    def test_what_the_api_does_not_have_is_refused(self, name):
        with pytest.raises(InvalidRequestError, match=f"does not have {name}"):
            encode(extra={name: 2})

    def test_a_background_answer_is_refused_before_it_is_sent(self):
        with pytest.raises(InvalidRequestError, match="background"):
            encode(extra={"background": True})

    def test_a_refused_summary_leaves_what_was_chosen(self):
        body = encode(extra={"reasoning": {"effort": "low"}}, without=frozenset({"reasoning"}))
        assert body["reasoning"] == {"effort": "low"}
        assert "include" not in body


class TestChoosing:
    def codec(self, api="auto", *, home=True, provider="openai"):
        return OpenAICodec(official=home, api=api, provider=provider, at_home=lambda: home)

    def goes(self, codec, model="gpt-4o", **extra):
        return codec.chosen(Request(messages=HELLO, model=model, extra=extra)) is not codec

    def test_at_openai_it_is_the_responses_api(self):
        assert self.goes(self.codec())

    def test_at_a_compatible_server_it_is_not(self):
        assert not self.goes(self.codec(home=False))

    @pytest.mark.parametrize(("api", "goes"), [("responses", True), ("chat", False)])
    def test_the_user_decides(self, api, goes):
        for home in (True, False):
            assert self.goes(self.codec(api, home=home)) is goes

    def test_what_only_chat_completions_has_goes_there(self):
        assert not self.goes(self.codec(), n=2)

    def test_a_model_of_the_responses_api_alone_never_goes_elsewhere(self):
        assert self.goes(self.codec(), "gpt-5-pro", seed=1)

    def test_xai_has_it_and_groq_has_not(self):
        assert self.goes(self.codec(provider="xai"), "grok-4")
        assert not self.goes(self.codec(provider="groq"), "llama")
