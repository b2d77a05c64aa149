"""From a name to a client."""

import pytest

import llmkit
from llmkit import AnthropicClient, ConfigurationError, GoogleAIClient, LLMMessage, OpenAIClient
from llmkit.clients import registry
from llmkit.clients.compatible import CompatibleClient
from llmkit.clients.registry import resolve, shared_client
from llmkit.core import catalog, naming

QUESTION = [LLMMessage("user", "echo: one two")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai:gpt-x", "openai:gpt-x"),
        ("openai", "openai"),
        ("anthropic:a:b", "anthropic:a:b"),  # split at the first colon
        ("ollama:llama3.3:70b", "ollama:llama3.3:70b"),
        ("gpt-6-luna", "openai:gpt-6-luna"),
        ("gpt-99-future", "openai:gpt-99-future"),
        ("o3-mini", "openai:o3-mini"),
        ("claude-haiku-5-5", "anthropic:claude-haiku-5-5"),
        ("gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("mistral-small-latest", "mistral:mistral-small-latest"),
        ("haiku", "anthropic:claude-haiku-5-5"),
        ("flash", "google:gemini-3.8-flash"),
        ("sandbox", "sandbox"),
        (" openai:gpt-x ", "openai:gpt-x"),
    ],
)
def test_a_name_means_a_provider_and_a_model(name, expected):
    assert str(resolve(name)) == expected


def test_an_alias_of_the_users_own_wins(tmp_path):
    (tmp_path / "llmkit.toml").write_text('[aliases]\nhaiku = "openai:gpt-x"\nmine = "groq:llama"\n')
    assert str(resolve("haiku")) == "openai:gpt-x"
    assert str(resolve("mine")) == "groq:llama"


def test_a_name_of_several_providers_is_ambiguous(monkeypatch):
    from dataclasses import replace

    from llmkit.core import catalog

    both = {
        name: replace(p, models=("same",))
        for name, p in catalog.providers().items()
        if name in {"groq", "xai"}
    }
    monkeypatch.setattr(catalog, "providers", lambda: both)
    with pytest.raises(ConfigurationError, match="groq:same, xai:same"):
        resolve("same")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("opnai", "openai"),
        ("gtp-6-luna", "gpt-6-luna"),
        ("hiaku", "haiku"),
        ("sandbx", "sandbox"),
        ("olama", "ollama"),
    ],
)
def test_an_unknown_name_lists_the_nearest(wrong, meant):
    with pytest.raises(ConfigurationError, match="Did you mean") as caught:
        resolve(wrong)
    assert meant in str(caught.value)


@pytest.mark.parametrize("family", ["gemini", "claude"])
def test_the_name_of_a_family_lists_its_newest_models_first(family):
    newest = next(p for p in catalog.providers().values() if p.models and p.models[0].startswith(family))
    with pytest.raises(ConfigurationError, match=f"Did you mean {newest.name}:{newest.models[0]}, "):
        resolve(family)


def test_an_unknown_provider_before_the_colon_lists_the_nearest():
    with pytest.raises(ConfigurationError, match="openai"):
        llmkit.client("opnai:gpt-x")


def test_a_name_that_is_like_nothing_says_where_to_look():
    with pytest.raises(ConfigurationError, match="%llm models"):
        resolve("zzzzzzzz")


@pytest.mark.parametrize("name", [":", "openai:", ":gpt-x", "a b"])
def test_a_name_that_is_none_is_an_error_of_ours(name):
    with pytest.raises(ConfigurationError):
        llmkit.client(name)


def test_the_default_is_the_settings_then_the_first_key_then_the_sandbox(monkeypatch):
    assert str(resolve()) == "sandbox"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert str(resolve()) == "anthropic"
    monkeypatch.setenv("LLM_DEFAULT_MODEL", "gpt-x")
    assert str(resolve()) == "openai:gpt-x"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("openai", OpenAIClient),
        ("anthropic", AnthropicClient),
        ("google", GoogleAIClient),
        ("groq", CompatibleClient),
    ],
)
def test_each_name_has_its_class(name, kind):
    client = llmkit.client(f"{name}:m", api_key="k")
    assert type(client) is kind
    assert (client.provider_name, client.model) == (name, "m")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ollama", "http://127.0.0.1:11434/v1"),
        ("vllm", "http://127.0.0.1:8000/v1"),
        ("lmstudio", "http://127.0.0.1:1234/v1"),
        ("openrouter", "https://openrouter.ai/api/v1"),
        ("groq", "https://api.groq.com/openai/v1"),
        ("deepseek", "https://api.deepseek.com/v1"),
        ("mistral", "https://api.mistral.ai/v1"),
        ("xai", "https://api.x.ai/v1"),
        ("together", "https://api.together.xyz/v1"),
    ],
)
def test_compatible_servers_are_known_by_name(name, address):
    assert llmkit.client(f"{name}:m", api_key="k")._endpoint.transport.address == address


