"""The notebooks run from clean without a key, twice alike, and what they say is true."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient

from tests.support.kernels import RUNNING
from tests.support.month import simulated_month
from tests.support.products import few

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
LARGEST_PICTURE = 100_000  # bytes
LARGEST_NOTEBOOK = 500_000
QUICK = {"quickstart"}  # what runs without --full
WIDGET = "application/vnd.jupyter.widget-view+json"
CLOCKS = re.compile(
    r"(?:<\s*)?\d+(?:\.\d+)? (?:s|ms|tok/s)\b|127\.0\.0\.1:\d+|\d+:\d\d:\d\d\.\d+|0x[0-9a-f]+|fastest: \S+"
)


class Run(NamedTuple):
    """What a notebook left: its outputs by cell, and the files beside it."""

    outputs: dict[str, list]
    files: list[str]

    def text(self, cell):
        """What a cell printed or showed; a stream comes in pieces of any size."""
        return "".join(
            out["text"] if "text" in out else out.get("data", {}).get("text/plain", "") + "\n"
            for out in self.outputs[cell]
            if WIDGET not in out.get("data", {})  # its words are names made up anew
        )

    def pictures(self):
        return [o for outputs in self.outputs.values() for o in outputs if "image/png" in o.get("data", {})]


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", 4)


def notebook_digest(notebook):
    return runpy.run_path(str(FOLDER / "run.py"))["digest"](notebook)


def kinds(outputs):
    """What a cell shows, without the words that stand in for a widget: a progress bar is not saved."""
    found = {kind for out in outputs for kind in out.get("data", {out.get("name"): None})}
    return found - {WIDGET, "text/plain"}


def markdown(name):
    return "\n\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")


def prose(name):
    """What a reader sees: dollars without their backslash, bold amounts without their asterisks."""
    return " ".join(re.sub(r"\*\*(\$[\d.]+)\*\*", r"\1", markdown(name).replace("\\$", "$")).split())


def execute(name, folder):
    if name == "tools" and importlib.util.find_spec("mcp") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs the extra mcp")
    notebook = read(name)
    client = NotebookClient(notebook, **RUNNING, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    return Run(outputs, sorted(path.name for path in folder.iterdir()))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a notebook in an empty folder; each one once for all tests of this file."""
    done = {}

    def once(name):
        if name not in done:
            done[name] = execute(name, tmp_path_factory.mktemp(name))
        return done[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LLMKIT_LEDGER", raising=False)  # as a user has it: the notebook says where its rows go
        patch.setenv("LLMKIT_SANDBOX_RATE", "0")
        yield once


@pytest.mark.kernel
@pytest.mark.parametrize("name", few(NAMES, QUICK))
def test_notebook_runs_warns_of_nothing_and_leaves_nothing(name, run):
    outputs, files = run(name)
    said = [output for cell in outputs.values() for output in cell]
    assert not [output.text for output in said if output.get("name") == "stderr"]
    assert not [output for output in said if output.output_type == "error"]
    assert not files


@pytest.mark.kernel
@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_notebook_says_the_same_when_it_is_run_again(name, run, tmp_path):
    first, second = run(name), execute(name, tmp_path)
    table_of_times = {"df"} if name == "quickstart" else set()
    for cell in first.outputs.keys() - table_of_times:
        assert CLOCKS.sub("…", first.text(cell)) == CLOCKS.sub("…", second.text(cell)), cell


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_valid_and_small(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST_NOTEBOOK
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_outputs_are_those_of_these_cells(name):
    """`python notebooks/run.py` writes them."""
    notebook = read(name)
    assert notebook.metadata.llmkit.cells == notebook_digest(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    said = [output for cell in code for output in cell.outputs]
    assert said
    assert not [output for output in said if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_outputs_name_no_place_of_the_machine_that_made_them(name):
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert not re.search(r"/(?:tmp|root|home|work|opt)/\w|site-packages", text)
    assert "outside a notebook" not in text


@pytest.mark.kernel
@pytest.mark.parametrize("name", few(NAMES, QUICK))
def test_the_saved_outputs_are_of_the_kinds_that_it_shows_today(name, run):
    saved = {cell.id: cell.outputs for cell in read(name).cells if cell.cell_type == "code"}
    shown = run(name).outputs
    assert {cell: kinds(outputs) for cell, outputs in saved.items()} == {
        cell: kinds(outputs) for cell, outputs in shown.items()
    }


def test_the_saved_dashboard_shows_made_up_calls_and_nobodys_own():
    (output,) = (output for cell in read("dashboard").cells for output in cell.get("outputs", []))
    said = output.data["text/plain"]
    assert re.search(r"^total +\$\d+\.\d\d ", said, re.MULTILINE)
    assert "Simulated calls: not real money" in said


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_of_a_notebook_are_there_and_small(name):
    text = markdown(name)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (FOLDER / target).is_file(), target
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text):
        assert (FOLDER / picture).stat().st_size < LARGEST_PICTURE


@pytest.mark.parametrize("name", NAMES)
def test_dollars_in_the_text_are_no_formula(name):
    bare = re.sub(r"```.*?```|`[^`]*`", "", markdown(name), flags=re.DOTALL)
    assert not re.findall(r"(?<!\\)\$.{0,20}", bare)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.png")), ids=lambda path: path.stem)
def test_pictures_are_small_and_light(path):
    assert path.stat().st_size < LARGEST_PICTURE
    assert np.median(imread(path)[..., :3]) > 0.9


def test_the_quickstart_leads_to_every_other_notebook():
    linked = {name for name in NAMES if f"({name}.ipynb)" in prose("quickstart")}
    assert linked == {*NAMES} - {"quickstart"}


@pytest.mark.kernel
def test_quickstart_streams_prices_and_charts(run):
    quickstart = run("quickstart")
    (answer,) = quickstart.outputs["ask"]
    assert "llmkit-footer" in answer.data["text/html"]
    assert "simulated" in quickstart.text("summary")
    assert len(quickstart.pictures()) == 1


@pytest.mark.kernel
@pytest.mark.full
def test_chat_knows_the_table_the_picture_and_the_thread(run):
    chat = run("chat")
    assert "kiosk: pandas DataFrame with 14 rows" in chat.text("sees")
    assert "image/png 500x300" in chat.text("attach")
    assert chat.text("thread-chat").strip() == "Your name is Noor."
    assert chat.text("check").splitlines() == [
        "Without that day: -2.8 cups per degree,",
        "so 43 cups at 30 °C. There were 12.",
    ]
    assert chat.text("export").startswith("## System\n\n> You are a careful statistician.")
    saved = chat.outputs["chat"][-1].data["text/html"]  # kept up to date by the cells below
    assert "What stands out in this picture?" in saved


@pytest.mark.kernel
@pytest.mark.full
def test_batch_loses_no_row_and_pays_only_for_answers(run):
    batch = run("batch")
    assert re.search(r"ProviderNotAvailableError +12\nLLMClientError +8$", batch.text("errors"))
    assert batch.text("retry").startswith("asked again: 12 rows")
    assert batch.text("retry").split()[-2:] == ["(blank)", "8"]
    calls = {row.split()[0]: row.split()[1:3] for row in batch.text("cost").splitlines()[2:]}
    assert calls == {"night": ["192", "12"], "again": ["12", "0"], "trial": ["10", "0"]}
    answered = {"night": 180, "again": 12, "trial": 10}  # a failed call has no price
    for row in batch.text("cost").splitlines()[2:]:
        run_name, *_, cost = row.split()
        assert float(cost) / answered[run_name] == pytest.approx(9e-5, rel=0.05)


@pytest.mark.kernel
@pytest.mark.full
def test_replay_pays_once(run):
    replay = run("replay")
    assert re.search(r"4 answers: paid \$0\.0\d*[1-9]\d*, saved \$0\.0000", replay.text("first"))
    assert re.search(r"4 answers: paid \$0\.0000, saved \$0\.0\d*[1-9]", replay.text("second"))
    assert "the same answers: True" in replay.text("second")
    (html,) = (output.data["text/html"] for output in replay.outputs["cell-2"])
    assert "replayed" in html
    assert "replayed: True | paid: 0.0" in replay.text("only")
    assert "has no recorded answer" in replay.text("miss")
    assert replay.text("auto").splitlines()[-2:] == ["Dai: replayed", "Eve: asked"]


@pytest.mark.kernel
@pytest.mark.full
def test_providers_own_model_in_thirty_lines_fallback_and_wall(run):
    (own,) = (cell.source for cell in read("providers").cells if cell.id == "own")
    assert len(own.splitlines()) <= 30
    providers = run("providers")
    right = {row.split()[0]: row.split()[1] for row in providers.text("score").splitlines()[1:]}
    assert right == {"wordlist": "8", "lab": "12", "openai": "12"}
    assert "NaN" in providers.text("score")
    assert len(providers.text("wrong").splitlines()) == 1 + 4
    assert "asked openai:gpt-5.4-mini!503, answered by wordlist" in providers.text("fallback")
    for cell, start in {
        "down": "ProviderNotAvailableError: ",
        "wall": "Limit per call $0.01: this call may cost up to $",
        "wall-unpriced": "The price of lab:llama-70b is unknown",
    }.items():
        (line,) = providers.text(cell).strip().splitlines()
        assert line.startswith(start)


@pytest.mark.kernel
@pytest.mark.full
def test_providers_show_reasoning_and_its_price(run):
    providers = run("providers")
    rows = [row.split()[1:] for row in providers.text("effort").splitlines() if re.match(r"\d ", row)]
    assert [effort for effort, *_ in rows] == ["none", "low", "high"]
    assert int(rows[0][1]) == 0 < int(rows[1][1]) < int(rows[2][1])
    assert float(rows[0][2]) < float(rows[1][2]) < float(rows[2][2])
    (html,) = (output.data["text/html"] for output in providers.outputs["effort-cell"])
    assert "<details" in html


@pytest.mark.kernel
@pytest.mark.full
def test_tools_run_within_their_price_ask_and_are_played_back(run):
    tools = run("tools")
    assert tools.text("run").splitlines() == [
        "- total_visitors(town='Bergen') gives 1690.",
        "- busiest_month(town='Bergen') gives June.",
    ]
    assert "▸ total_visitors(town='Oslo') → 3600" in tools.text("cell")
    paid, recorded = re.fullmatch(
        r"2 requests for \$(\S+); the ledger has \$(\S+)\n", tools.text("cost")
    ).groups()
    assert float(paid) == float(recorded) > 0
    by_price, by_steps = tools.text("cap").splitlines()
    assert re.search(r"0\.008\}: max_cost after [1-5] calls, \$0\.00[0-7]", by_price)
    assert "max_steps after 2 calls" in by_steps
    assert "failed: The user did not allow this call." in tools.text("approval").splitlines()[0]
    assert tools.text("approval").splitlines()[-3:][0].split() == ["April", "0", "0", "0"]
    assert re.fullmatch(
        r"first run: \$0\.0*[1-9]\d*; (.*) called 1 time.*\nsecond run: \$0\.0000; \1 called 1 time.*\n",
        tools.text("replay"),
    )
    assert tools.text("mcp-server").endswith("approve='always'\n")
    assert "gives closed" in tools.text("mcp-run")


@pytest.fixture(scope="module")
def month():
    return simulated_month("2026-10")


@pytest.mark.kernel
@pytest.mark.full
def test_cost_analysis_draws_all_its_charts(run):
    assert len(run("cost_analysis").pictures()) == 10


def test_cost_analysis_finds_what_the_month_has(month):
    text = prose("cost_analysis")
    total, calls = month.total().usd, month.df
    before = month.query(until="2026-10-20")["cost_usd"].sum()
    assert "about $24; it came to $26.34" in text
    assert (round(before / 19 * 31), round(total, 2)) == (24, 26.34)

    projects = month.summary("tag:project")
    share = projects[["calls", "cost_usd"]] / projects[["calls", "cost_usd"]].sum()
    assert "two thirds of the money with a sixth of the calls" in text
    assert share.loc["assistant"].tolist() == pytest.approx([1 / 6, 2 / 3], abs=0.01)
    assert "a third of the calls, 1.5 % of the cost" in text
    assert share.loc["monitoring"].tolist() == pytest.approx([1 / 3, 0.015], abs=0.001)

    models = month.summary("model")
    opus = models.loc["claude-opus-5-5"]
    assert "6 % of the calls and more than half of the cost, at six cents a call" in text
    assert round(opus["calls"] / len(calls), 2) == 0.06
    assert opus["cost_usd"] > total / 2
    assert round(opus["cost_usd"] / opus["calls"], 2) == 0.06
    assert models.index[models["unpriced"] > 0].tolist() == ["lab/preview-1"]
    assert models.loc["qwen3", "cost_usd"] == 0

    cells = month.summary(["notebook", "cell_id"])["cost_usd"].nlargest(2)
    assert "Two cells of `agent_prototype.ipynb` account for 42 % of the cost" in text
    assert {notebook for notebook, _ in cells.index} == {"agent_prototype.ipynb"}
    assert round(cells.sum() / total, 2) == 0.42


def test_cost_analysis_finds_night_cache_savings_and_failures(month):
    text, calls = prose("cost_analysis"), month.df
    night = calls[calls["notebook"].isna()]
    assert "It makes a third of all calls but costs only 39 cents" in text
    assert (round(len(night) / len(calls), 2), round(night["cost_usd"].sum(), 2)) == (0.33, 0.39)

    tokens = calls.assign(project=[tags["project"] for tags in calls["tags"]]).groupby("project")
    cached = tokens["cache_read_tokens"].sum() / tokens["input_tokens"].sum()
    assert "The thesis reads two thirds of its input from the cache, the assistant a tenth" in text
    assert cached[["thesis", "assistant"]].tolist() == pytest.approx([2 / 3, 0.1], abs=0.01)

    teaching = month.summary("tag:project").loc["teaching"]
    paid, saved = teaching["cost_usd"], teaching["saved_usd"]
    assert "Teaching cost $1.40 instead of $8.11: one line at the top of a notebook saved 83 %" in text
    assert (round(paid, 2), round(paid + saved, 2), round(saved / (paid + saved), 2)) == (1.40, 8.11, 0.83)

    batches = calls[calls["surface"] == "batch"]
    assert "Batches meet rate limits, two or three calls in a hundred" in text
    assert 0.02 < (batches["error"] == "RateLimitError").mean() < 0.03
    worst = month.summary(["day", "provider"])["errors"].idxmax()
    assert "one bad day, the 21st, at one provider" in text
    assert (str(worst[0])[:10], worst[1]) == ("2026-10-21", "anthropic")
