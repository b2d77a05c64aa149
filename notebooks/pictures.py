"""Draw the pictures of the README and the notebooks: `python notebooks/pictures.py [NAME …]`.

The names are `cell`, `charts`, `chat` and `dashboard`. `charts` needs matplotlib only; the others drive JupyterLab in Chromium, as the browser tests do.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image
    from playwright.sync_api import Locator

FOLDER = Path(__file__).parent
DATE, DAILY = "2026-10-20", 0.75  # the morning and the budget of cost_analysis.ipynb
CHARTS = {"spent-so-far": "cumulative", "by-model": "model", "most-expensive-cells": "most_expensive"}
CHAT_CELLS = ("load", "data", "chat")
QUESTIONS = (
    "Does coffee depend on the temperature?",
    "On which day did we sell the least coffee?",
)


def charts() -> None:
    """Draw the made-up month, light whatever the reader's style is, small enough for a README."""
    from matplotlib import pyplot as plt

    from llmkit.costs import demo

    month = demo.month(":memory:", "2026-10")
    options = {"cumulative": {"until": DATE, "daily": DAILY}}
    with plt.style.context("default"):
        for name, kind in CHARTS.items():
            figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
            month.plot(kind, ax=axes, **options.get(kind, {}))
            save(figure, name, dpi=150)
        figure, four = plt.subplots(2, 2, figsize=(13, 8.2), layout="constrained")
        for axes, kind in zip(four.flat, ("cumulative", "model", "most_expensive", "saved"), strict=True):
            month.plot(kind, ax=axes, **options.get(kind, {}))
        save(figure, "cost-analysis", dpi=110)


def save(figure: Figure, name: str, *, dpi: int) -> None:
    """Write a figure on white, in a palette: a third of the bytes."""
    from matplotlib import pyplot as plt
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, facecolor="white")
    plt.close(figure)
    shrink(Image.open(buffer)).save(FOLDER / f"{name}.png", optimize=True)


def shrink(image: Image) -> Image:
    """Return a picture with at most 256 colours; the octree keeps rare ones, such as a thin bar's."""
    from PIL.Image import Quantize

    return image.convert("RGB").quantize(256, method=Quantize.FASTOCTREE, dither=0)


def cell() -> None:
    """Run the first question of quickstart.ipynb, and take a picture of the answer with its price."""
    sys.path.insert(0, str(FOLDER.parent))
    from PIL import Image

    from tests.support.lab import browse, run_cell, serve_lab

    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        notebook = json.loads((FOLDER / "quickstart.ipynb").read_text(encoding="utf-8"))
        notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in ("load", "ask")]
        (place / "quickstart.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
        with serve_lab(place) as address, browse(address, "quickstart.ipynb") as page:
            page.keyboard.press("ControlOrMeta+b")  # hides the list of files
            run_cell(page, 0)
            run_cell(page, 1)
            last = page.locator(".jp-Notebook .jp-Cell").last
            last.locator(".jp-InputPrompt", has_text="[2]").wait_for(timeout=60_000)  # it is done
            picture = last.screenshot()
    shrink(Image.open(io.BytesIO(picture))).save(FOLDER / "streamed-cell.png", optimize=True)


def chat() -> None:
    """Ask in the chat of chat.ipynb, edit the question, and take a picture."""
    sys.path.insert(0, str(FOLDER.parent))
    from PIL import Image

    from tests.support.lab import browse, run_cell, serve_lab

    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        notebook = json.loads((FOLDER / "chat.ipynb").read_text(encoding="utf-8"))
        notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in CHAT_CELLS]
        (place / "chat.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
        with serve_lab(place, LLMKIT_SANDBOX_RATE="0") as address, browse(address, "chat.ipynb") as page:
            page.set_viewport_size({"width": 1100, "height": 1000})
            for number in range(len(CHAT_CELLS)):
                run_cell(page, number)
            talk(page.locator(".llmkit-chat"))
            picture = page.locator(".jp-Notebook .jp-Cell").last.screenshot()
    shrink(Image.open(io.BytesIO(picture))).save(FOLDER / "chat.png", optimize=True)


def talk(shown: Locator) -> None:
    """Ask a question, then change it."""
    shown.wait_for(timeout=30_000)
    box = shown.locator("textarea").and_(shown.get_by_label("Your question", exact=True))
    for number, asked in enumerate(QUESTIONS):
        box.press("ArrowUp" if number else "ControlOrMeta+a")  # opens the last question
        shown.page.keyboard.press("ControlOrMeta+a")
        shown.page.keyboard.type(asked)
        shown.page.keyboard.press("Enter")
        shown.locator(".user", has_text=asked).wait_for(timeout=30_000)
        shown.locator(".assistant").last.get_by_role("toolbar").wait_for(timeout=30_000)


def dashboard() -> None:
    """Show the made-up month, and the calls behind its most expensive model."""
    sys.path.insert(0, str(FOLDER.parent))
    from PIL import Image

    from tests.support.lab import browse, run_cell, serve_lab, write_notebook

    cell = "from llmkit.costs import demo\ndemo.month(':memory:').dashboard(since='all')"
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        write_notebook(place / "dashboard.ipynb", cell)
        with serve_lab(place) as address, browse(address, "dashboard.ipynb") as page:
            page.set_viewport_size({"width": 1400, "height": 1600})
            page.keyboard.press("ControlOrMeta+b")  # hides the list of files
            run_cell(page, 0)
            page.locator(".llmkit-dash-chart .mark").first.wait_for(timeout=60_000)
            page.locator(".llmkit-dash-table th button").first.click()
            page.locator(".llmkit-dash-if select").select_option("openai:gpt-6-luna")
            page.locator(".llmkit-dash-answer", has_text="gpt-6-luna").wait_for(timeout=30_000)
            picture = page.locator(".jp-OutputArea").first.screenshot()
    image = Image.open(io.BytesIO(picture))
    shrink(image.crop((60, 0, *image.size))).save(FOLDER / "dashboard.png", optimize=True)


PICTURES = {"cell": cell, "charts": charts, "chat": chat, "dashboard": dashboard}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(PICTURES)
    if unknown := {*chosen} - {*PICTURES}:
        sys.exit(f"No such pictures: {', '.join(sorted(unknown))}. There are: {', '.join(PICTURES)}.")
    for one in chosen:
        PICTURES[one]()