def test_an_address_may_come_from_the_environment_or_the_file(monkeypatch, tmp_path):
    (tmp_path / "llmkit.toml").write_text('[base_urls]\nollama = "http://127.0.0.1:1/v1"\n')
    assert llmkit.client("ollama:m")._endpoint.transport.address == "http://127.0.0.1:1/v1"
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:2/v1")
    assert llmkit.client("ollama:m")._endpoint.transport.address == "http://127.0.0.1:2/v1"


async def test_any_server_is_reached_by_its_address(server, recorder):
    async with llmkit.client("mine:sandbox", base_url=server.url("openai")) as client:
        response = await client.generate_text(QUESTION)
    assert (response.content, response.provider) == ("one two", "mine")


async def test_a_compatible_server_gets_the_limit_under_its_name(server, recorder):
    async with llmkit.client("groq:sandbox", api_key="k", base_url=server.url("openai")) as client:
        await client.generate_text(QUESTION, max_tokens=9)
    assert server.requests[-1].body["max_tokens"] == 9


async def test_a_local_server_needs_no_key_and_costs_nothing(server, recorder):
    async with llmkit.client("ollama:llama3.3", base_url=server.url("openai")) as client:
        response = await client.generate_text(QUESTION)
    assert (response.cost_estimate, response.price_source) == (0.0, "local")


async def test_a_missing_key_is_reported_with_its_variable(recorder):
    client = llmkit.client("groq:m")
    with pytest.raises(llmkit.AuthenticationError, match="GROQ_API_KEY"):
        await client.generate_text(QUESTION)


@pytest.mark.parametrize(
    "name", ["openai:gpt-4o-mini", "anthropic:claude-haiku-5-5", "google:gemini-2.5-flash", "groq:llama"]
)
async def test_the_sandbox_plays_every_provider(recorder, monkeypatch, name):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    async with llmkit.client(name) as client:
        response = await client.generate_text(QUESTION)
    assert (response.content, response.simulated) == ("one two", True)
    assert response.provider == name.partition(":")[0]


async def test_the_sandbox_needs_nothing(recorder):
    async with llmkit.client("sandbox") as client:
        response = await client.generate_text(QUESTION)
    assert response.simulated
    assert response.cost_estimate > 0


def test_a_shared_client_is_one():
    assert shared_client("sandbox") is shared_client("sandbox")
    assert shared_client("sandbox") is not shared_client("ollama:m")


@pytest.mark.parametrize("name", ["", "a:b", "a b", " a"])
def test_a_name_that_cannot_be_is_not_registered(name):
    with pytest.raises(ConfigurationError):
        llmkit.register(name, OpenAIClient)


@pytest.mark.parametrize("options", [{"max_retries": -1}, {"timeout": 0}, {"timeout": -1}])
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigurationError):
        OpenAIClient("k", **options)


def test_an_alias_may_stand_for_another_one(monkeypatch):
    monkeypatch.setattr(naming, "session_aliases", {"quick": "fast", "fast": "sandbox:small"})
    assert str(registry.resolve("quick")) == "sandbox:small"


def test_an_alias_that_leads_back_to_itself_says_so(monkeypatch):
    monkeypatch.setattr(naming, "session_aliases", {"a": "b", "b": "a"})
    with pytest.raises(ConfigurationError, match="The alias 'a' refers to itself: a → b → a"):
        registry.resolve("a")


def test_the_address_of_a_call_is_known_before_it_is_sent():
    assert llmkit.client("ollama:m").address == "http://127.0.0.1:11434/v1"
