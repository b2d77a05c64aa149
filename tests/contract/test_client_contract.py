"""The contract: what the specification promises of names, fields, defaults and helpers."""

import asyncio
import dataclasses
import inspect
import logging
import sys

import pytest

import llmkit
from llmkit import (
    APIKeyManager,
    AuthenticationError,
    BaseLLMClient,
    ConfigurationError,
    KeyStatus,
    LLMClientError,
    LLMMessage,
    LLMResponse,
    ModelManager,
    ModelNotFoundError,
    OpenAIClient,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
    RequestQueue,
    build_conversation,
    check_environment_variables,
    rate_limit_retry,
    safe_llm_call,
    validate_api_key,
)
from llmkit.core import errors

QUESTION = [LLMMessage("user", "echo: one two")]


class Echo(BaseLLMClient):
    """Written with just the three abstract methods."""

    def __init__(self, failure=None):
        super().__init__("echo")
        self.failure = failure
        self.closed = 0

    async def generate_text(self, messages, model=None, temperature=0.7, max_tokens=None, **kwargs):
        if self.failure is not None:
            raise self.failure
        return LLMResponse(
            messages[-1].content, "echo", model or "echo-1", prompt_tokens=3, completion_tokens=2
        )

    async def stream_text(self, messages, model=None, temperature=0.7, max_tokens=None, **kwargs):
        for word in messages[-1].content.split():
            if self.failure is not None:
                raise self.failure
            yield word

    async def close(self):
        self.closed += 1


# --- messages and responses


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_message_has_a_role_and_content(role):
    assert LLMMessage(role, "Hi") == LLMMessage(role=role, content="Hi")


@pytest.mark.parametrize("role", ["tool", "", "User", None])
def test_another_role_is_refused(role):
    with pytest.raises(ValueError, match=f"Invalid role: {role}"):
        LLMMessage(role, "Hi")


@pytest.mark.parametrize("content", ["", " ", "\n\t", None])
def test_blank_content_is_refused(content):
    with pytest.raises(ValueError, match="Message content cannot be empty"):
        LLMMessage("user", content)


@pytest.mark.parametrize("content", [7, b"Hi", ["Hi"]])
def test_content_that_is_no_text_is_refused(content):
    with pytest.raises(TypeError, match="must be a string"):
        LLMMessage("user", content)


def test_the_fields_of_a_response_keep_their_order():
    names = [field.name for field in dataclasses.fields(LLMResponse)]
    assert names[:8] == [
        "content",
        "provider",
        "model",
        "tokens_used",
        "prompt_tokens",
        "completion_tokens",
        "cost_estimate",
        "response_time",
    ]
    assert [field.name for field in dataclasses.fields(LLMMessage)][:2] == ["role", "content"]


def test_a_response_adds_up_its_tokens():
    assert LLMResponse("x", "p", "m", prompt_tokens=3, completion_tokens=0).tokens_used == 3
    assert LLMResponse("x", "p", "m", tokens_used=9, prompt_tokens=3, completion_tokens=4).tokens_used == 9
    assert LLMResponse("x", "p", "m", prompt_tokens=3).tokens_used is None


def test_a_conversation_alternates():
    messages = build_conversation("S", ["a", "b", "c"])
    assert [(m.role, m.content) for m in messages] == [
        ("system", "S"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]
    assert len(build_conversation("S", [])) == 1


# --- exceptions


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        ("LLMClientError", Exception),
        ("AuthenticationError", LLMClientError),
        ("PermissionDeniedError", AuthenticationError),
        ("ModelNotFoundError", LLMClientError),
        ("RateLimitError", LLMClientError),
        ("QuotaExceededError", RateLimitError),
        ("InvalidRequestError", LLMClientError),
        ("ContextLengthError", errors.InvalidRequestError),
        ("ProviderNotAvailableError", LLMClientError),
        ("LLMTimeoutError", ProviderNotAvailableError),
        ("StreamInterruptedError", ProviderNotAvailableError),
        ("BadResponseError", LLMClientError),
        ("ConfigurationError", ValueError),
    ],
)
def test_exceptions_form_one_tree(kind, parent):
    assert issubclass(getattr(llmkit, kind), parent)


