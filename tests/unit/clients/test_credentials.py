"""Which server is asked, and with which key: what was not given follows the environment at the next call."""

import asyncio
import json
import stat
import sys
import types

import anthropic
import openai
import pytest

import llmkit
from llmkit import AuthenticationError, ConfigurationError, sandbox
from llmkit.clients.credentials.keys import missing_key
from llmkit.clients.credentials.trust import file as trust_file
from llmkit.clients.registry import shared_client
from llmkit.core import catalog, runtimes, settings
from llmkit.transport.base import OutgoingRequest
from tests.support.callers import QUESTION, SDKS, TEXT, read
from tests.support.releases import OLDEST

PATHS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "groq": "openai", "vllm": "openai"}
OLD, NEW = "old-key-0123456789", "new-key-0123456789"


@pytest.fixture
def two():
    """Two servers, as two providers of one kind."""
    with sandbox.start(rate=0, first_token=0) as old, sandbox.start(rate=0, first_token=0) as new:
        yield old, new


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """A folder of the user's own settings for each test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return settings.user_file().parent


def point(monkeypatch, provider, server, key):
    known = catalog.providers()[provider]
    monkeypatch.setenv(known.base_url_env[0], server.url(PATHS[provider]))
    monkeypatch.setenv(known.key_env[0], key)


def keys_at(server):
    """The keys that a server has seen."""
    heads = [{k.lower(): v for k, v in r.headers.items()} for r in server.requests]
    return [h.get("x-goog-api-key") or h.get("authorization", "").removeprefix("Bearer ") for h in heads]


# Changes between two calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["whole", "streamed", "models"])
@pytest.mark.parametrize("provider", PATHS)
async def test_a_client_that_is_kept_follows_address_and_key_together(
    two, recorder, monkeypatch, provider, way
):
    client = llmkit.client(f"{provider}:sandbox")
    for server, key in zip(two, (OLD, NEW), strict=True):
        point(monkeypatch, provider, server, key)
        if way == "whole":
            await client.generate_text(QUESTION)
        elif way == "streamed":
            await read(client.stream_text(QUESTION))
        else:
            await client.list_models()
    await client.close()
    assert [keys_at(server) for server in two] == [[OLD], [NEW]]


async def test_the_shared_clients_follow_whatever_the_spelling(two, recorder, monkeypatch):
    monkeypatch.setenv("LLMKIT_MODEL", "openai:gpt-4o-mini")
    for server, key in zip(two, (OLD, NEW), strict=True):
        point(monkeypatch, "openai", server, key)
        for name in ("gpt-4o-mini", "openai:gpt-4o-mini", None):
            await shared_client(name).generate_text(QUESTION)
    for name in ("gpt-4o-mini", "openai:gpt-4o-mini"):
        await shared_client(name).close()
    assert [keys_at(server) for server in two] == [[OLD] * 3, [NEW] * 3]


def test_magics_batches_and_comparisons_follow_too(two, recorder, monkeypatch):
    for server, key in zip(two, (OLD, NEW), strict=True):
        point(monkeypatch, "openai", server, key)
        llmkit.compare("Hello", ["openai:gpt-4o-mini"])
        asyncio.run(llmkit.batch(["Hello"], "openai:gpt-4o-mini", progress=False))
        chat = llmkit.Chat("openai:gpt-4o-mini")
        chat.ask("Hello")
    assert [set(keys_at(server)) for server in two] == [{OLD}, {NEW}]


async def test_a_fallback_follows_too(two, recorder, monkeypatch):
    refusing, answering = two
    point(monkeypatch, "anthropic", refusing, OLD)
    first = llmkit.client(
        "openai:x", api_key="k", base_url="http://127.0.0.1:1", max_retries=0, fallback=["haiku"]
    )
    async with first:
        await first.generate_text(QUESTION)
        point(monkeypatch, "anthropic", answering, NEW)
        await first.generate_text(QUESTION)
    assert [keys_at(server) for server in two] == [[OLD], [NEW]]


@pytest.mark.parametrize("provider", SDKS)
async def test_what_was_given_as_an_argument_never_changes(two, recorder, monkeypatch, provider):
    old, new = two
    async with SDKS[provider]("given-key-0123", old.url(provider), model="sandbox") as client:
        point(monkeypatch, provider, new, NEW)
        await client.generate_text(QUESTION)
    assert (keys_at(old), keys_at(new)) == (["given-key-0123"], [])


async def test_a_given_address_takes_the_key_of_the_moment_and_the_other_way_round(
    two, recorder, monkeypatch
):
    old, new = two
    point(monkeypatch, "openai", new, OLD)
    async with (
        llmkit.OpenAIClient(base_url=old.url(), model="sandbox") as placed,
        llmkit.OpenAIClient("given-key-0123", model="sandbox") as keyed,
    ):
        monkeypatch.setenv("OPENAI_API_KEY", NEW)
        await placed.generate_text(QUESTION)
        await keyed.generate_text(QUESTION)
    assert (keys_at(old), keys_at(new)) == ([NEW], ["given-key-0123"])


async def test_the_settings_file_is_followed_too(two, recorder, monkeypatch, own_settings):
    own_settings.mkdir(parents=True)
    monkeypatch.setenv("OPENAI_API_KEY", OLD)
    client = llmkit.client("openai:sandbox")
    for server in two:
        settings._load.cache_clear()  # files are looked at once a second
        settings.user_file().write_text(f'[base_urls]\nopenai = "{server.url()}"\n')
        await client.list_models()
    await client.close()
    assert [keys_at(server) for server in two] == [[OLD], [OLD]]


async def test_the_sandbox_is_switched_on_and_off_for_clients_that_are_kept(server, recorder, monkeypatch):
    point(monkeypatch, "openai", server, OLD)
    async with llmkit.client("openai:sandbox") as client:
        await client.generate_text(QUESTION)
        monkeypatch.setenv("LLMKIT_SANDBOX", "1")
        assert (await client.generate_text(QUESTION)).content == TEXT
        monkeypatch.delenv("LLMKIT_SANDBOX")
        await client.generate_text(QUESTION)
    assert keys_at(server) == [OLD, OLD]


async def test_what_one_server_refused_is_sent_to_another(two, recorder, monkeypatch):
    old, new = two
    point(monkeypatch, "openai", old, OLD)
    async with llmkit.client("openai:sandbox") as client:
        old.fail_next("refuse=top_p")
        with pytest.warns(UserWarning, match="does not support top_p"):
            await client.generate_text(QUESTION, top_p=0.5)
        await client.generate_text(QUESTION, top_p=0.5)
        assert "top_p" not in old.requests[-1].body
        point(monkeypatch, "openai", new, NEW)
        await client.generate_text(QUESTION, top_p=0.5)
    assert new.requests[-1].body["top_p"] == 0.5


async def test_a_key_that_the_sandbox_refuses_is_not_tried_for_ever(recorder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", OLD)
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    async with llmkit.client("openai:sandbox!401") as client:
        with pytest.raises(AuthenticationError):
            await asyncio.wait_for(client.generate_text(QUESTION), 10)


# Headers -------------------------------------------------------------------------------------------------


def sent(client):
    headers = client._endpoint.transport._prepare()[1](OutgoingRequest("POST", "", b""))
    return {name.lower(): value for name, value in headers.items()}


def of_sdk(client):
    """What an SDK's client would send, but for what it tells of itself."""
    headers = {**client.default_headers, **client.auth_headers}
    own = ("x-stainless", "user-agent")
    return {k.lower(): v for k, v in headers.items() if isinstance(v, str) and not k.lower().startswith(own)}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1"},
        pytest.param(
            {"OPENAI_CUSTOM_HEADERS": "x-one: 1\nx-two:two words\nnonsense"},
            marks=pytest.mark.skipif(OLDEST, reason="openai 1.92 does not read it"),
        ),
        {"ANTHROPIC_CUSTOM_HEADERS": "anthropic-beta: context-1m-2025-08-07"},
    ],
)
def test_the_headers_are_those_of_the_sdks(monkeypatch, environment):
    for name, value in {"OPENAI_API_KEY": OLD, "ANTHROPIC_API_KEY": OLD, **environment}.items():
        monkeypatch.setenv(name, value)
    pairs = [(llmkit.OpenAIClient(model="x"), openai.AsyncOpenAI())]
    if not OLDEST:  # former releases name a former version of the API
        pairs.append((llmkit.AnthropicClient(model="x"), anthropic.AsyncAnthropic()))
    for client, sdk in pairs:
        ours = {"content-type": "application/json", **sent(client)}
        assert ours.pop("user-agent") == f"llmkit/{llmkit.__version__}"
        assert ours == of_sdk(sdk)


