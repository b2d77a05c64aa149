"""Settings: arguments win over the environment, the environment over the file."""

import subprocess
import sys
import time

import pytest

from llmkit import ConfigurationError, LLMMessage, LLMTimeoutError, OpenAIClient
from llmkit.core import settings

QUESTION = [LLMMessage("user", "echo: one two three")]


def test_nothing_set_is_nothing():
    assert settings.load() == settings.Settings()


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("LLM_DEFAULT_MODEL", "sonnet", "model", "sonnet"),
        ("LLM_DEFAULT_TEMPERATURE", "0.2", "temperature", 0.2),
        ("LLM_MAX_TOKENS", "100", "max_tokens", 100),
        ("LLM_TIMEOUT", "30", "timeout", 30.0),
        ("LLMKIT_SANDBOX", "1", "sandbox", True),
        ("LLMKIT_SANDBOX", "off", "sandbox", False),
        ("LLMKIT_REPLAY", " Only ", "replay", "only"),
        ("LLMKIT_REPLAY", "auto", "replay", "auto"),
        ("LLMKIT_REPLAY", "off", "replay", "off"),
        ("LLMKIT_REPLAY_FILE", "demo.replay", "replay_file", "demo.replay"),
        ("LLM_DEFAULT_MODEL", "  ", "model", None),
    ],
)
def test_the_environment_is_read(monkeypatch, variable, text, name, value):
    monkeypatch.setenv(variable, text)
    assert getattr(settings.load(), name) == value


def test_our_own_names_win_over_the_specifications(monkeypatch):
    monkeypatch.setenv("LLM_TIMEOUT", "30")
    monkeypatch.setenv("LLMKIT_TIMEOUT", "40")
    assert settings.load().timeout == 40


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("LLM_DEFAULT_TEMPERATURE", "warm"),
        ("LLM_DEFAULT_TEMPERATURE", "-1"),
        ("LLM_DEFAULT_TEMPERATURE", "nan"),
        ("LLM_MAX_TOKENS", "0"),
        ("LLM_MAX_TOKENS", "1.5"),
        ("LLM_TIMEOUT", "soon"),
        ("LLMKIT_SANDBOX", "maybe"),
        ("LLMKIT_REPLAY", "1"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=variable):
        settings.load()


def test_a_file_is_found_here_or_above(tmp_path, monkeypatch):
    (tmp_path / "llmkit.toml").write_text('model = "haiku"\ntimeout = 5\n')
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert (settings.load().model, settings.load().timeout) == ("haiku", 5)


def test_a_table_in_pyproject_is_read(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.llmkit]\nmodel = "haiku"\n')
    assert settings.load().model == "haiku"


def test_a_pyproject_without_our_table_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "llmkit.toml").write_text('model = "haiku"\n')
    (tmp_path / "a").mkdir()
    for text in ("[tool.other]\n", "no toml at all ["):
        (tmp_path / "a" / "pyproject.toml").write_text(text)
        monkeypatch.chdir(tmp_path / "a")
        assert settings.load().model == "haiku"


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    (tmp_path / "llmkit.toml").write_text('model = "haiku"\ntimeout = 5\n')
    monkeypatch.setenv("LLM_TIMEOUT", "6")
    assert (settings.load().model, settings.load().timeout) == ("haiku", 6)


