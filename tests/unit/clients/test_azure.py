"""Azure OpenAI: a deployment is the model, its endpoint has no path, its price is that of the base model."""

import json
from decimal import Decimal

import pytest

import llmkit
from llmkit import ConfigurationError, prices
from llmkit.content.messages import Usage
from tests.support.peer import Peer, http

ANSWER = {
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 0},
}


async def test_a_deployment_is_asked_at_its_endpoint(monkeypatch):
    async with Peer() as peer:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", peer.url)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k" * 20)
        peer.scripts["mini"] = [[http(200, json.dumps(ANSWER).encode())]]
        answer = await llmkit.client("azure:mini").generate_text("Hello")
    assert peer.heads[0].startswith("POST /openai/v1/chat/completions ")
    assert answer.cost_estimate == pytest.approx(0.15e-3)


def test_without_an_endpoint_the_error_names_the_variable(monkeypatch):
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(ConfigurationError, match="Set AZURE_OPENAI_ENDPOINT"):
        _ = llmkit.client("azure:mini").address


def test_the_price_is_that_of_the_base_model(tmp_path, monkeypatch):
    (tmp_path / "llmkit.toml").write_text('[base_models]\n"azure:mini" = "gpt-4o-mini"\n')
    monkeypatch.chdir(tmp_path)
    found = prices.listing("azure", ("mini",))
    assert found is not None
    assert found.price(Usage(input_tokens=10**6, output_tokens=0))[0] == Decimal("0.15")
