"""Tools, reasoning, sources and images of the sandbox by the providers' own SDKs."""

import base64
import io

import anthropic
import openai
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google import genai
from google.genai import errors, types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from PIL import Image
from pydantic import TypeAdapter

from llmkit import sandbox

SUM = "What is 17 * 23?"
TWO = "What is 17 * 23 and 4 + 5?"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
DESCRIBED = {"multiply": "Multiply two numbers.", "add": "Add two numbers."}
EVENT = TypeAdapter(RawMessageStreamEvent)


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


# --- Chat Completions


@pytest.fixture
async def chat(server):
    async with openai.AsyncOpenAI(api_key="x", base_url=server.url("openai"), max_retries=0) as made:
        yield made


def chat_tools():
    named = ({"name": name, "description": text, "parameters": SCHEMA} for name, text in DESCRIBED.items())
    return [{"type": "function", "function": function} for function in named]


async def complete(client, messages, model="sandbox", **settings):
    messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    answer = await client.chat.completions.create(model=model, messages=messages, **settings)
    return ChatCompletion.model_validate(answer.to_dict()).choices[0]


async def chat_loop(client, model="sandbox-thinking", question=TWO, change=lambda messages: None):
    first = await complete(client, question, model, tools=chat_tools())
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": str(n)}
        for n, call in enumerate(first.message.tool_calls, 391)
    ]
    messages = [{"role": "user", "content": question}, first.message.to_dict(), *results]
    change(messages)
    return first, await complete(client, messages, model, tools=chat_tools())


async def test_chat_calls_and_answers(chat):
    first, last = await chat_loop(chat)
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    assert [(one.function.name, one.function.arguments) for one in first.message.tool_calls] == [
        ("multiply", '{"a": 17, "b": 23}'),
        ("add", '{"a": 4, "b": 5}'),
    ]
    assert last.message.content == "- multiply(a=17, b=23) gives 391.\n- add(a=4, b=5) gives 392."
    assert last.finish_reason == "stop"


async def test_chat_streams_calls_and_reasoning(chat):
    chunks = [
        ChatCompletionChunk.model_validate(chunk.to_dict())
        async for chunk in await chat.chat.completions.create(
            model="sandbox-thinking",
            messages=[{"role": "user", "content": SUM}],
            tools=chat_tools(),
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    parts = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    assert (parts[0].function.name, "".join(one.function.arguments for one in parts)) == (
        "multiply",
        '{"a": 17, "b": 23}',
    )
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought.startswith(
        "The question is about “17 × 23”. The tool multiply can find that out; I call it."
    )
    usage = chunks[-1].usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda messages: messages.pop(2), "did not have response messages: call_"),
        (lambda messages: messages.pop(1), "must be a response to a preceding message"),
        (
            lambda messages: messages[1].update(reasoning_content="x"),
            "Missing or changed `reasoning_content`",
        ),
        (lambda messages: messages[1].pop("reasoning_content"), "Missing or changed `reasoning_content`"),
    ],
)
async def test_chat_refuses_a_broken_loop(chat, change, why):
    with pytest.raises(openai.BadRequestError, match=why):
        await chat_loop(chat, change=change)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tools": [{"type": "magic"}]}, "Supported values are: 'function'"),
        ({"tool_choice": "required"}, "only allowed when 'tools' are specified"),
        ({"tools": chat_tools(), "tool_choice": "pow"}, "Tool choice 'pow' not found"),
        ({"tools": chat_tools() * 2}, "must be unique"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
            "Invalid schema",
        ),
    ],
)
async def test_chat_refuses_tools_that_the_api_refuses(chat, settings, why):
    with pytest.raises(openai.BadRequestError, match=why):
        await complete(chat, SUM, **settings)


@pytest.mark.parametrize(
    "body",
    [
        {"tools": 5},
        {"response_format": "json"},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": "f"}]}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": 5}}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"required": [5]}}}]},
    ],
)
async def test_a_field_of_a_wrong_type_is_a_bad_request(chat, body):
    with pytest.raises(openai.BadRequestError):
        await complete(chat, SUM, extra_body=body)


