"""Completion, `%llm models` and the chat's menu offer the same models."""

from __future__ import annotations

from llmkit.clients.registry import session_aliases
from llmkit.core import catalog
from llmkit.core.naming import aliases, resolve
from llmkit.notebook.cell.completer import _models
from llmkit.notebook.cell.subcommands import Command
from llmkit.notebook.commands import handlers
from llmkit.notebook.model_list import lacks, model_groups, model_menu


def in_menu():
    return {name for group in model_menu() if group["group"] != "aliases" for name in group["models"]}


def test_completion_the_table_and_the_menu_list_the_same_models():
    table = handlers.run(None, Command(name="models", argument=""))
    completed = {choice.text for choice in _models() if choice.text not in aliases()}
    providers = {group.provider for group in model_groups()}
    # A menu cannot be typed into, so a provider that lists no models is not in it.
    assert set(table.index) - (providers & catalog.providers().keys()) == in_menu()
    assert completed == set(table.index) | providers


def test_a_superseded_provider_works_but_is_not_offered():
    assert str(resolve("google-legacy:gemini-2.5-flash")) == "google-legacy:gemini-2.5-flash"
    assert str(resolve("gemini-2.5-flash")) == "google:gemini-2.5-flash"
    assert not [group for group in model_groups() if group.provider == "google-legacy"]


def test_the_menu_has_the_aliases_of_the_session(monkeypatch):
    monkeypatch.setitem(session_aliases, "mine", "sandbox:sandbox-mini")
    assert "mine" in model_menu()[0]["models"]


def test_what_a_provider_lacks_is_its_key_or_its_server(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    found = [lacks(name) for name in ("openai", "anthropic", "ollama", "sandbox", "of-another-package")]
    assert found == ["no key", "", "local server", "", ""]
