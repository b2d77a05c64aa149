"""Names that the session knows are names for the ledger, too."""

import pytest

import llmkit
from llmkit import ConfigurationError
from llmkit.clients import registry
from llmkit.core import naming
from llmkit.costs.ledger import Ledger

PRICES = {"large": {"input": 1, "output": 2}}


@pytest.fixture
def aliases(monkeypatch):
    monkeypatch.setattr(naming, "session_aliases", {})
    return naming.session_aliases


@pytest.fixture(autouse=True)
def mine(monkeypatch):
    monkeypatch.setattr(naming, "registered", {})
    llmkit.register("mine", llmkit.OpenAIClient)


@pytest.mark.parametrize("target", ["openai:gpt-4o-mini", "gpt-4o-mini"])
def test_an_alias_of_the_session_is_repriced(aliases, target):
    aliases["cheap"] = target
    assert "on openai:gpt-4o-mini at prices of" in repr(Ledger(":memory:").reprice("cheap"))


def test_an_alias_of_an_alias_is_repriced(aliases):
    aliases |= {"cheap": "cheaper", "cheaper": "openai:gpt-4o-mini"}
    assert "on openai:gpt-4o-mini at" in repr(Ledger(":memory:").reprice("cheap"))


def test_an_alias_of_the_session_wins_over_the_usual_one(aliases):
    aliases["sonnet"] = "openai:gpt-4o-mini"
    assert "on openai:gpt-4o-mini at" in repr(Ledger(":memory:").reprice("sonnet"))


def test_an_alias_that_leads_back_to_itself_says_so(aliases):
    aliases |= {"a": "b", "b": "a"}
    with pytest.raises(ConfigurationError, match="refers to itself"):
        Ledger(":memory:").reprice("a")


def test_a_model_of_a_registered_provider_has_the_price_of_its_name(aliases):
    aliases["big"] = "mine:large"
    ledger = Ledger(":memory:")
    for name in ("mine:large", "big"):
        assert "on mine:large at the given prices" in repr(ledger.reprice(name, prices=PRICES))
    with pytest.raises(ConfigurationError, match="The price of mine:large is unknown"):
        ledger.reprice("big")


@pytest.mark.parametrize("name", ["mine", "ollama"])
def test_a_provider_without_a_model_asks_which(name):
    with pytest.raises(ConfigurationError, match=f"{name} is a provider.*{name}:MODEL"):
        Ledger(":memory:").reprice(name)


@pytest.mark.parametrize("ask", [registry.resolve, Ledger(":memory:").reprice], ids=["client", "ledger"])
def test_both_layers_have_the_same_nearest_name(aliases, ask):
    aliases["cheap"] = "openai:gpt-4o-mini"
    with pytest.raises(ConfigurationError, match=r"Unknown model or provider: 'cheep'\. Did you mean cheap"):
        ask("cheep")


def test_a_name_with_the_folder_that_google_writes_is_the_same_model():
    ledger = Ledger(":memory:")
    assert "on google:gemini-2.5-flash at" in repr(ledger.reprice("google:models/gemini-2.5-flash"))