async def test_the_choice_of_a_tool_is_kept(chat):
    choice = {"type": "function", "function": {"name": "add"}}
    forced = await complete(chat, SUM, tools=chat_tools(), tool_choice=choice)
    assert forced.message.tool_calls[0].function.name == "add"
    assert (await complete(chat, SUM, tools=chat_tools(), tool_choice="none")).message.tool_calls is None
    assert (await complete(chat, "Hello", tools=chat_tools())).message.tool_calls is None
    required = await complete(chat, "Hello", tools=chat_tools(), tool_choice="required")
    assert len(required.message.tool_calls) == 1


async def test_one_call_at_a_time(chat):
    first, last = await chat_loop(chat, question="Multiply 17 and 23, then add 4 and 5")
    assert [one.function.name for one in first.message.tool_calls] == ["multiply"]
    assert [one.function.name for one in last.message.tool_calls] == ["add"]
    alone = await complete(chat, TWO, tools=chat_tools(), parallel_tool_calls=False)
    assert len(alone.message.tool_calls) == 1


async def test_calls_that_do_not_fit_into_the_limit_are_left_out(chat):
    answer = await complete(chat, SUM, tools=chat_tools(), max_completion_tokens=3)
    assert (answer.finish_reason, answer.message.tool_calls) == ("length", None)


async def test_a_failed_result_is_reported(chat):
    _, last = await chat_loop(
        chat, question=SUM, change=lambda messages: messages[2].update(content="ValueError: too large")
    )
    assert last.message.content == "multiply(a=17, b=23) failed: ValueError: too large"


async def test_the_effort_decides_how_long_a_model_thinks(chat):
    def length(choice):
        return len(choice.message.reasoning_content)

    low, high = [await complete(chat, SUM, reasoning_effort=effort) for effort in ("low", "high")]
    assert 0 < length(low) < length(high)
    assert not hasattr((await complete(chat, SUM, reasoning_effort="none")).message, "reasoning_content")


async def test_chat_has_sources_and_an_image(chat):
    cited = await complete(chat, "Search for the tides", web_search_options={})
    assert cited.message.annotations[0].url_citation.url.startswith("https://example.org/")
    drawn = await complete(chat, "Draw a boat", extra_body={"modalities": ["text", "image"]})
    url = drawn.message.images[0]["image_url"]["url"]
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).format == "PNG"


# --- Messages


@pytest.fixture
async def claude(server):
    async with anthropic.AsyncAnthropic(api_key="x", base_url=server.url("anthropic"), max_retries=0) as made:
        yield made


def claude_tools():
    return [{"name": name, "description": text, "input_schema": SCHEMA} for name, text in DESCRIBED.items()]


async def message(client, messages, model="sandbox", **settings):
    messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    settings = {"max_tokens": 4000, **settings}
    answer = await client.messages.create(model=model, messages=messages, **settings)
    return Message.model_validate(answer.to_dict())


async def claude_loop(client, change=lambda messages: None, **settings):
    settings = {"tools": claude_tools(), "model": "sandbox-thinking", **settings}
    first = await message(client, TWO, **settings)
    content = [block.to_dict() for block in first.content]
    used = [block for block in content if block["type"] == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": str(n)}
        for n, block in enumerate(used, 391)
    ]
    messages = [
        {"role": "user", "content": TWO},
        {"role": "assistant", "content": content},
        {"role": "user", "content": results},
    ]
    change(messages)
    return first, await message(client, messages, **settings)


async def test_messages_call_and_answer(claude):
    first, last = await claude_loop(claude)
    assert [block.type for block in first.content] == ["thinking", "tool_use", "tool_use"]
    assert [block.input for block in first.content[1:]] == [{"a": 17, "b": 23}, {"a": 4, "b": 5}]
    assert first.stop_reason == "tool_use"
    assert last.content[1].text == "- multiply(a=17, b=23) gives 391.\n- add(a=4, b=5) gives 392."


