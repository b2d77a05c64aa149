"""Record the README's animation in JupyterLab: `python notebooks/animation.py`.

A cell streams with its price, a second one is stopped, the chat answers, the dashboard opens. Chromium sends each
picture that it paints; they become one GIF with one palette.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.lab import browse, interrupt, run_cell, scroll_to, serve_lab, write_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

TARGET = Path(__file__).with_name("demo.gif")
SIZE = (860, 560)  # pixels of the notebook
SHORTEST, LONGEST = 0.1, 1.2  # seconds that a picture stands
LAST = 2.5
CELLS = (
    "%load_ext llmkit",
    "%%llm -o planets\nCompare the planets in a table.",
    "%%llm\nExplain list comprehensions with an example.",
    "import llmkit\nllmkit.Chat(system='Be brief.')",
    "from llmkit.costs import demo\ndemo.month(':memory:').dashboard(since='all')",
)
QUESTIONS = ("What is the capital of Peru?", "And of Chile?")


class Recorder:
    """The pictures that a page paints, with the second in which each was painted."""

    def __init__(self, page: Page) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self.session = page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self.take)

    def take(self, frame: dict[str, Any]) -> None:
        self.frames.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
        self.session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def start(self) -> None:
        self.session.send("Page.startScreencast", {"format": "png"})

    def stop(self) -> None:
        self.session.send("Page.stopScreencast")


def record() -> tuple[list[tuple[float, bytes]], tuple[int, int, int, int]]:
    """Play the scenes; return the pictures, and where the notebook is in them."""
    with tempfile.TemporaryDirectory() as work:
        write_notebook(Path(work, "demo.ipynb"), *CELLS)
        options = {"LLMKIT_LEDGER": str(Path(work, "ledger.sqlite")), "LLMKIT_SANDBOX_RATE": "60"}
        with serve_lab(Path(work), **options) as address, browse(address, "demo.ipynb") as page:
            page.set_viewport_size({"width": SIZE[0] + 60, "height": SIZE[1] + 120})
            page.keyboard.press("ControlOrMeta+b")  # hides the list of files
            run_cell(page, 0)
            cells = page.locator(".jp-Notebook .jp-Cell")
            ran(cells.nth(0))
            recorder = Recorder(page)
            recorder.start()
            stream(page, cells)
            stop(page, cells)
            chat(page, cells)
            dashboard(page, cells)
            recorder.stop()
            box = page.locator(".jp-WindowedPanel-outer").bounding_box()
    assert box is not None
    left, top = round(box["x"]), round(box["y"])
    return recorder.frames, (left, top, left + SIZE[0], top + SIZE[1])


def ran(cell: Locator) -> None:
    cell.locator(".jp-InputPrompt", has_text="[*]").wait_for(state="hidden")


def stream(page: Page, cells: Locator) -> None:
    run_cell(page, 1)
    cells.nth(1).locator(".llmkit-footer", has_text="$").wait_for()
    ran(cells.nth(1))
    page.wait_for_timeout(2_000)


def stop(page: Page, cells: Locator) -> None:
    scroll_to(cells.nth(2))
    run_cell(page, 2)
    page.wait_for_timeout(2_500)
    interrupt(page)
    cells.nth(2).locator(".llmkit-footer", has_text="stopped").wait_for()
    page.wait_for_timeout(1_500)


def chat(page: Page, cells: Locator) -> None:
    run_cell(page, 3)
    shown = page.locator(".llmkit-chat")
    shown.wait_for()
    shown.scroll_into_view_if_needed()
    shown.locator("textarea").and_(shown.get_by_label("Your question", exact=True)).click()
    for number, question in enumerate(QUESTIONS):
        page.keyboard.type(question, delay=45)
        page.keyboard.press("Enter")
        shown.locator(".assistant").nth(number).get_by_role("toolbar").wait_for()
        page.wait_for_timeout(1_200)


def dashboard(page: Page, cells: Locator) -> None:
    run_cell(page, 4)
    page.locator(".llmkit-dash-chart .mark").first.wait_for()
    page.wait_for_timeout(500)  # it scrolls by itself while the output grows
    page.locator(".llmkit-dash").first.evaluate("shown => shown.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(2_000)
    page.locator(".llmkit-dash-chart .mark").nth(12).hover()
    page.wait_for_timeout(2_000)


def animate(frames: list[tuple[float, bytes]], box: tuple[int, int, int, int]) -> None:
    """Write the GIF: pictures that differ, at most ten a second."""
    kept: list[tuple[float, Image.Image]] = []
    for second, data in frames:
        picture = Image.open(io.BytesIO(data)).convert("RGB").crop(box)
        if kept and (second - kept[-1][0] < SHORTEST or picture.tobytes() == kept[-1][1].tobytes()):
            continue
        kept.append((second, picture))
    seconds = [second for second, _ in kept]
    gaps = [after - before for before, after in zip(seconds, seconds[1:], strict=False)]
    durations = [round(1_000 * min(gap, LONGEST)) for gap in gaps] + [round(1_000 * LAST)]
    strip = Image.new("RGB", (SIZE[0], SIZE[1] * 4))
    for place in range(4):
        strip.paste(kept[(place + 1) * (len(kept) - 1) // 4][1], (0, place * SIZE[1]))
    palette = strip.quantize(128)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for _, picture in kept]
    pictures[0].save(
        TARGET, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )


if __name__ == "__main__":
    animate(*record())
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1_000:.0f} kB")