def test_an_exception_carries_what_is_known():
    error = RateLimitError(
        "Slow down.", provider="p", model="m", status_code=429, retry_after=2.0, request_id="r"
    )
    assert (error.provider, error.model, error.status_code) == ("p", "m", 429)
    assert (error.retry_after, error.request_id, error.retryable) == (2.0, "r", True)
    assert str(error) == "Slow down. Wait, or run fewer calls at once."


def test_an_exception_is_one_short_line():
    error = LLMClientError("a\nb " * 1000)
    assert "\n" not in str(error)
    assert len(str(error)) <= 500


def test_an_exception_survives_a_pickle():
    import pickle

    error = pickle.loads(pickle.dumps(RateLimitError("Slow down.", retry_after=2.0, partial="x")))
    assert (str(error), error.retry_after, error.partial) == (str(RateLimitError("Slow down.")), 2.0, "x")


# --- the base class


def test_the_base_class_is_abstract():
    assert BaseLLMClient.__abstractmethods__ == {"generate_text", "stream_text", "close"}


@pytest.mark.parametrize("method", ["generate_text", "stream_text"])
@pytest.mark.parametrize("owner", [BaseLLMClient, OpenAIClient])
def test_the_signatures_are_those_of_the_specification(owner, method):
    parameters = inspect.signature(getattr(owner, method)).parameters
    assert list(parameters) == ["self", "messages", "model", "temperature", "max_tokens", "kwargs"]
    assert [parameters[name].default for name in ("model", "temperature", "max_tokens")] == [None, 0.7, None]


def test_a_client_has_a_name_and_a_logger():
    client = Echo()
    assert client.provider_name == "echo"
    assert client.logger.name.endswith(".echo")


def test_tokens_are_estimated_at_four_characters():
    assert Echo()._count_tokens_estimate("x" * 41) == 10
    assert Echo()._count_tokens_accurate("x" * 41, "no-such-model") == 10


def test_a_cost_is_estimated_per_thousand_tokens():
    costs = {"m": {"input": 0.03, "output": 0.06}}
    assert Echo()._estimate_cost("m", 1000, 500, costs) == pytest.approx(0.06)
    assert Echo()._estimate_cost("other", 1000, 500, costs) == 0.0


async def test_a_client_closes_itself_after_a_block():
    async with Echo() as client:
        assert client.closed == 0
    assert client.closed == 1


async def test_safe_generation_gives_none_for_a_provider_that_is_not_available(caplog):
    assert await Echo(ProviderNotAvailableError("down")).safe_generate_text(QUESTION) is None
    assert "Provider not available" in caplog.text


async def test_safe_generation_tries_once_more_after_a_rate_limit():
    client = Echo(RateLimitError("slow", retry_after=0.01))
    client.failures = 0

    async def once(messages, **kwargs):
        client.failures += 1
        if client.failures == 1:
            raise RateLimitError("slow", retry_after=0.01)
        return LLMResponse("x", "p", "m")

    client.generate_text = once
    assert (await client.safe_generate_text(QUESTION)).content == "x"


async def test_safe_generation_wraps_what_is_unexpected():
    with pytest.raises(LLMClientError, match="Text generation failed: no"):
        await Echo(RuntimeError("no")).safe_generate_text(QUESTION)


# --- helpers


async def test_a_safe_call_gives_the_answer_or_none():
    assert (await safe_llm_call(Echo(), QUESTION)).content == "echo: one two"
    for failure in (
        ProviderNotAvailableError("x"),
        AuthenticationError("x"),
        RuntimeError("x"),
        QuotaExceededError("x"),
    ):
        assert await safe_llm_call(Echo(failure), QUESTION) is None


@pytest.mark.parametrize(("allowed", "calls"), [(3, 3), (1, 1), (0, 1), (-1, 1)])
async def test_rate_limit_retry_raises_at_last(allowed, calls):
    made = []

    @rate_limit_retry(max_retries=allowed, base_delay=0.001)
    async def ask():
        made.append(1)
        raise RateLimitError("slow")

    with pytest.raises(RateLimitError):
        await ask()
    assert len(made) == calls


async def test_rate_limit_retry_returns_what_comes_at_last():
    made = []

    @rate_limit_retry(base_delay=0.001)
    async def ask(text, *, end):
        """Ask."""
        made.append(1)
        if len(made) < 3:
            raise RateLimitError("slow")
        return text + end

    assert await ask("a", end="b") == "ab"
    assert ask.__doc__ == "Ask."