@pytest.mark.parametrize(
    "settings",
    [
        {"messages": TWO, "tools": claude_tools(), "thinking": {"type": "enabled", "budget_tokens": 1024}},
        {
            "messages": "Search for the tides",
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        },
    ],
)
async def test_the_streamed_blocks_are_the_plain_ones(claude, settings):
    def without_ids(content):
        changing = {"id": 0, "tool_use_id": 0, "parsed_output": 0}
        return [
            {name: one for name, one in {**block.to_dict(), **changing}.items() if one} for block in content
        ]

    plain = await message(claude, **settings)
    settings["messages"] = [{"role": "user", "content": settings["messages"]}]
    async with claude.messages.stream(model="sandbox", max_tokens=4000, **settings) as events:
        final = await events.get_final_message()
    assert without_ids(final.content) == without_ids(plain.content)
    assert final.usage == plain.usage
    raw = await claude.messages.create(model="sandbox", max_tokens=4000, stream=True, **settings)
    assert [EVENT.validate_python(event.to_dict()) async for event in raw]


async def test_an_empty_display_keeps_the_signature(claude):
    thinking = {"type": "adaptive", "display": "omitted"}
    first, last = await claude_loop(claude, model="sandbox", thinking=thinking)
    assert first.content[0].thinking == ""
    assert first.usage.output_tokens_details.thinking_tokens > 0
    assert last.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda talk: talk[1]["content"][0].update(signature="AAAA"),
            "messages.1.content.0: Invalid `signature`",
        ),
        (
            lambda talk: talk[1]["content"][0].update(thinking="Hm."),
            "Invalid `signature` in `thinking` block",
        ),
        (lambda talk: talk[2]["content"].pop(), "without `tool_result` blocks immediately after: toolu_"),
        (lambda talk: talk.pop(1), "unexpected `tool_use_id` found"),
    ],
)
async def test_messages_refuse_a_broken_loop(claude, change, why):
    with pytest.raises(anthropic.BadRequestError, match=why):
        await claude_loop(claude, change)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tools": [{"name": "f"}]}, "input_schema: Field required"),
        ({"tools": claude_tools(), "tool_choice": {"type": "tool", "name": "pow"}}, "Tool 'pow' not found"),
        ({"tools": claude_tools(), "tool_choice": {"type": "every"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "greater than or equal to 1024"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 4000}},
            "must be greater than `thinking.budget_tokens`",
        ),
    ],
)
async def test_messages_refuse_what_the_api_refuses(claude, settings, why):
    with pytest.raises(anthropic.BadRequestError, match=why):
        await message(claude, SUM, **settings)


async def test_messages_cite_pages_that_must_come_back_unchanged(claude):
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    answer = await message(claude, "Search for the tides", tools=tools)
    content = [block.to_dict() for block in answer.content]
    assert [block["type"] for block in content[:3]] == ["server_tool_use", "web_search_tool_result", "text"]
    cited = [one for block in content for one in block.get("citations") or ()]
    assert [one["url"].rpartition("/")[0] for one in cited] == [
        "https://example.org",
        "https://example.org/more",
    ]
    assert answer.usage.server_tool_use.web_search_requests == 1
    talk = [
        {"role": "user", "content": "Search for the tides"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "echo: thanks"},
    ]
    assert (await message(claude, talk)).content[0].text == "thanks"
    content[1]["content"][0]["encrypted_content"] = "AAAA"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `encrypted_content`"):
        await message(claude, talk)


async def test_the_tools_count_as_input(claude):
    counted = await claude.messages.count_tokens(
        model="sandbox", messages=[{"role": "user", "content": SUM}], tools=claude_tools()
    )
    assert counted.input_tokens == (await message(claude, SUM, tools=claude_tools())).usage.input_tokens > 30


# --- Gemini


