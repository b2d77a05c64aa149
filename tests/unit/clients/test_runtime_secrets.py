"""Keys in Colab's and Kaggle's secrets: read for a call that names the provider, once, and never shown."""

import asyncio
import sys
import threading
import time
import types
from contextlib import suppress
from typing import ClassVar

import pytest

import llmkit
from llmkit import AuthenticationError, OpenAIClient
from llmkit.clients import registry
from llmkit.clients.credentials import runtime_secrets
from llmkit.clients.credentials.keys import keys
from llmkit.notebook.commands.doctor import examine
from llmkit.notebook.model_list import lacks
from tests.support.callers import QUESTION
from tests.support.shells import opened

KEY = "sk-proj-Hosted0123456789abcdef"


class SecretNotFoundError(Exception):
    pass


class NotebookAccessError(Exception):
    pass


class TimeoutException(Exception):  # noqa: N818 - Colab's name
    pass


class Colab:
    """`google.colab.userdata`: what was asked for, and how it is answered."""

    def __init__(self):
        self.asked = []
        self.secrets = {}
        self.hangs = False
        self.ended = threading.Event()

    def get(self, name):
        self.asked.append(name)
        try:
            while self.hangs:  # as Colab's own loop does
                with suppress(Exception):
                    time.sleep(0.005)
        finally:
            self.ended.set()
        kept = self.secrets.get(name, SecretNotFoundError(f"Secret {name} does not exist."))
        if isinstance(kept, Exception):
            raise kept
        return kept


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch):
    monkeypatch.setattr(registry, "_shared", {})
    runtime_secrets.forget()
    yield
    runtime_secrets.forget()
    keys._keys.clear()


@pytest.fixture
def colab(monkeypatch):
    colab = Colab()
    module = types.ModuleType("google.colab.userdata")
    module.get = colab.get
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.userdata", module)
    return colab


@pytest.fixture
def kaggle(monkeypatch):
    class BackendError(Exception):
        pass

    class UserSecretsClient:
        secrets: ClassVar = {}

        def get_secret(self, label):
            if label not in self.secrets:
                raise BackendError(f"Unexpected response from the service. Response: {label}.")
            return self.secrets[label]

    module = types.ModuleType("kaggle_secrets")
    module.UserSecretsClient = UserSecretsClient
    monkeypatch.setitem(sys.modules, "kaggle_secrets", module)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    return UserSecretsClient


def client(server):
    return OpenAIClient(base_url=server.url("openai"), model="sandbox", max_retries=0)


def sent_keys(server):
    return [{k.lower(): v for k, v in r.headers.items()}["authorization"] for r in server.requests]


async def test_a_call_reads_the_secret_once(colab, server, recorder):
    colab.secrets["OPENAI_API_KEY"] = f" {KEY}\n"
    async with client(server) as openai:
        for _ in range(2):
            await openai.generate_text(QUESTION)
    assert colab.asked == ["OPENAI_API_KEY"]
    assert sent_keys(server) == [f"Bearer {KEY}"] * 2
    assert keys.find("openai").source == "Colab secret OPENAI_API_KEY"


async def test_calls_at_the_same_time_share_one_dialog(colab, server, recorder):
    colab.secrets["OPENAI_API_KEY"] = KEY
    async with client(server) as openai:
        await asyncio.gather(*(openai.generate_text(QUESTION) for _ in range(5)))
    assert colab.asked == ["OPENAI_API_KEY"]