def test_a_changed_file_shows_within_two_seconds(tmp_path):
    path = tmp_path / "llmkit.toml"
    path.write_text('model = "haiku"\n')
    assert settings.load().model == "haiku"
    path.write_text('model = "sonnet"\n')
    end = time.monotonic() + 10
    while settings.load().model != "sonnet" and time.monotonic() < end:
        time.sleep(0.05)
    assert settings.load().model == "sonnet"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle = 'x'", "unknown settings: modle"),
        ("timeout = 'x'", "timeout"),
        ("model = 7", "model"),
        ("aliases = 7", "aliases"),
        ("replay = true", "off, auto or only"),
        ("replay_file = 7", "replay_file"),
        ("[prices.m]\ninput = 1", "needs both input and output"),
        ("[prices.m]\ninput = 1\noutput = 1\ncached = 1", "unknown keys: cached"),
        ("[prices.m]\ninput = -1\noutput = 1", "prices"),
        ("no toml [", "Cannot read"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, said):
    (tmp_path / "llmkit.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        settings.load()
    assert "llmkit.toml" in str(caught.value)


@pytest.mark.parametrize("name", ["llmkit.toml", "pyproject.toml"])
def test_a_replay_file_is_found_beside_the_settings_that_name_it(tmp_path, monkeypatch, name):
    table = "" if name == "llmkit.toml" else "[tool.llmkit]\n"
    (tmp_path / name).write_text(table + 'replay = "only"\nreplay_file = "x/demo.replay"\n')
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert settings.load().replay_file == str(tmp_path / "x" / "demo.replay")
    assert settings.replay_mode() == "only"
    monkeypatch.setenv("LLMKIT_REPLAY", "auto")
    assert settings.replay_mode() == "auto"


@pytest.mark.parametrize("file", ["/x/demo.replay", "~/demo.replay"])
def test_a_replay_file_may_be_anywhere(tmp_path, monkeypatch, file):
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "llmkit.toml").write_text(f'replay_file = "{file}"\n')
    assert settings.load().replay_file == file.replace("~", "/home/me")


def test_the_replay_mode_is_the_settings(monkeypatch):
    assert settings.replay_mode() == settings.load().replay == "off"
    monkeypatch.setenv("LLMKIT_REPLAY", "always")
    with pytest.raises(ConfigurationError, match="LLMKIT_REPLAY: must be off, auto or only"):
        settings.replay_mode()


async def test_arguments_win_over_the_environment(server, recorder, monkeypatch):
    monkeypatch.setenv("LLM_DEFAULT_TEMPERATURE", "0.2")
    monkeypatch.setenv("LLM_MAX_TOKENS", "2")
    async with OpenAIClient("k", server.url(), model="sandbox") as client:
        assert (await client.generate_text(QUESTION)).content == "one two"
        assert (await client.generate_text(QUESTION, max_tokens=1, temperature=0.9)).content == "one"
    assert [request.body["temperature"] for request in server.requests] == [0.2, 0.9]


async def test_the_timeout_of_the_environment_is_kept(server, recorder, monkeypatch):
    monkeypatch.setenv("LLM_TIMEOUT", "0.3")
    server.fail_next("slow=3")
    async with OpenAIClient("k", server.url(), model="sandbox") as client:
        with pytest.raises(LLMTimeoutError, match=r"total timeout of 0\.3 s"):
            await client.generate_text(QUESTION)
    async with OpenAIClient("k", server.url(), model="sandbox", timeout=30) as client:
        assert await client.generate_text(QUESTION)


async def test_the_key_is_the_argument_else_the_environments(server, recorder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    for key in (None, "from-argument"):
        async with OpenAIClient(key, server.url(), model="sandbox") as client:
            await client.generate_text(QUESTION)
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer from-environment", "Bearer from-argument"]


def load_magics(folder, toml, more=""):
    """Load the extension in a shell of its own, in a folder with these settings; return what it prints."""
    (folder / "llmkit.toml").write_text(toml, encoding="utf-8")
    script = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
{more}
shell.run_line_magic("load_ext", "llmkit")
magics = shell.magics_manager.registry["LLMMagics"]
print(magics.system, magics.budget, magics.footer, magics.fallback)
"""
    command = [sys.executable, "-c", script]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)


MAGICS = """
[magics]
system = "Be brief."
budget = 0.05
footer = false
fallback = ["sandbox:second"]
"""


def test_a_project_says_what_its_magics_begin_with(tmp_path):
    assert load_magics(tmp_path, MAGICS).stdout == "Be brief. 0.05 False ['sandbox:second']\n"


def test_ipythons_own_configuration_wins_over_the_project(tmp_path):
    done = load_magics(tmp_path, MAGICS, "shell.config.LLMMagics.system = 'Rhyme.'")
    assert done.stdout == "Rhyme. 0.05 False ['sandbox:second']\n"


@pytest.mark.parametrize(
    ("line", "reason"), [("budget = 'much'", "expected a float"), ("colour = 1", "aliases, budget")]
)
def test_a_setting_of_the_magics_that_cannot_be_used_is_named(tmp_path, line, reason):
    done = load_magics(tmp_path, f"[magics]\n{line}\n")
    assert "ConfigurationError" in done.stderr
    assert reason in done.stderr