@pytest.fixture
async def gemini(server):
    options = types.HttpOptions(
        base_url=server.url("google"),
        api_version="v1beta",
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    made = genai.Client(api_key="x", http_options=options)
    async with made.aio as asynchronous:
        yield asynchronous
    made.close()


def gemini_tools():
    return [
        {
            "function_declarations": [
                {"name": name, "description": text, "parameters_json_schema": SCHEMA}
                for name, text in DESCRIBED.items()
            ]
        }
    ]


NO_LOOP = {"automatic_function_calling": {"disable": True}}


async def generate(client, contents, model="sandbox", **config):
    config = {**NO_LOOP, **config}
    return await client.models.generate_content(model=model, contents=contents, config=config)


async def streamed(client, contents, model="sandbox", **config):
    chunks = await client.models.generate_content_stream(
        model=model, contents=contents, config={**NO_LOOP, **config}
    )
    return [part async for chunk in chunks for part in chunk.candidates[0].content.parts or ()]


async def gemini_loop(client, change=lambda contents: None, model="sandbox-thinking"):
    first = await generate(client, TWO, model, tools=gemini_tools())
    results = [
        types.Part.from_function_response(name=call.name, response={"output": str(n)})
        for n, call in enumerate(first.function_calls, 391)
    ]
    contents = [
        types.Content(role="user", parts=[types.Part(text=TWO)]),
        first.candidates[0].content,
        types.Content(role="user", parts=results),
    ]
    change(contents)
    return first, await generate(client, contents, model, tools=gemini_tools())


async def test_gemini_calls_and_answers(gemini):
    first, last = await gemini_loop(gemini)
    assert [(call.name, call.args, call.id) for call in first.function_calls] == [
        ("multiply", {"a": 17, "b": 23}, None),
        ("add", {"a": 4, "b": 5}, None),
    ]
    assert [bool(part.thought_signature) for part in first.candidates[0].content.parts[1:]] == [True, False]
    assert last.text == "- multiply(a=17, b=23) gives 391.\n- add(a=4, b=5) gives 392."
    assert first.usage_metadata.thoughts_token_count > 0


async def test_gemini_streams_the_parts_of_the_plain_answer(gemini):
    config = {"tools": gemini_tools(), "thinking_config": {"include_thoughts": True}}
    plain = (await generate(gemini, SUM, **config)).candidates[0].content.parts
    parts = await streamed(gemini, SUM, **config)
    assert "".join(part.text for part in parts if part.thought) == plain[0].text
    assert parts[-1] == plain[-1]


async def test_gemini_shows_thoughts_only_if_asked_for(gemini):
    silent = await generate(gemini, SUM, thinking_config={"thinking_level": "low"})
    assert [bool(part.thought) for part in silent.candidates[0].content.parts] == [False]
    assert silent.candidates[0].content.parts[0].thought_signature
    off = await generate(gemini, SUM, thinking_config={"thinking_budget": 0})
    assert off.usage_metadata.thoughts_token_count is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda talk: setattr(talk[1].parts[1], "thought_signature", b"wrong"),
            "Corrupted thought signature",
        ),
        (
            lambda talk: setattr(talk[1].parts[1].function_call, "args", {"a": 1}),
            "Corrupted thought signature",
        ),
        (lambda talk: setattr(talk[1].parts[1], "thought_signature", None), "missing a thought_signature"),
        (lambda talk: talk[2].parts.pop(), "number of function response parts is equal"),
    ],
)
async def test_gemini_refuses_a_broken_loop(gemini, change, why):
    with pytest.raises(errors.ClientError, match=why) as caught:
        await gemini_loop(gemini, change)
    assert caught.value.code == 400


async def test_the_choice_of_a_function_is_kept(gemini):
    calling = {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["add"]}}
    forced = await generate(gemini, SUM, tools=gemini_tools(), tool_config=calling)
    assert [call.name for call in forced.function_calls] == ["add"]
    none = {"function_calling_config": {"mode": "NONE"}}
    assert (await generate(gemini, SUM, tools=gemini_tools(), tool_config=none)).function_calls is None


async def test_gemini_grounds_stretches_of_the_text(gemini):
    answer = await generate(gemini, "Search: what are the tides of Brasília?", tools=[{"google_search": {}}])
    grounding = answer.candidates[0].grounding_metadata
    for support in grounding.grounding_supports:
        segment = support.segment
        assert answer.text.encode()[segment.start_index : segment.end_index].decode() == segment.text
    assert grounding.grounding_chunks[0].web.uri.startswith("https://example.org/")


async def test_gemini_draws(gemini):
    answer = await generate(gemini, "Draw a green tree", response_modalities=["TEXT", "IMAGE"])
    text, image = answer.candidates[0].content.parts
    assert text.text == "Here is an image of “green tree”."
    assert Image.open(io.BytesIO(image.inline_data.data)).format == "PNG"
    details = answer.usage_metadata.candidates_tokens_details
    assert [(one.modality.value, one.token_count) for one in details] == [("IMAGE", 1290)]
    parts = await streamed(gemini, "Draw a green tree", response_modalities=["TEXT", "IMAGE"])
    assert parts[-1].inline_data == image.inline_data