async def test_the_environment_comes_first(colab, server, recorder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    async with client(server) as openai:
        await openai.generate_text(QUESTION)
    assert colab.asked == []


async def test_further_names_are_tried_only_if_the_first_does_not_exist(colab):
    colab.secrets["GEMINI_API_KEY"] = KEY
    assert (await runtime_secrets.ask("google")).reveal() == KEY
    assert colab.asked == ["GOOGLE_AI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"]


@pytest.mark.parametrize("refused", [NotebookAccessError("no"), TimeoutException("late")])
async def test_a_refusal_is_kept_and_explained(colab, server, recorder, refused):
    colab.secrets = {"ANTHROPIC_API_KEY": refused, "ANTHROPIC_AUTH_TOKEN": KEY, "OPENAI_API_KEY": refused}
    assert await runtime_secrets.ask("anthropic") is None
    assert colab.asked == ["ANTHROPIC_API_KEY"]
    async with client(server) as openai:
        for _ in range(2):
            with pytest.raises(AuthenticationError) as caught:
                await openai.generate_text(QUESTION)
    assert colab.asked == ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
    assert f"Colab secret OPENAI_API_KEY was not given ({type(refused).__name__})" in str(caught.value)
    assert "then run %llm key openai" in str(caught.value)
    assert not server.requests


async def test_a_missing_secret_is_explained(colab, server):
    async with client(server) as openai:
        with pytest.raises(AuthenticationError, match="There is no Colab secret OPENAI_API_KEY"):
            await openai.generate_text(QUESTION)


async def test_kaggles_secret_is_read(kaggle, server, recorder):
    kaggle.secrets["OPENAI_API_KEY"] = KEY
    async with client(server) as openai:
        await openai.generate_text(QUESTION)
    assert sent_keys(server) == [f"Bearer {KEY}"]
    assert await runtime_secrets.ask("groq") is None
    assert "There is no Kaggle secret GROQ_API_KEY" in runtime_secrets.refusal("groq")


async def test_a_kaggle_machine_without_a_token_has_no_secrets(kaggle, monkeypatch):
    def refuse(self):
        raise ValueError("A JWT Token is required")

    monkeypatch.setattr(kaggle, "__init__", refuse)
    assert await runtime_secrets.ask("openai") is None


async def test_nothing_but_a_call_asks(colab, recorder):
    colab.secrets["OPENAI_API_KEY"] = KEY
    assert llmkit.clients.registry.resolve().provider == "sandbox"
    assert lacks("openai") == "no key"
    report = await examine()
    assert "openai       no key yet: a call reads the secret OPENAI_API_KEY" in report
    with opened() as shell:
        shell.shell.complete("gpt", "%%llm -m gpt", 12)
    assert colab.asked == []


async def test_the_doctor_names_the_secret_and_not_its_value(colab, server, monkeypatch):
    colab.secrets["OPENAI_API_KEY"] = KEY
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("openai"))
    await runtime_secrets.ask("openai")
    report = await examine("openai:sandbox")
    assert "key from Colab secret OPENAI_API_KEY" in report
    assert KEY not in report


async def test_a_hanging_dialog_ends_with_the_call_and_is_asked_again(colab, server, recorder):
    colab.hangs = True
    colab.secrets["OPENAI_API_KEY"] = KEY
    async with client(server) as openai:
        call = asyncio.create_task(openai.generate_text(QUESTION))
        while not colab.asked:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(colab.ended.wait, 5), "the thread still takes the kernel's input"
        colab.hangs = False
        await openai.generate_text(QUESTION)
    assert colab.asked == ["OPENAI_API_KEY"] * 2


async def test_one_interrupted_call_leaves_the_dialog_to_the_others(colab, server, recorder):
    colab.hangs = True
    colab.secrets["OPENAI_API_KEY"] = KEY
    async with client(server) as openai:
        calls = [asyncio.create_task(openai.generate_text(QUESTION)) for _ in range(2)]
        while not colab.asked:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.01)
        calls[0].cancel()
        await asyncio.sleep(0.05)
        colab.hangs = False
        await calls[1]
    assert colab.asked == ["OPENAI_API_KEY"]


def test_the_key_command_asks_again(colab, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "llmkit.notebook.commands.handlers.getpass", lambda text: asked.append(text) or "typed-key"
    )
    with opened() as shell:
        shell.do("%llm key openai")  # there is no secret: the user types it
        assert keys.find("openai").reveal() == "typed-key"
        keys._keys.clear()
        colab.secrets["OPENAI_API_KEY"] = KEY
        shell.do("%llm key openai")
    assert keys.find("openai").reveal() == KEY
    assert len(asked) == 1
