"""A parameter that a server refuses is left out only where the request means the same without it."""

import json
import warnings

import pytest

import llmkit
from llmkit import (
    ContextLengthError,
    InvalidRequestError,
    LLMMessage,
    RateLimitError,
)
from llmkit.clients.engine.parameters import without_refused
from llmkit.content.schema import schema_of
from llmkit.providers.codec import TEMPERATURE, Request
from llmkit.providers.openai_chat import OpenAICodec
from tests.support.dialects import DIALECTS, Anthropic, OpenAI
from tests.support.peer import Peer, http

pytestmark = pytest.mark.usefixtures("recorder")

QUESTION = [LLMMessage("user", "Which city?")]
MODEL = "m-1"
TOOLS = {
    "openai": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}],
    "anthropic": [{"name": "look_up", "input_schema": {"type": "object"}}],
    "google": [{"functionDeclarations": [{"name": "look_up"}]}],
}
NO_TOOLS = (
    "Function tools together with reasoning_effort are not supported for this model on /v1/chat/completions. "
    "Please use /v1/responses, or set reasoning_effort to 'none'."
)


def client(protocol, server, **options):
    kind = {
        "openai": llmkit.OpenAIClient,
        "anthropic": llmkit.AnthropicClient,
        "google": llmkit.GoogleAIClient,
    }[protocol]
    path = "/v1" if protocol == "openai" else ""
    return kind("a-key-of-tests", server.url + path, model=MODEL, max_retries=0, **options)


def has(body, name):
    """Whether a request has a parameter, wherever the protocol keeps it."""
    return name in body or name in body.get("generationConfig", {})


def refusing(protocol, name, told, status=400):
    """Return a script: an error as long as the request has a parameter."""
    good = http(200, json.dumps(DIALECTS[protocol].whole("Lima")).encode())
    bad = http(status, json.dumps(told).encode())
    return [lambda body: [bad if has(body, name) else good]]


def said(protocol, message, **more):
    """Return an error in a protocol's own form."""
    if protocol == "google":
        return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", **more}}
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message, **more}}


async def ask(made, *, stream=False, **options):
    if not stream:
        return (await made.generate_text(QUESTION, **options)).content
    return "".join([piece async for piece in made.stream_text(QUESTION, **options)])


class TestWhatChangesTheMeaning:
    @pytest.mark.parametrize("protocol", DIALECTS)
    @pytest.mark.parametrize(
        "message",
        [
            NO_TOOLS,
            "Unsupported parameter: 'tools' is not supported with this model.",
            "tools: Extra inputs are not permitted",
            'Invalid JSON payload received. Unknown name "tools": Cannot find field.',
            "This model does not support tools.",
            "`tools` is not supported together with temperature",
        ],
    )
    async def test_is_the_users_to_change_on_every_call(self, protocol, message):
        async with Peer() as server:
            server.scripts[MODEL] = refusing(protocol, "tools", said(protocol, message))
            async with client(protocol, server) as made:
                for _ in range(2):
                    with pytest.raises(InvalidRequestError) as caught:
                        await ask(made, tools=TOOLS[protocol], temperature=0.3)
                    assert caught.value.message.startswith(message[:30])
        assert len(server.bodies) == 2
        assert all("tools" in body and has(body, "temperature") for body in server.bodies)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("tool_choice", "required"),
            ("response_format", {"type": "json_object"}),
            ("reasoning_effort", "high"),
            ("parallel_tool_calls", False),
            ("n", 2),
            ("stop", ["x"]),
            ("user", "me"),
            ("modalities", ["text", "audio"]),
        ],
    )
    @pytest.mark.parametrize(
        "told",
        [
            lambda name: {"error": {"message": f"Unsupported parameter: '{name}'.", "param": name}},
            lambda name: {"error": {"message": f"{name} is not supported", "param": None}},
            lambda name: {
                "detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs …"}]
            },
        ],
    )
    async def test_is_never_left_out_whatever_it_is(self, name, value, told):
        async with Peer() as server:
            server.scripts[MODEL] = refusing("openai", name, told(name), 422)
            async with client("openai", server) as made:
                with pytest.raises(InvalidRequestError):
                    await ask(made, **{name: value})
        assert [name in body for body in server.bodies] == [True]

    async def test_is_sent_again_although_a_schema_was_refused_before(self):
        told = said("openai", "response_format is not supported")
        async with Peer() as server:
            server.scripts[MODEL] = refusing("openai", "response_format", told)
            async with client("openai", server) as made:
                with pytest.warns(UserWarning, match="the schema is in the prompt instead"):
                    await ask(made, schema={"type": "object", "properties": {"a": {"type": "string"}}})
                with pytest.raises(InvalidRequestError):
                    await ask(made, response_format={"type": "json_object"})
        assert "response_format" in server.bodies[-1]

    async def test_keeps_an_output_config_of_the_users_own(self):
        async with Peer() as server:
            good = http(200, json.dumps(Anthropic.whole("Lima")).encode())
            bad = http(
                400,
                json.dumps(
                    said("anthropic", "output_config.format: Extra inputs are not permitted")
                ).encode(),
            )
            server.scripts[MODEL] = [lambda body: [bad if "format" in body["output_config"] else good]]
            async with client("anthropic", server) as made:
                with pytest.warns(UserWarning, match="the schema is in the prompt instead"):
                    await ask(
                        made,
                        schema={"type": "object", "properties": {"a": {"type": "string"}}},
                        output_config={"effort": "low"},
                    )
        assert server.bodies[-1]["output_config"] == {"effort": "low"}
        assert "JSON schema" in server.bodies[-1]["system"]


