"""Whose notebook it is: found where somebody tells it, and what becomes of its budget where nobody does."""

import os
import subprocess
import sys
import warnings

import pytest

import llmkit
from llmkit import BudgetExceededError, Ledger, LLMMessage, OpenAIClient, records
from llmkit.core import origin
from llmkit.core.errors import ConfigurationError
from tests.support.billing import charging
from tests.support.kernels import Kernel

QUESTION = [LLMMessage("user", "Count.")]
TOLD = (origin.ENVIRONMENT, origin.SESSION, *origin.VARIABLES)


@pytest.fixture(autouse=True)
def _nobody_tells(monkeypatch):
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "environment", "name"),
    [
        ({}, {}, None),
        ({}, {"JPY_SESSION_NAME": "/home/me/thesis.ipynb"}, "thesis.ipynb"),
        ({}, {"LLMKIT_NOTEBOOK": "thesis.ipynb", "JPY_SESSION_NAME": "/other.ipynb"}, "thesis.ipynb"),
        ({}, {"LLMKIT_NOTEBOOK": " ", "JPY_SESSION_NAME": "/other.ipynb"}, "other.ipynb"),
        ({"__vsc_ipynb_file__": "/home/me/thesis.ipynb"}, {}, "thesis.ipynb"),
        ({"__vsc_ipynb_file__": "/thesis.ipynb"}, {"JPY_SESSION_NAME": "/outer.ipynb"}, "thesis.ipynb"),
        ({"__vsc_ipynb_file__": r"c:\Users\me\thesis.ipynb"}, {}, "thesis.ipynb"),
        ({"__vsc_ipynb_file__": 5}, {}, None),
        ({"PAPERMILL_INPUT_PATH": "runs/in.ipynb", "PAPERMILL_OUTPUT_PATH": "runs/7.ipynb"}, {}, "in.ipynb"),
        ({"PAPERMILL_OUTPUT_PATH": "s3://bucket/7.ipynb"}, {}, "7.ipynb"),
        ({}, {"PAPERMILL_INPUT_PATH": "in.ipynb"}, "in.ipynb"),
        ({}, {"__vsc_ipynb_file__": "/thesis.ipynb"}, "thesis.ipynb"),
        ({"__vsc_ipynb_file__": r"/odd\name.ipynb"}, {}, r"odd\name.ipynb"),
    ],
)
def test_the_name_is_what_the_nearest_one_says(variables, environment, name, monkeypatch):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert origin.notebook_name(variables) == name


@pytest.mark.parametrize(
    ("variables", "environment", "file"),
    [
        ({}, {}, None),
        ({}, {"LLMKIT_NOTEBOOK": "label.ipynb"}, None),
        (
            {},
            {"LLMKIT_NOTEBOOK": "label", "JPY_SESSION_NAME": "/home/me/thesis.ipynb"},
            "/home/me/thesis.ipynb",
        ),
        ({"__vsc_ipynb_file__": "/home/me/thesis.ipynb"}, {}, "/home/me/thesis.ipynb"),
        ({"PAPERMILL_INPUT_PATH": "runs/in.ipynb"}, {}, "runs/in.ipynb"),
        ({}, {"JPY_SESSION_NAME": "fileId=1a2b"}, None),
    ],
)
def test_the_file_is_a_path_and_not_a_name(variables, environment, file, monkeypatch):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert origin.notebook_file(variables) == file


def test_python_without_magics_knows_the_name_too(monkeypatch):
    assert records.current_context().notebook is None
    monkeypatch.setattr(sys.modules["__main__"], "__vsc_ipynb_file__", "/a/thesis.ipynb", raising=False)
    assert records.current_context().notebook == "thesis.ipynb"


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    yield ledger
    records.set_recorder(before)
    ledger.close()


def test_setting_such_a_budget_says_that_it_cannot_hold_here(ledger):
    words = r"cannot be enforced here.*notebook's name is unknown.*are refused\. Set .*LLMKIT_NOTEBOOK"
    with pytest.warns(UserWarning, match=words):
        state = ledger.budget(per_notebook=1)
    assert "cannot be enforced here" in repr(state)
    assert "calls are refused" in state._repr_html_()
    with pytest.warns(UserWarning, match="calls from here are not limited by it"):
        state = ledger.budget(per_notebook=1, unknown_notebook="allow")
    assert (state.unknown_notebook, "calls are allowed" in repr(state)) == ("allow", True)


