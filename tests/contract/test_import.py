"""The front of the package: light to import, its names pinned, its examples true."""

import asyncio
import doctest
import importlib
import os
import pkgutil
import subprocess
import sys

import pytest

import llmkit

HEAVY = [
    "pandas",
    "matplotlib",
    "IPython",
    "ipywidgets",
    "aiohttp",
    "openai",
    "anthropic",
    "google.genai",
    "google.generativeai",
    "httpx2",
    "httpx",
    "numpy",
    "sqlite3",
    "genai_prices",
    "tqdm",
]
NAMES = [
    "aask",
    "ask",
    "run",
    "frames",
    "APIKeyManager",
    "Alert",
    "RuleAlert",
    "Webhook",
    "metrics",
    "AnthropicClient",
    "Attachment",
    "AuthenticationError",
    "BadResponseError",
    "BaseLLMClient",
    "Budget",
    "BudgetExceededError",
    "CallRecord",
    "Chat",
    "Comparison",
    "ConfigurationError",
    "ContextLengthError",
    "CostController",
    "GoogleAIClient",
    "GoogleGenerativeAIClient",
    "Health",
    "InvalidRequestError",
    "KeyStatus",
    "LLMClientError",
    "LLMMessage",
    "LLMMonitor",
    "LLMResponse",
    "LLMTimeoutError",
    "LLM_CONFIG",
    "Ledger",
    "ModelManager",
    "ModelNotFoundError",
    "OpenAIClient",
    "PermissionDeniedError",
    "ProviderClient",
    "ProviderNotAvailableError",
    "QuotaExceededError",
    "RateLimitError",
    "Replay",
    "ReplayMissError",
    "RequestQueue",
    "RetryPolicy",
    "Run",
    "Started",
    "Step",
    "StreamInterruptedError",
    "TOKEN_COSTS",
    "TextStream",
    "Timeouts",
    "Tool",
    "Usage",
    "acompare",
    "attach",
    "batch",
    "budget",
    "build_conversation",
    "check_environment_variables",
    "client",
    "compare",
    "ledger",
    "load_ipython_extension",
    "mcp",
    "on_call",
    "parts",
    "rate_limit_retry",
    "register",
    "replay",
    "safe_llm_call",
    "sandbox",
    "tool",
    "trust",
    "unload_ipython_extension",
    "validate_api_key",
    "tags",
]
MODULES = [
    m.name for m in pkgutil.walk_packages(llmkit.__path__, "llmkit.") if m.name != "llmkit.sandbox.__main__"
]


def fresh(code):
    """Run code in an interpreter of its own, warnings as errors, without coverage, which imports sqlite3."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_loads_nothing_heavy():
    assert fresh(f"import sys, llmkit; print(sorted(set({HEAVY}) & set(sys.modules)))").strip() == "[]"


def test_making_a_message_and_a_client_loads_no_sdk():
    code = "import sys, llmkit; llmkit.LLMMessage('user', 'Hi'); llmkit.OpenAIClient('k')"
    sdks = "{'openai', 'anthropic', 'google.genai', 'pandas', 'IPython'}"
    assert fresh(f"{code}; print(sorted({sdks} & set(sys.modules)))").strip() == "[]"


def test_the_public_names_are_pinned():
    assert sorted(llmkit.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name):
    assert getattr(llmkit, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = llmkit.no_such_name


def test_every_module_can_be_imported_by_itself():
    for name in MODULES:
        importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(
        module, extraglobs={"asyncio": asyncio}, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert not failed
