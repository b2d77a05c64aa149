"""What follows from environment variables is kept until one of them changes, and not a moment longer."""

import os

import pytest

from llmkit.clients.credentials.keys import keys
from llmkit.core import environment, origin, settings
from llmkit.transport import certificates, proxies


def test_it_stays_the_same_until_something_changes(monkeypatch):
    stamps = [environment.stamp()]
    assert environment.stamp() is stamps[0]
    for change in (
        lambda: monkeypatch.setenv("LLMKIT_ODD", "1"),
        lambda: monkeypatch.setenv("LLMKIT_ODD", "2"),
        lambda: monkeypatch.delenv("LLMKIT_ODD"),
    ):
        change()
        stamps.append(environment.stamp())
        assert environment.stamp() is stamps[-1]
    assert len({id(stamp) for stamp in stamps}) == 4, "an equal environment of before is another one, too"


def test_an_environment_that_is_replaced_counts_as_well(monkeypatch):
    before = environment.stamp()
    monkeypatch.setattr(os, "environ", {"LLMKIT_MODEL": "first"})
    assert environment.stamp() is not before
    assert settings.load().model == "first"
    os.environ["LLMKIT_MODEL"] = "second"
    assert settings.load().model == "second"


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("LLMKIT_MODEL", "sonnet", lambda: settings.load().model),
        ("LLMKIT_REPLAY", "auto", settings.replay_mode),
        ("LLMKIT_NOTEBOOK", "thesis.ipynb", origin.notebook_name),
        ("HTTPS_PROXY", "http://proxy:3128", lambda: proxies.proxy_for("https://api.example.com")),
        ("NO_PROXY", "example.com", lambda: proxies.proxy_for("https://example.com")),
        ("SSL_CERT_FILE", "/etc/ssl/one.pem", certificates.named),
        ("OPENAI_API_KEY", "a-key", lambda: keys.find("openai")),
        ("OPENAI_API_KEY_2", "a-key", lambda: keys.find("openai")),
    ],
)
def test_a_variable_that_is_set_or_removed_between_two_looks_takes_effect(monkeypatch, variable, value, read):
    monkeypatch.delenv(variable, raising=False)
    if variable == "NO_PROXY":
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    before = read()
    monkeypatch.setenv(variable, value)
    during = read()
    assert during != before
    assert read() == during
    monkeypatch.delenv(variable)
    assert read() == before


def test_the_settings_are_one_object_as_long_as_nothing_changes(monkeypatch):
    monkeypatch.setattr(
        "llmkit.core.settings.time.monotonic", lambda: 7.0
    )  # files are looked at once a second
    before = settings.load()
    assert settings.load() is before
    monkeypatch.setenv("LLMKIT_TIMEOUT", "5")
    assert settings.load() is not before