async def test_rate_limit_retry_leaves_other_errors_alone():
    made = []

    @rate_limit_retry(base_delay=0.001)
    async def ask():
        made.append(1)
        raise QuotaExceededError("no credit")

    with pytest.raises(QuotaExceededError):
        await ask()
    assert len(made) == 1


async def test_a_queue_lets_only_so_many_run():
    queue, running, most = RequestQueue(max_concurrent=3), [], []

    async def work(number, *, plus):
        running.append(number)
        most.append(len(running))
        await asyncio.sleep(0.005)
        running.remove(number)
        return number + plus

    results = await asyncio.gather(*(queue.process_request(work, n, plus=1) for n in range(10)))
    assert results == list(range(1, 11))
    assert max(most) == 3


def test_a_queue_works_in_one_loop_after_another():
    queue = RequestQueue(max_concurrent=1)

    async def crowd():
        await asyncio.gather(*(queue.process_request(asyncio.sleep, 0.001) for _ in range(3)))

    asyncio.run(crowd())
    asyncio.run(crowd())


def test_a_queue_needs_room():
    with pytest.raises(ConfigurationError):
        RequestQueue(max_concurrent=0)


def test_keys_take_turns():
    manager = APIKeyManager({"openai": ["first", "second"]})
    keys = [manager.get_key("openai")]
    for _ in range(2):
        manager.rotate_key("openai")
        keys.append(manager.get_key("openai"))
    assert keys == ["first", "second", "first"]


def test_a_key_that_is_not_there_is_an_authentication_error():
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        APIKeyManager().get_key("openai")


def test_keys_of_the_environment_take_turns(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "zero")
    monkeypatch.setenv("OPENAI_API_KEY_1", "one")
    manager = APIKeyManager()
    manager.rotate_key("openai")
    assert manager.get_key("openai") == "one"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
async def test_the_next_call_uses_the_rotated_key(server, recorder, monkeypatch, provider):
    from llmkit.clients.credentials.keys import keys

    name = {"openai": "OPENAI", "anthropic": "ANTHROPIC", "google": "GOOGLE_AI"}[provider]
    monkeypatch.setenv(f"{name}_API_KEY", "key-zero")
    monkeypatch.setenv(f"{name}_API_KEY_1", "key-one")
    async with llmkit.client(f"{provider}:sandbox", base_url=server.url(provider)) as client:
        await client.generate_text(QUESTION)
        keys.rotate_key(provider)
        await client.generate_text(QUESTION)
    keys.rotate_key(provider)
    sent = [str(request.headers) for request in server.requests]
    assert "key-zero" in sent[0]
    assert "key-one" in sent[1]
    assert "key-zero" not in sent[1]


def test_a_missing_model_has_a_fallback(caplog):
    manager = ModelManager({"p": ["a", "b"]}, {"x": "b", "y": "gone"})
    assert [manager.get_available_model("p", name) for name in ("a", "x", "y", "z")] == ["a", "b", "a", "a"]
    assert "x not available" in caplog.text


def test_models_of_an_unknown_provider_are_an_error():
    with pytest.raises(ConfigurationError):
        ModelManager().get_available_model("nobody", "m")


async def test_a_model_is_validated_with_the_providers_list(monkeypatch, recorder):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    assert await ModelManager().validate_model("openai", "sandbox")
    assert not await ModelManager().validate_model("openai", "no-such-model")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "google-legacy"])
async def test_a_key_is_valid_invalid_or_unreachable(server, provider):
    url = server.url(provider.partition("-")[0])
    assert await validate_api_key(provider, "good", base_url=url) is KeyStatus.VALID
    assert await validate_api_key(provider, "invalid", base_url=url) is KeyStatus.INVALID
    server.stop()
    assert await validate_api_key(provider, "good", base_url=url, timeout=5) is KeyStatus.UNREACHABLE


async def test_only_a_valid_key_is_true():
    assert [bool(status) for status in (KeyStatus.VALID, KeyStatus.INVALID, KeyStatus.UNREACHABLE)] == [
        True,
        False,
        False,
    ]


async def test_validating_a_key_leaves_no_row(server, recorder):
    await validate_api_key("openai", "good", base_url=server.url())
    assert not recorder.records


def test_missing_variables_are_named(monkeypatch):
    with pytest.raises(ValueError, match="OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_AI_API_KEY"):
        check_environment_variables()
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    check_environment_variables()