def test_a_bearer_token_of_anthropics_is_sent_as_its_sdk_does(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", OLD)
    assert sent(llmkit.AnthropicClient(model="x"))["authorization"] == f"Bearer {OLD}"
    assert of_sdk(anthropic.AsyncAnthropic())["authorization"] == f"Bearer {OLD}"


@pytest.mark.parametrize("name", ["openrouter", "groq", "vllm", "anthropic", "google", "mine"])
def test_what_was_set_up_for_openai_goes_to_openai_only(monkeypatch, name):
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(variable, "only-for-openai")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-one: only-for-openai")
    place = {"base_url": "http://127.0.0.1:1"} if name == "mine" else {}
    assert "only-for-openai" not in json.dumps(sent(llmkit.client(f"{name}:x", api_key="k", **place)))


def test_nothing_of_the_users_goes_to_the_sandbox(monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "secret-0123456789")
    assert "secret" not in json.dumps(sent(llmkit.client("openai:x")))


def test_a_server_that_wants_no_key_gets_none():
    assert "authorization" not in sent(llmkit.client("ollama:x"))


def test_the_organisation_follows_the_environment(monkeypatch):
    client = llmkit.client("openai:x", api_key="k")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    assert sent(client)["openai-organization"] == "org-1"
    monkeypatch.setenv("OPENAI_ORG_ID", "org-2")
    assert sent(client)["openai-organization"] == "org-2"


# Project files are untrusted -----------------------------------------------------------------------------


def name_in_project(folder, provider, url, file="llmkit.toml"):
    table = "base_urls" if file == "llmkit.toml" else "tool.llmkit.base_urls"
    (folder / file).write_text(f'[{table}]\n{provider} = "{url}"\n')


@pytest.mark.parametrize("file", ["llmkit.toml", "pyproject.toml"])
@pytest.mark.parametrize("provider", PATHS)
@pytest.mark.usefixtures("recorder")
async def test_a_key_does_not_go_where_only_a_project_says(server, monkeypatch, tmp_path, provider, file):
    monkeypatch.setenv(catalog.providers()[provider].key_env[0], OLD)
    name_in_project(tmp_path, provider, server.url(PATHS[provider]), file)
    async with llmkit.client(f"{provider}:sandbox") as client:
        for ask in (
            client.generate_text,
            lambda q: read(client.stream_text(q)),
            lambda q: client.list_models(),
        ):
            with pytest.raises(ConfigurationError, match=f"was not sent: base_urls.{provider}") as caught:
                await ask(QUESTION)
    assert f"run {runtimes.command('trust http://127.0.0.1')}" in str(caught.value)
    assert OLD not in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize("origin", ["session", "keyring", "numbered", "manager"])
async def test_wherever_the_key_is_from(server, recorder, monkeypatch, tmp_path, origin):
    from llmkit.clients.credentials import access, keys
    from llmkit.core.redaction import Secret

    name_in_project(tmp_path, "openai", server.url())
    options = {}
    if origin == "session":
        manager = llmkit.APIKeyManager()
        manager.set_key("openai", OLD)
        monkeypatch.setattr(access, "keys", manager)
    elif origin == "keyring":
        monkeypatch.setattr(keys, "_from_keyring", lambda provider: Secret(OLD, "the keyring"))
    else:
        monkeypatch.setenv("OPENAI_API_KEY_1" if origin == "numbered" else "OPENAI_API_KEY", OLD)
        options = {"api_key": llmkit.APIKeyManager()} if origin == "manager" else {}
    async with llmkit.client("openai:sandbox", **options) as client:
        with pytest.raises(ConfigurationError, match="was not sent"):
            await client.generate_text(QUESTION)
    assert not server.requests


@pytest.mark.parametrize("given", [OLD, [OLD], llmkit.APIKeyManager({"openai": [OLD]})])
async def test_a_key_that_is_given_with_the_model_is_the_users_word(
    server, recorder, monkeypatch, tmp_path, given
):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    name_in_project(tmp_path, "openai", server.url())
    async with llmkit.client("openai:sandbox", api_key=given) as client:
        await client.generate_text(QUESTION)
    assert keys_at(server) == [OLD]
    assert "openai-organization" not in {name.lower() for name in server.requests[0].headers}


async def test_a_trusted_address_gets_the_key_until_that_is_revoked(server, recorder, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", OLD)
    name_in_project(tmp_path, "openai", server.url())
    async with llmkit.client("openai:sandbox") as client:
        assert llmkit.trust(server.url()) == [server.url()]
        await client.generate_text(QUESTION)
        assert llmkit.trust(server.url(), revoke=True) == []
        with pytest.raises(ConfigurationError, match="was not sent"):
            await client.generate_text(QUESTION)
    assert keys_at(server) == [OLD]


def test_the_list_of_trusted_addresses_is_the_owners_alone(tmp_path):
    llmkit.trust("https://gate.example/team/")
    llmkit.trust("https://gate.example/team")
    assert llmkit.trust() == ["https://gate.example/team"]
    assert stat.S_IMODE(trust_file().stat().st_mode) == 0o600
    assert (tmp_path / "config") in trust_file().parents


def test_what_was_never_trusted_cannot_be_revoked():
    with pytest.raises(ConfigurationError, match="is not trusted"):
        llmkit.trust("https://gate.example", revoke=True)


async def test_the_users_own_file_and_environment_need_no_such_word(
    two, recorder, monkeypatch, tmp_path, own_settings
):
    old, new = two
    monkeypatch.setenv("OPENAI_API_KEY", OLD)
    own_settings.mkdir(parents=True)
    settings.user_file().write_text(f'[base_urls]\nopenai = "{old.url()}"\n')
    async with llmkit.client("openai:sandbox") as client:
        await client.generate_text(QUESTION)
        name_in_project(tmp_path, "openai", "http://127.0.0.1:1/v1")
        monkeypatch.setenv("OPENAI_BASE_URL", new.url())
        await client.generate_text(QUESTION)
    assert [keys_at(server) for server in two] == [[OLD], [OLD]]


async def test_a_local_server_without_a_key_is_asked_where_the_project_says(server, recorder, tmp_path):
    name_in_project(tmp_path, "ollama", server.url())
    async with llmkit.client("ollama:sandbox") as client:
        assert (await client.generate_text(QUESTION)).content == TEXT


def test_an_address_is_trusted_and_revoked_in_a_cell(capsys):
    from llmkit.notebook.cell.subcommands import parse_command
    from llmkit.notebook.commands.handlers import run

    for words, told in (
        (["trust"], "None: keys are sent only to addresses that you have set yourself"),
        (["trust", "https://gate.example/v1"], "https://gate.example/v1"),
        (["trust", "revoke", "https://gate.example/v1"], "None: keys are sent only"),
    ):
        run(None, parse_command(words))
        assert told in capsys.readouterr().out
    assert parse_command(["trust", "me", "on", "this"]) is None


def test_the_doctor_tells_of_addresses_and_proxies(monkeypatch, tmp_path):
    from llmkit.notebook.commands.doctor import _addresses

    assert _addresses().text == "keys are sent only to addresses that you have named"
    name_in_project(tmp_path, "openai", "https://gate.example/v1")
    monkeypatch.setenv("https_proxy", "http://me:secret@p:1")
    settings._load.cache_clear()
    text = _addresses().text
    assert "names https://gate.example/v1: your keys are not sent there" in text
    assert "through the proxy http://p:1 (https_proxy)" in text
    assert "secret" not in text
    llmkit.trust("https://gate.example")
    assert "https://gate.example may receive your keys" in _addresses().text


def test_a_project_does_not_trust_itself(tmp_path):
    (tmp_path / "llmkit.toml").write_text('trusted = ["http://127.0.0.1"]\n')
    with pytest.raises(ConfigurationError, match="unknown settings: trusted"):
        settings.load()


# Keys from a .env ----------------------------------------------------------------------------------------


async def test_a_key_is_read_from_a_dotenv_if_the_users_own_settings_say_so(
    server, recorder, monkeypatch, tmp_path, own_settings
):
    import os

    (tmp_path / ".env").write_text(f"OPENAI_API_KEY='{OLD}'\nOPENAI_BASE_URL=http://127.0.0.1:1\nPATH=/x\n")
    before = dict(os.environ)
    async with llmkit.client("openai:sandbox", base_url=server.url()) as client:
        with pytest.raises(AuthenticationError, match="No openai key"):
            await client.generate_text(QUESTION)
        own_settings.mkdir(parents=True)
        settings.user_file().write_text("dotenv = true\n")
        settings._load.cache_clear()
        assert settings.load().dotenv
        await client.list_models()
    assert keys_at(server) == [OLD]
    assert settings.base_url(catalog.providers()["openai"]) == "https://api.openai.com/v1"
    assert dict(os.environ) == before


def test_a_project_cannot_ask_for_its_dotenv(tmp_path):
    (tmp_path / "llmkit.toml").write_text("dotenv = true\n")
    with pytest.raises(ConfigurationError, match="a project must not choose the source of your keys"):
        settings.load()


def test_the_project_wins_over_the_users_own_file(tmp_path, own_settings):
    own_settings.mkdir(parents=True)
    settings.user_file().write_text('model = "haiku"\ntimeout = 5\n[aliases]\na = "openai:x"\n')
    (tmp_path / "llmkit.toml").write_text('model = "sonnet"\n[aliases]\nb = "openai:y"\n')
    found = settings.load()
    assert (found.model, found.timeout, found.aliases) == ("sonnet", 5, {"a": "openai:x", "b": "openai:y"})


def test_a_missing_key_is_explained_without_magics_where_there_is_no_ipython(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    said = str(missing_key("openai"))
    assert "llmkit key openai, or set OPENAI_API_KEY" in said
    assert "set LLMKIT_SANDBOX=1" in said
    assert "%" not in said
    monkeypatch.setitem(sys.modules, "IPython", object())
    assert "%llm key openai" in str(missing_key("openai"))


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("program", ["%llm", "llmkit"])
async def test_errors_name_commands_as_they_are_typed_here(server, monkeypatch, tmp_path, program):
    if program == "%llm":
        monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    else:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(ConfigurationError, match=f"run {program} key PROVIDER,"):
        llmkit.check_environment_variables()
    monkeypatch.setenv("OPENAI_API_KEY", OLD)
    name_in_project(tmp_path, "openai", server.url())
    async with llmkit.client("openai:sandbox") as client:
        with pytest.raises(ConfigurationError, match=f"run {program} trust http://127.0.0.1"):
            await client.generate_text(QUESTION)