@pytest.mark.parametrize("changes", [{"daily": 1}, {"per_call": 1}, {"per_notebook": None}, {}])
def test_other_budgets_hold_here(ledger, changes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "cannot be enforced" not in repr(ledger.budget(**changes))


def test_an_unknown_policy_is_refused(ledger):
    with pytest.raises(ConfigurationError, match=r"Unknown policy unknown_notebook='ask'\."):
        ledger.budget(unknown_notebook="ask")


async def test_a_call_without_a_notebook_is_refused_until_it_has_one_or_that_is_allowed(ledger, monkeypatch):
    monkeypatch.setenv("LLMKIT_NOTEBOOK", "a.ipynb")
    ledger.budget(per_notebook=0.0005)
    monkeypatch.delenv("LLMKIT_NOTEBOOK")
    with charging() as provider:
        async with OpenAIClient("k", provider.url, model="gpt-4o-mini") as client:
            with pytest.raises(
                BudgetExceededError, match=r"cannot be enforced here.*unknown_notebook=\"allow\""
            ) as caught:
                await client.generate_text(QUESTION, max_tokens=20)
            assert (provider.requests, caught.value.cap) == (0, 0.0005)
            assert caught.value.needed > 0, "its price is known"
            monkeypatch.setenv("LLMKIT_NOTEBOOK", "a.ipynb")
            assert await spend(client) < 100, "with a known name the wall holds"
            monkeypatch.delenv("LLMKIT_NOTEBOOK")
            ledger.budget(unknown_notebook="allow")
            async for _ in client.stream_text(QUESTION, max_tokens=20):
                pass
    assert ledger.df["notebook"].isna().tolist()[-1]


async def spend(client):
    """Ask until the budget refuses; return how often it did not."""
    for number in range(100):
        try:
            async for _ in client.stream_text(QUESTION, max_tokens=20):
                pass
        except BudgetExceededError as error:
            assert "Budget of a.ipynb" in str(error)  # noqa: PT017 - the loop ends here
            return number
    return 100


async def test_what_costs_nothing_needs_no_name(ledger, server, monkeypatch):
    monkeypatch.setenv("LLMKIT_NOTEBOOK", "a.ipynb")
    ledger.budget(per_notebook=0.0005)
    monkeypatch.delenv("LLMKIT_NOTEBOOK")
    async with llmkit.client("ollama:llama3.2", base_url=server.url("openai")) as client:
        async for _ in client.stream_text(QUESTION):
            pass


SCRIPT = """
import asyncio, sys, warnings
import llmkit
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    llmkit.budget(per_notebook=1)
print("set:", *(each.message for each in said))
async def main():
    async with llmkit.OpenAIClient("k", sys.argv[1], model="gpt-4o-mini") as client:
        await client.generate_text([llmkit.LLMMessage("user", "Count.")], max_tokens=20)
try:
    asyncio.run(main())
except llmkit.BudgetExceededError as error:
    print("refused:", error)
"""


def test_a_plain_script_is_reported_and_refused(tmp_path):
    with charging() as provider:
        command = [sys.executable, "-c", SCRIPT, provider.url]
        env = {**os.environ, "LLMKIT_LEDGER": str(tmp_path / "l.sqlite")}
        out = subprocess.run(command, env=env, text=True, capture_output=True, check=True).stdout
        assert provider.requests == 0
    set_, refused = out.splitlines()
    assert "cannot be enforced here" in set_
    assert refused.startswith("refused: The budget per notebook cannot be enforced here")


@pytest.mark.kernel
class TestAKernel:
    """Without a front end, as under nbconvert, nobody tells it its notebook's name."""

    @pytest.fixture
    def kernel(self, tmp_path):
        kernel = Kernel(tmp_path, LLMKIT_LEDGER=str(tmp_path / "ledger.sqlite"))
        yield kernel
        kernel.close()

    def test_a_notebook_without_a_name_is_reported_and_refused_until_it_has_one(self, kernel):
        with charging() as provider:
            kernel.run(f"import os\nos.environ.update(OPENAI_BASE_URL={provider.url!r}, OPENAI_API_KEY='k')")
            kernel.run("%load_ext llmkit")
            result = kernel.run("%llm budget per_notebook=1")
            assert "cannot be enforced here" in result.data("text/plain")[0]
            ask = "%%llm openai:gpt-4o-mini -k 20\nCount."
            refused = kernel.run(ask)
            assert (refused.status, provider.requests) == ("error", 0)
            assert "cannot be enforced here" in str(refused.outputs)
            kernel.run("%llm budget unknown_notebook=allow")
            assert kernel.run(ask).status == "ok"
            kernel.run("%llm budget unknown_notebook=refuse")
            kernel.run("__vsc_ipynb_file__ = '/home/me/thesis.ipynb'")
            assert kernel.run(ask).status == "ok"
            kernel.run("import llmkit\nnames = [str(name) for name in llmkit.ledger.df.notebook]")
            assert "['nan', 'thesis.ipynb']" in kernel.run("print(names)").text
