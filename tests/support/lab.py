"""JupyterLab in a real Chromium for the tests."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.support.waiting import SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, LocatorAssertions, Page

logger = logging.getLogger(__name__)

TOKEN = "only-for-this-test"
FOLDERS = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
SETTINGS = {
    "notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "themes": '{"adaptive-theme": true}',  # follows the browser: light or dark
}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
]


def chromium() -> str:
    """Return the system's Chromium; without one the test is skipped, or fails in CI."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        message = "no Chromium: install Debian's package chromium, or set $CHROMIUM"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return found


@contextlib.contextmanager
def serve_lab(folder: Path, **environment: str) -> Iterator[str]:
    """Start JupyterLab on a folder, apart from the user's own settings.

    Yields:
        Its address.
    """
    own = {name: str(folder / ".own" / name.lower()) for name in FOLDERS}
    for name, text in SETTINGS.items():
        path = Path(
            own["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab/apputils-extension", f"{name}.jupyterlab-settings"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    options = [
        "--no-browser",
        "--allow-root",
        f"--ServerApp.port={some_port()}",
        f"--IdentityProvider.token={TOKEN}",
        "--KernelManager.transport=ipc",  # no ports: others may take one before the kernel has bound it
        f"--ServerApp.root_dir={folder}",
    ]
    with tempfile.TemporaryDirectory(prefix="llmkit-", ignore_cleanup_errors=True) as runtime:
        own["JUPYTER_RUNTIME_DIR"] = runtime  # a short path, for there are sockets in it
        command = [sys.executable, "-m", "jupyterlab", *options]
        with running(command, folder / "lab.log", **own, **environment) as process:
            facts = Path(runtime, f"jpserver-{process.pid}.json")
            address = until(lambda: _answering(facts, process))
            yield address


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, what it says going to a file, until the block ends."""
    with log.open("w") as said:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # a busy machine, on which it still shuts its kernels down
                process.kill()
                process.wait()


def some_port() -> int:
    """Return a port that was free; a server that finds it taken by then chooses another one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answering(facts: Path, process: subprocess.Popen[bytes]) -> str | None:
    """Return the address of JupyterLab once it answers."""
    assert process.poll() is None, "JupyterLab ended"
    with contextlib.suppress(OSError, ValueError):
        address = f"http://127.0.0.1:{json.loads(facts.read_text())['port']}"
        with urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=SECONDS):
            return address
    return None


def expect(locator: Locator) -> LocatorAssertions:
    """Playwright's assertions: they are looked at again and again until they hold."""
    from playwright.sync_api import expect

    expect.set_options(timeout=SECONDS * 1_000)
    return expect(locator)


@contextlib.contextmanager
def browse(address: str, notebook: str, *, dark: bool = False, classic: bool = False) -> Iterator[Page]:
    """Open a notebook in JupyterLab, or in Notebook 7 (`classic`), and wait until it is ready.

    Yields:
        The page, with the cell that was clicked first being the first one.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": 1100, "height": 900}, color_scheme="dark" if dark else "light"
        )
        page.set_default_timeout(SECONDS * 1_000)
        page.add_locator_handler(unasked(page), dismiss)
        workspace = f"lab/workspaces/{Path(notebook).stem}/tree"
        place = f"{'notebooks' if classic else workspace}/{notebook}"
        page.goto(f"{address}/{place}?token={TOKEN}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        try:
            yield page
        finally:
            browser.close()


def write_notebook(path: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


WATCH_PROMPT = """prompt => {
    prompt.started = false;
    new MutationObserver(() => { prompt.started = prompt.textContent !== "[ ]:"; })
        .observe(prompt, { childList: true, characterData: true, subtree: true });
}"""


def run_cell(page: Page, number: int) -> None:
    """Run a cell; again if it did not start, for JupyterLab takes the focus away while it restores."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    prompt = cell.locator(".jp-InputPrompt").first
    prompt.evaluate(WATCH_PROMPT)

    def started() -> bool:
        return bool(prompt.evaluate("prompt => prompt.started ?? prompt.textContent !== '[ ]:'"))

    def run() -> bool:
        cell.locator(".cm-content").click()
        if "jp-mod-active" not in (cell.get_attribute("class") or ""):
            return False
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(AssertionError):
            return until(started, seconds=5)
        return False

    until(run)


def scroll_to(cell: Locator) -> None:
    """Bring a cell into view; again if JupyterLab, which keeps only cells near the view, drew it anew."""
    from playwright.sync_api import Error

    for _ in range(20):
        try:
            cell.scroll_into_view_if_needed()
        except Error as error:
            if "not attached" not in error.message:
                raise
            logger.info("drawn anew while it was scrolled to: %s", cell)
        else:
            return
    pytest.fail(f"{cell} does not stay in the page")


def saved_when(
    page: Page, path: Path, found: Callable[[nbformat.NotebookNode], object]
) -> nbformat.NotebookNode:
    """Save a notebook until the file holds what is looked for, and return it."""

    def saved() -> nbformat.NotebookNode | None:
        page.locator(".jp-Notebook .jp-Cell").first.locator(".cm-content").click()
        page.keyboard.press("Control+s")
        with contextlib.suppress(AssertionError):
            return until(written, seconds=2)
        return None

    def written() -> nbformat.NotebookNode | None:
        with contextlib.suppress(nbformat.reader.NotJSONError):  # it is being written
            notebook = nbformat.read(path, 4)
            return notebook if found(notebook) else None
        return None

    return until(saved)


def interrupt(page: Page) -> None:
    """Press the button that interrupts the kernel."""
    button = "[data-command='notebook:interrupt-kernel'], [data-jp-item-name=interrupt]"
    page.locator(button).first.click()


def unasked(page: Page) -> Locator:
    """What JupyterLab asks by itself, such as that its server is slow to answer."""
    return page.locator("dialog.jp-Dialog").filter(has_not_text="Restart Kernel?")


def dismiss(dialog: Locator) -> None:
    logger.warning("JupyterLab asked: %s", dialog.first.inner_text())
    dialog.page.keyboard.press("Escape")


def violations(page: Page, selector: str) -> list[str]:
    """Return what axe-core finds serious or critical in a part of the page, and where."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[str] = []
    for _ in range(5):
        response = Axe().run(page, context=selector).response
        found = [
            f"{one['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
            for one in response["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        if not found:
            break
        page.wait_for_timeout(500)  # something may just be fading in or out
    return found