WORDINGS = [
    (
        "openai",
        "temperature",
        said("openai", "Unsupported value: 'temperature' must be 1.", param="temperature"),
    ),
    ("openai", "temperature", said("openai", "invalid temperature: this model takes 1 only")),
    ("openai", "temperature", said("openai", "No.", param="temperature", code="unsupported_value")),
    ("openai", "temperature", {"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs …"}]}),
    ("openai", "top_p", {"message": {"detail": [{"loc": ["body", "top_p"], "msg": "Extra inputs …"}]}}),
    (
        "openai",
        "top_k",
        {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'top_k')}]"},
    ),
    ("openai", "seed", said("openai", "Unrecognized request argument supplied: seed")),
    ("openai", "seed", {"detail": "property 'seed' is unsupported, did you mean 'send'?"}),
    ("openai", "presence_penalty", said("openai", "Model m does not support parameter presencePenalty.")),
    ("openai", "frequency_penalty", said("openai", "Penalties are not available for this model.")),
    ("openai", "logprobs", said("openai", "You are not allowed to request logprobs from this model.")),
    ("openai", "top_logprobs", said("openai", "This model does not take top_logprobs.")),
    ("openai", "temperature", said("openai", "Temperature can't be changed for reasoning models.")),
    ("anthropic", "temperature", said("anthropic", "`temperature` is deprecated for this model.")),
    ("anthropic", "top_k", said("anthropic", "`top_k` may not be set when thinking is enabled")),
    ("anthropic", "top_p", said("anthropic", "top_p: Extra inputs are not permitted")),
    ("google", "topK", said("google", "Unknown name \"topK\" at 'generation_config': Cannot find field.")),
    ("google", "presencePenalty", said("google", "Penalty is not enabled for models/m-1")),
    ("google", "responseLogprobs", said("google", "Logprobs is not enabled for models/m-1")),
    (
        "google",
        "seed",
        said("google", "Bad.", details=[{"fieldViolations": [{"field": "generation_config.seed"}]}]),
    ),
]
VALUES = {"logprobs": True, "responseLogprobs": True, "top_logprobs": 2, "seed": 7, "topK": 3, "top_k": 3}


