"""JupyterLab in a real Chromium for the tests."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}",
    ]
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder}"],
            env={**os.environ, **own, **environment},
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/api?token={TOKEN}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # a busy machine, on which it still shuts its kernels down
                process.kill()
                process.wait()


def wait_for(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    pytest.fail("JupyterLab did not start")


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
        page.set_default_timeout(60_000)
        workspace = f"lab/workspaces/{Path(notebook).stem}/tree"
        place = f"{'notebooks' if classic else workspace}/{notebook}"
        page.goto(f"{address}/{place}?token={TOKEN}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(
            timeout=60_000
        )
        try:
            yield page
        finally:
            browser.close()


def write_notebook(path: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


def run_cell(page: Page, number: int) -> None:
    """Run a cell; again if it did not start, for JupyterLab takes the focus away while it restores."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    for _ in range(20):
        dismiss_dialogs(page)
        cell.locator(".cm-content").click()
        if "jp-mod-active" in (cell.get_attribute("class") or ""):
            page.keyboard.press("Control+Enter")
        time.sleep(0.3)
        if cell.locator(".jp-InputPrompt").first.inner_text().strip() != "[ ]:":
            return
    pytest.fail(f"cell {number} did not start")


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


def dismiss_dialogs(page: Page) -> None:
    """Close what JupyterLab asks by itself, such as that its server is slow to answer."""
    while (dialog := page.locator("dialog.jp-Dialog")).count():
        logger.warning("JupyterLab asked: %s", dialog.first.inner_text())
        page.keyboard.press("Escape")
        dialog.first.wait_for(state="detached")


def violations(page: Page, selector: str) -> list[str]:
    """Return what axe-core finds serious or critical in a part of the page, and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=selector).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
