"""Servers that call tools, in four wire formats: answers for a script of `Peer`."""

import json

from llmkit import AnthropicClient, GoogleAIClient, OpenAIClient
from tests.support.peer import events, http

USAGE = (20, 10)


def document(answer):
    """An answer that is not streamed."""
    return http(200, json.dumps(answer).encode())


class Chat:
    """Chat Completions."""

    model = "gpt-4o-mini"

    def client(self, url):
        return OpenAIClient(api_key="k" * 20, base_url=f"{url}/v1", model=self.model, max_retries=0)

    def answer(self, text="", calls=(), finish=None, usage=USAGE):
        called = [
            {"index": n, "id": name_id, "type": "function", "function": {"name": name, "arguments": raw}}
            for n, (name_id, name, raw) in enumerate(calls)
        ]
        delta = {"role": "assistant", "content": text or None, **({"tool_calls": called} if called else {})}
        chunks = [
            {"id": "c", "model": self.model, "choices": [{"index": 0, "delta": delta}]},
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": finish or ("tool_calls" if called else "stop")}
                ]
            },
            {"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}},
        ]
        return events(
            b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks) + b"data: [DONE]\n\n"
        )

    def whole(self, text="", calls=()):
        called = [
            {"id": name_id, "type": "function", "function": {"name": name, "arguments": raw}}
            for name_id, name, raw in calls
        ]
        message = {"role": "assistant", "content": text or None, **({"tool_calls": called} if called else {})}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if called else "stop"}
        usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1]}
        return document({"id": "c", "model": self.model, "choices": [choice], "usage": usage})

    def results(self, body):
        return [(one["tool_call_id"], one["content"]) for one in body["messages"] if one["role"] == "tool"]


class Responses(Chat):
    """The Responses API."""

    def client(self, url):
        return OpenAIClient(
            api_key="k" * 20, base_url=f"{url}/v1", model=self.model, max_retries=0, api="responses"
        )

    def answer(self, text="", calls=(), finish=None):
        whole = self._response(text, calls, finish)
        sent = [{"type": f"response.{whole['status']}", "response": whole}]
        return events(b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in sent))

    def whole(self, text="", calls=()):
        return document(self._response(text, calls))

    def _response(self, text, calls, finish=None):
        items = []
        if text:
            block = {"type": "output_text", "text": text, "annotations": []}
            items.append(
                {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [block]}
            )
        items += [
            {
                "type": "function_call",
                "id": f"fc_{i}",
                "call_id": i,
                "name": name,
                "arguments": raw,
                "status": "completed",
            }
            for i, name, raw in calls
        ]
        usage = {"input_tokens": USAGE[0], "output_tokens": USAGE[1], "total_tokens": sum(USAGE)}
        status = "incomplete" if finish == "length" else "completed"
        whole = {"id": "r", "model": self.model, "status": status, "output": items, "usage": usage}
        if finish == "length":
            whole["incomplete_details"] = {"reason": "max_output_tokens"}
        return whole

    def results(self, body):
        found = (one for one in body["input"] if one.get("type") == "function_call_output")
        return [(one["call_id"], one["output"]) for one in found]


class Messages:
    """Anthropic's Messages."""

    model = "claude-haiku-5-5"

    def client(self, url):
        return AnthropicClient(api_key="k" * 20, base_url=url, model=self.model, max_retries=0)

    def answer(self, text="", calls=(), finish=None):
        message = {"id": "m", "model": self.model, "usage": {"input_tokens": USAGE[0], "output_tokens": 1}}
        sent = [{"type": "message_start", "message": message}]
        blocks = [({"type": "text", "text": ""}, {"type": "text_delta", "text": text})] if text else []
        for identifier, name, raw in calls:
            start = {"type": "tool_use", "id": identifier, "name": name, "input": {}}
            blocks.append((start, {"type": "input_json_delta", "partial_json": raw}))
        for index, (start, delta) in enumerate(blocks):
            sent.append({"type": "content_block_start", "index": index, "content_block": start})
            sent.append({"type": "content_block_delta", "index": index, "delta": delta})
            sent.append({"type": "content_block_stop", "index": index})
        words = {None: "tool_use" if calls else "end_turn", "length": "max_tokens"}
        delta = {"stop_reason": words.get(finish, finish), "stop_sequence": None}
        sent.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": USAGE[1]}})
        sent.append({"type": "message_stop"})
        return events(b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in sent))

    def whole(self, text="", calls=()):
        content = [{"type": "text", "text": text}] if text else []
        content += [
            {"type": "tool_use", "id": identifier, "name": name, "input": json.loads(raw)}
            for identifier, name, raw in calls
        ]
        usage = {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}
        message = {"id": "m", "type": "message", "role": "assistant", "model": self.model, "usage": usage}
        return document(message | {"content": content, "stop_reason": "tool_use" if calls else "end_turn"})

    def results(self, body):
        blocks = [one for m in body["messages"] if isinstance(m["content"], list) for one in m["content"]]
        return [(one["tool_use_id"], one["content"]) for one in blocks if one["type"] == "tool_result"]


class Gemini:
    """Gemini."""

    model = "gemini-2.5-flash"

    def client(self, url):
        return GoogleAIClient(api_key="k" * 20, base_url=url, model=self.model, max_retries=0)

    def answer(self, text="", calls=(), finish=None):
        whole = self._response(text, calls, finish)
        return events(b"data: " + json.dumps(whole).encode() + b"\n\n")

    def whole(self, text="", calls=()):
        return document(self._response(text, calls))

    def _response(self, text, calls, finish=None):
        parts = [{"text": text}] if text else []
        for identifier, name, raw in calls:
            try:
                arguments = json.loads(raw or "{}")
            except ValueError:
                arguments = raw
            parts.append({"functionCall": {"id": identifier, "name": name, "args": arguments}})
        candidate = {
            "content": {"role": "model", "parts": parts},
            "finishReason": {"length": "MAX_TOKENS"}.get(finish, "STOP"),
        }
        usage = {
            "promptTokenCount": USAGE[0],
            "candidatesTokenCount": USAGE[1],
            "totalTokenCount": sum(USAGE),
        }
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": self.model}

    def results(self, body):
        parts = [
            one["functionResponse"]
            for turn in body["contents"]
            for one in turn["parts"]
            if "functionResponse" in one
        ]
        return [(one["id"], next(iter(one["response"].values()))) for one in parts]


SERVERS = {"chat": Chat(), "responses": Responses(), "messages": Messages(), "gemini": Gemini()}


def failure(status=500):
    """Return an error of the server."""
    return http(status, json.dumps({"error": {"message": "It broke.", "type": "server_error"}}).encode())