class TestWhatAnAnswerCanDoWithout:
    @pytest.mark.parametrize(("protocol", "name", "told"), WORDINGS)
    @pytest.mark.parametrize("status", [400, 422])
    async def test_is_left_out_with_one_warning(self, protocol, name, told, status):
        async with Peer() as server:
            server.scripts[MODEL] = refusing(protocol, name, told, status)
            async with client(protocol, server) as made:
                chosen = {name: VALUES.get(name, 0.4)}
                with pytest.warns(
                    UserWarning, match=f"{MODEL} does not support {name}: it was left out"
                ) as heard:
                    assert await ask(made, stop=["x"], **chosen) == "Lima"
                assert len(heard) == 1
                assert await ask(made, stop=["x"], **chosen) == "Lima"
        assert [has(body, name) for body in server.bodies] == [True, False, False]
        kept = {"openai": "stop", "anthropic": "stop_sequences", "google": "stopSequences"}[protocol]
        assert all(has(body, kept) for body in server.bodies)

    @pytest.mark.parametrize(
        "message",
        [
            "invalid temperature: this model takes 1 only",
            "Unsupported value: 'temperature' does not support 0.7 with this model.",
            "temperature out of range [0, 0.5]",
            "Only the default sampling is possible here.",
            "`temperature` and `top_p` cannot both be specified",
        ],
    )
    async def test_is_a_default_temperature_in_any_words_and_without_a_warning(self, message):
        request = Request(messages=tuple(QUESTION), model=MODEL, temperature=TEMPERATURE, extra={"top_p": 1})
        lesser, names = without_refused(InvalidRequestError(message), request, OpenAICodec())
        assert names == {"temperature"}
        assert "top_p" in OpenAICodec().encode(lesser).body
        told = refusing("google", "temperature", said("google", message))
        async with Peer() as server:
            server.scripts[MODEL] = told
            async with client("google", server) as made:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    assert await ask(made) == await ask(made) == "Lima"
        assert [has(body, "temperature") for body in server.bodies] == [True, False, False]

    @pytest.mark.parametrize("protocol", ["openai", "anthropic"])
    async def test_is_not_even_sent_where_a_server_may_refuse_it(self, protocol):
        async with Peer() as server:
            server.scripts[MODEL] = refusing(protocol, "temperature", said(protocol, "No."))
            async with client(protocol, server) as made:
                assert await ask(made) == "Lima"
        assert len(server.bodies) == 1

    def test_is_sent_by_openai_itself_as_the_contract_has_it(self):
        request = Request(messages=tuple(QUESTION), model="gpt-4o-mini", temperature=TEMPERATURE)
        assert OpenAICodec(official=True).encode(request).body["temperature"] == 0.7

    async def test_leaves_the_streams_usage_out_where_a_server_does_not_know_it(self):
        def answer(body):
            told = said("openai", "Unknown field: stream_options.include_usage")
            if "stream_options" in body:
                return [http(400, json.dumps(told).encode())]
            return [http(200, OpenAI.piece("Lima") + OpenAI.end(), kind="text/event-stream")]

        async with Peer() as server:
            server.scripts[MODEL] = [answer]
            async with client("openai", server) as made:
                assert await ask(made, stream=True) == "Lima"
        assert [("stream_options" in body, body["stream"]) for body in server.bodies] == [
            (True, True),
            (False, True),
        ]

    async def test_goes_one_after_the_other(self):
        def answer(body):
            for name in ("temperature", "top_p", "seed"):
                if name in body:
                    return [http(400, json.dumps(said("openai", f"{name} is not supported")).encode())]
            return [http(200, json.dumps(OpenAI.whole("Lima")).encode())]

        async with Peer() as server:
            server.scripts[MODEL] = [answer]
            async with client("openai", server) as made:
                with pytest.warns(UserWarning, match="does not support") as heard:
                    assert await ask(made, temperature=1, top_p=1, seed=1) == "Lima"
        assert len(heard) == 3

    async def test_is_dropped_with_what_makes_no_sense_without_it(self):
        told = said("openai", "logprobs are not supported")
        async with Peer() as server:
            server.scripts[MODEL] = refusing("openai", "logprobs", told)
            async with client("openai", server) as made:
                with pytest.warns(UserWarning, match="logprobs"):
                    await ask(made, logprobs=True, top_logprobs=3)
        assert "top_logprobs" not in server.bodies[-1]

    async def test_is_remembered_for_its_model_alone(self):
        told = said("openai", "seed is not supported")
        async with Peer() as server:
            server.scripts |= {
                MODEL: refusing("openai", "seed", told),
                "other": refusing("openai", "none", told),
            }
            async with client("openai", server) as made:
                with pytest.warns(UserWarning, match="seed"):
                    await ask(made, seed=1)
                await ask(made, seed=1, model="other")
        assert "seed" in server.bodies[-1]


