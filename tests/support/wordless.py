"""Answers that hold more than text, as the providers document them: whole, and as a stream."""
# ruff: noqa: E501 - an event is a line

from tests.support.dialects import Anthropic, Google, OpenAI, dump

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="


def openai(message, finish, *deltas):
    whole = OpenAI.whole(None, finish)
    whole["choices"][0]["message"] = {"role": "assistant", "content": None, **message}
    stream = OpenAI.start() + b"".join(map(OpenAI.chunk, deltas)) + OpenAI.end(finish)
    return dump(whole), stream


def anthropic(stop, *blocks):
    """Each block is a tuple: its beginning, its deltas, and the whole."""
    whole = {**Anthropic.whole("", stop), "content": [block[-1] for block in blocks]}
    stream = Anthropic.start().partition(b"event: content_block_start")[0]
    for index, (start, deltas, _) in enumerate(blocks):
        stream += Anthropic.event({"type": "content_block_start", "index": index, "content_block": start})
        for delta in deltas:
            stream += Anthropic.event({"type": "content_block_delta", "index": index, "delta": delta})
        stream += Anthropic.event({"type": "content_block_stop", "index": index})
    _, mark, end = Anthropic.end(stop).partition(b"event: message_delta")
    return dump(whole), stream + mark + end


def google(finish, *parts, **more):
    whole = Google.chunk(list(parts), finish, tokens=9)
    whole["candidates"][0] |= more
    chunks = [Google.event(Google.chunk([part])) for part in parts[:-1]]
    last = Google.chunk(list(parts[-1:]), finish, tokens=9)
    last["candidates"][0] |= more
    return dump(whole), b"".join([*chunks, Google.event(last)])


def words(text):
    """A text block of Anthropic's."""
    return (
        {"type": "text", "text": ""},
        [{"type": "text_delta", "text": text}],
        {"type": "text", "text": text},
    )


def done(block):
    """A block that comes whole with its beginning."""
    return block, [], block


CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Lima"}'}}
IMAGE = {"type": "image_url", "index": 0, "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
USE = {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Lima"}}
THINKING = {"type": "thinking", "thinking": "Let me see.", "signature": "abc"}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "Lima"}}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
CODE = {"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}}

CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "draw", "input": "a line"}}
UPLOAD = {"type": "container_upload", "file_id": "file_1"}
UNHEARD = {"type": "compaction", "content": None, "encrypted_content": "abc"}
TOOL_CALL = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1"}}

ANSWERS = {
    "openai: a call of a tool": (
        openai(
            {"tool_calls": [CALL]},
            "tool_calls",
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '"Lima"}'}}]},
        ),
        [CALL], "tool_calls", "a call of the tool get_weather",
    ),
    "openai: reasoning": (
        openai({"reasoning_content": "Let me see."}, "stop", {"reasoning_content": "Let me"}, {"reasoning_content": " see."}),
        [{"reasoning_content": "Let me see."}], "stop", "only reasoning",
    ),
    "openai: an image": (
        openai({"content": "", "images": [IMAGE]}, "stop", {"content": "", "images": [IMAGE]}),
        [IMAGE], "stop", "an image",
    ),
    "openai: a call of a tool of one's own format": (
        openai({"tool_calls": [CUSTOM]}, "tool_calls", {"tool_calls": [{"index": 0, **CUSTOM}]}),
        [CUSTOM], "tool_calls", "a call of the tool draw",
    ),
    "openai: reasoning under another name": (
        openai({"reasoning_text": "Let me see."}, "stop", {"reasoning_text": "Let me"}, {"reasoning_text": " see."}),
        [{"reasoning_text": "Let me see."}], "stop", "only reasoning",
    ),
    "openai: nothing": (openai({"content": ""}, "stop"), [], "stop", "The answer is empty."),
    "anthropic: a call of a tool": (
        anthropic("tool_use", (
            {**USE, "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"city": ', '"Lima"}')],
            USE,
        )),
        [USE], "tool_calls", "a call of the tool get_weather",
    ),
    "anthropic: thinking": (
        anthropic("end_turn", (
            {"type": "thinking", "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": "Let me"},
                {"type": "thinking_delta", "thinking": " see."},
                {"type": "signature_delta", "signature": "abc"},
            ],
            THINKING,
        )),
        [THINKING], "stop", "only reasoning",
    ),
    "anthropic: a server's tool": (
        anthropic("end_turn", done(SEARCH), done(RESULT)), [SEARCH, RESULT], "stop", "the server's tool web_search",
    ),
    "anthropic: a file": (anthropic("end_turn", done(UPLOAD)), [UPLOAD], "stop", "a file"),
    "anthropic: a block that is yet unknown": (
        anthropic("end_turn", done(UNHEARD)), [UNHEARD], "stop", "something other than text",
    ),
    "anthropic: nothing": (anthropic("end_turn"), [], "stop", "The answer is empty."),
    "google: a call of a tool": (
        google("STOP", {"functionCall": {"name": "get_weather", "args": {"city": "Lima"}}}),
        [{"functionCall": {"name": "get_weather", "args": {"city": "Lima"}}}], "tool_calls", "a call of the tool get_weather",
    ),
    "google: an image": (
        google("STOP", {"inlineData": {"mimeType": "image/png", "data": PIXEL}}),
        [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}], "stop", "an image",
    ),
    "google: code and its result": (google("STOP", CODE, RAN), [CODE, RAN], "stop", "code and the result of code"),
    "google: thoughts": (
        google("STOP", {"text": "Let me", "thought": True}, {"text": " see.", "thought": True}),
        [{"text": "Let me see.", "thought": True}], "stop", "only reasoning",
    ),
    "google: a server's tool": (google("STOP", TOOL_CALL), [TOOL_CALL], "stop", "work of the server's tools"),
    "google: nothing": (google("STOP", {"text": ""}), [], "stop", "The answer is empty."),
}  # fmt: skip
"""By protocol and kind: the answer, its parts, its finish reason, and the words for it."""