def test_the_table_of_costs_is_per_thousand_tokens():
    assert llmkit.TOKEN_COSTS["gpt-4"] == {"input": 0.03, "output": 0.06}
    assert Echo()._estimate_cost("gpt-4", 1000, 1000, llmkit.TOKEN_COSTS) == pytest.approx(0.09)


def test_the_configuration_hides_its_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-of-mine")
    assert "a-secret-of-mine" not in repr(llmkit.LLM_CONFIG)
    assert llmkit.LLM_CONFIG["providers"]["openai"]["api_key"].reveal() == "a-secret-of-mine"
    assert llmkit.LLM_CONFIG["defaults"]["temperature"] == 0.7


async def test_a_health_check_tells_and_does_not_raise(server, recorder):
    async with OpenAIClient("k", server.url()) as client:
        health = await client.health_check()
        assert health
        assert "sandbox" in health.models
        server.stop()
        health = await client.health_check()
    assert not health
    assert isinstance(health.error, ProviderNotAvailableError)


# --- plain subclasses


@pytest.fixture
def registered():
    from llmkit.core import naming

    llmkit.register("echo", Echo)
    yield
    naming.registered.pop("echo")


async def test_a_plain_subclass_is_metered(recorder, registered):
    async with llmkit.client("echo:large") as client:
        response = await client.generate_text(QUESTION)
        pieces = [piece async for piece in client.stream_text(QUESTION)]
    assert (response.content, response.model, response.prompt_tokens) == ("echo: one two", "large", 3)
    assert pieces == ["echo:", "one", "two"]
    assert recorder.statuses == ["ok", "ok"]
    assert [(row.provider, row.model) for row in recorder.records] == [("echo", "large")] * 2


@pytest.mark.parametrize("cost", [-0.5, float("nan"), float("inf")])
async def test_a_cost_that_is_no_amount_is_ignored_and_the_call_recorded(recorder, caplog, cost):
    from llmkit.clients.registry import recorded

    class Costly(Echo):
        async def generate_text(self, *arguments, **options):
            return LLMResponse("Hi", "echo", "echo-1", cost_estimate=cost)

    assert (await recorded(Costly()).generate_text(QUESTION)).content == "Hi"
    assert [record.cost_nanos for record in recorder.records] == [None]
    assert "cost_estimate must be a number of dollars" in caplog.text


async def test_a_plain_subclass_that_fails_leaves_a_row(recorder):
    from llmkit.clients.registry import recorded

    client = recorded(Echo(RuntimeError("no")))
    with pytest.raises(RuntimeError):
        await client.generate_text(QUESTION)
    with pytest.raises(RuntimeError):
        [piece async for piece in client.stream_text(QUESTION)]
    assert recorder.statuses == ["error", "error"]
    assert [row.error for row in recorder.records] == ["RuntimeError"] * 2


async def test_a_plain_stream_that_is_left_is_closed(recorder):
    from llmkit.clients.registry import recorded

    stream = recorded(Echo()).stream_text(QUESTION)
    await anext(stream)
    await stream.aclose()
    assert recorder.statuses == ["cancelled"]


async def test_a_plain_stream_that_was_never_read_leaves_no_row(recorder):
    from llmkit.clients.registry import recorded

    recorded(Echo()).stream_text(QUESTION)
    assert not recorder.records


async def test_a_client_of_another_package_is_found_by_its_entry_point(recorder, tmp_path, monkeypatch):
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llmkit.clients]\nplugged = plugged_client:Plugged\n")
    (tmp_path / "plugged_client.py").write_text(
        "from llmkit import BaseLLMClient, LLMResponse\n"
        "class Plugged(BaseLLMClient):\n"
        "    def __init__(self): super().__init__('plugged')\n"
        "    async def generate_text(self, messages, model=None, **kw):\n"
        "        return LLMResponse('yes', 'plugged', model or 'one')\n"
        "    async def stream_text(self, messages, **kw):\n"
        "        yield 'yes'\n"
        "    async def close(self): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert (await llmkit.client("plugged").generate_text(QUESTION)).content == "yes"
    assert recorder.last.provider == "plugged"
    sys.modules.pop("plugged_client")


def test_the_loggers_of_clients_have_their_names():
    assert isinstance(OpenAIClient("k").logger, logging.Logger)
    assert OpenAIClient("k").logger.name.endswith(".openai")


def test_a_model_not_found_says_what_to_do():
    assert "%llm models" in str(ModelNotFoundError("No such model."))
