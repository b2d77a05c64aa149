"""The three protocols as their public documentation has them, byte for byte."""
# ruff: noqa: E501 - an event is a line

import json


def dump(value):
    return json.dumps(value, ensure_ascii=False).encode()


class OpenAI:
    name = "openai"
    sep = b"\n\n"
    auth = "authorization"

    @staticmethod
    def event(value):
        return b"data: " + dump(value) + b"\n\n"

    @classmethod
    def chunk(cls, delta, finish=None, index=0, **more):
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
        return cls.event({**base, "choices": [choice], **more})

    @classmethod
    def start(cls):
        return cls.chunk({"role": "assistant", "content": "", "refusal": None})

    @classmethod
    def piece(cls, text):
        return cls.chunk({"content": text})

    @classmethod
    def end(cls, finish="stop", usage=None):
        usage = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14} if usage is None else usage
        last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": []}
        return cls.chunk({}, finish) + cls.event({**last, "usage": usage}) + b"data: [DONE]\n\n"

    @staticmethod
    def whole(text, finish="stop", usage=None):
        usage = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14} if usage is None else usage
        message = {"role": "assistant", "content": text, "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage,
        }

    @staticmethod
    def error(status, message, kind, code=None, param=None):
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}

    @classmethod
    def in_band(cls, error):
        return cls.event(error)

    empty = b'data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}\n\n'
    thinking = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n'
    null = b'data: {"id":null,"model":null,"choices":[{"index":0,"delta":null}],"usage":null}\n\n'
    no_protocol = ({}, {"choices": None}, {"choices": []}, {"choices": "x"}, {"choices": [5]})


class Anthropic:
    name = "anthropic"
    auth = "x-api-key"

    @staticmethod
    def event(value):
        return b"event: " + value["type"].encode() + b"\ndata: " + dump(value) + b"\n\n"

    @classmethod
    def start(cls):
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 5, "output_tokens": 1},
        }
        block = {"type": "text", "text": ""}
        return cls.event({"type": "message_start", "message": message}) + cls.event(
            {"type": "content_block_start", "index": 0, "content_block": block}
        )

    @classmethod
    def piece(cls, text):
        delta = {"type": "text_delta", "text": text}
        return cls.event({"type": "content_block_delta", "index": 0, "delta": delta})

    @classmethod
    def end(cls, finish="end_turn", usage=None):
        usage = {"output_tokens": 9} if usage is None else usage
        return (
            cls.event({"type": "content_block_stop", "index": 0})
            + cls.event({"type": "message_delta", "delta": {"stop_reason": finish}, "usage": usage})
            + cls.event({"type": "message_stop"})
        )

    @staticmethod
    def whole(text, finish="end_turn", usage=None):
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": finish,
            "usage": {"input_tokens": 5, "output_tokens": 9} if usage is None else usage,
        }

    @staticmethod
    def error(status, message, kind):
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    @classmethod
    def in_band(cls, error):
        return cls.event(error)

    empty = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}\n\n'
    thinking = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}\n\n'
    null = b'data: {"type":"message_delta","delta":null,"usage":null}\n\ndata: {"type":"content_block_delta","delta":null}\n\n'
    no_protocol = ({}, {"content": "x"}, {"content": 5}, {"content": [5]}, {"type": "message"})


class Google:
    name = "google"
    auth = "x-goog-api-key"

    @staticmethod
    def event(value):
        return b"data: " + dump(value) + b"\r\n\r\n"

    @classmethod
    def chunk(cls, parts, finish=None, tokens=1, index=0):
        candidate = {"content": {"parts": parts, "role": "model"}, "index": index}
        candidate |= {"finishReason": finish} if finish else {}
        usage = {"promptTokenCount": 5, "candidatesTokenCount": tokens, "totalTokenCount": 5 + tokens}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "r1",
        }

    @classmethod
    def start(cls):
        return b""

    @classmethod
    def piece(cls, text):
        return cls.event(cls.chunk([{"text": text}]))

    @classmethod
    def end(cls, finish="STOP", usage=None):
        last = cls.chunk([{"text": ""}], finish, tokens=9)
        return cls.event(last if usage is None else {**last, "usageMetadata": usage})

    @classmethod
    def whole(cls, text, finish="STOP", usage=None):
        answer = cls.chunk([{"text": text}], finish, tokens=9)
        return answer if usage is None else {**answer, "usageMetadata": usage}

    @staticmethod
    def error(status, message, kind, *details):
        error = {"code": status, "message": message, "status": kind}
        return {"error": {**error, "details": list(details)} if details else error}

    @classmethod
    def in_band(cls, error):
        return cls.event(error)

    empty = b'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"index":0}]}\r\n\r\n'
    thinking = b'data: {"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}]}\r\n\r\n'
    null = b'data: {"candidates":[{"content":null,"finishReason":null}],"usageMetadata":null}\r\n\r\n'
    no_protocol = ({}, {"candidates": None}, {"candidates": "x"}, {"candidates": [5]}, {"models": []})


DIALECTS = {one.name: one for one in (OpenAI, Anthropic, Google)}


def reason(word, domain="googleapis.com"):
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word, "domain": domain}


def retry_info(delay):
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota_failure(quota):
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_requests", "quotaId": quota}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