class TestTheLimit:
    @pytest.mark.parametrize("given", ["max_tokens", "max_completion_tokens"])
    async def test_goes_out_under_its_other_name_without_a_word(self, given):
        other = ({"max_tokens", "max_completion_tokens"} - {given}).pop()
        told = said("openai", f"Unsupported parameter: '{given}' is not supported. Use '{other}' instead.")
        async with Peer() as server:
            server.scripts[MODEL] = refusing("openai", given, told)
            async with client("openai", server) as made:
                for _ in range(2):
                    assert await ask(made, **{given: 9}) == "Lima"
        assert [body.get(other) for body in server.bodies] == [None, 9, 9]

    async def test_is_never_left_out(self):
        def answer(body):
            name = next(name for name in ("max_tokens", "max_completion_tokens") if name in body)
            return [http(400, json.dumps(said("openai", f"{name} is not supported")).encode())]

        async with Peer() as server:
            server.scripts[MODEL] = [answer]
            async with client("openai", server) as made:
                with pytest.raises(InvalidRequestError):
                    await ask(made, max_tokens=9)
        assert len(server.bodies) == 2

    @pytest.mark.parametrize(
        ("protocol", "name"), [("anthropic", "max_tokens"), ("google", "maxOutputTokens")]
    )
    async def test_has_no_other_name_elsewhere(self, protocol, name):
        told = said(protocol, f"{name} is not supported")
        async with Peer() as server:
            server.scripts[MODEL] = refusing(protocol, name, told)
            async with client(protocol, server) as made:
                with pytest.raises(InvalidRequestError):
                    await ask(made, max_tokens=9)
        assert len(server.bodies) == 1


class TestWhatIsSomethingElse:
    @pytest.mark.parametrize(
        ("error", "chosen"),
        [
            (InvalidRequestError("top_p must be below 1"), {"top_p": 2}),
            (InvalidRequestError("top_p: must be <= 1", params=("top_p",)), {"top_p": 2}),
            (InvalidRequestError("Invalid 'seed': expected an integer.", params=("seed",)), {"seed": "x"}),
            (InvalidRequestError("seed out of range"), {"seed": -1}),
            (InvalidRequestError("The prompt is not supported"), {"top_p": 0.5}),
            (InvalidRequestError("messages.0.content: 'top_p is not supported' is blocked"), {"top_p": 0.5}),
            (InvalidRequestError("top_p is not supported", params=("tools",)), {"top_p": 1, "tools": []}),
            (ContextLengthError("top_p is not supported"), {"top_p": 0.5}),
            (RateLimitError("top_p is not supported"), {"top_p": 0.5}),
            (InvalidRequestError("model is not supported"), {}),
        ],
    )
    def test_changes_nothing(self, error, chosen):
        request = Request(messages=tuple(QUESTION), model=MODEL, extra=chosen)
        assert without_refused(error, request, OpenAICodec()) == (request, frozenset())

    def test_the_one_named_first_is_to_blame(self):
        request = Request(messages=tuple(QUESTION), model=MODEL, temperature=1.0, extra={"top_p": 1})
        error = InvalidRequestError("top_p is not supported, unlike temperature")
        assert without_refused(error, request, OpenAICodec())[1] == {"top_p"}

    def test_a_schema_that_is_refused_goes_into_the_prompt(self):
        schema = schema_of({"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}})
        request = Request(messages=tuple(QUESTION), model=MODEL, schema=schema)
        error = InvalidRequestError("Structured outputs are not supported by this model")
        lesser, names = without_refused(error, request, OpenAICodec())
        assert names == {"response_format"}
        assert "minLength" in OpenAICodec().encode(lesser).body["messages"][0]["content"]


async def test_a_limit_in_the_providers_own_words_stays_where_the_other_name_was_refused():
    told = said("openai", "max_tokens is not supported")
    async with Peer() as server:
        server.scripts[MODEL] = refusing("openai", "max_tokens", told)
        async with client("openai", server) as made:
            await ask(made, max_tokens=9)
            await ask(made, max_completion_tokens=7)
    assert server.bodies[-1]["max_completion_tokens"] == 7
