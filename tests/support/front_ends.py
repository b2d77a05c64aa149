"""Front ends that cannot be installed here, as pages for a real browser.

A page holds the outputs that a notebook run has saved, and what the front end gives them: a frame, variables,
a policy. Of Jupyter's own styles, variables and MathJax there is nothing.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Frame, Page

WIDTH = 900
ADDRESS = "http://llmkit.test/"
POLICY = (
    "default-src 'none'; script-src http://llmkit.test/; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src http://llmkit.test/"
)
"""As strict as a page of VS Code can be: no inline script, no eval; styles may be inline."""

VSCODE = {
    "light": ("vscode-light", "#ffffff", "#3b3b3b", "#3b3b3b", "#005fb8", "#e5e5e5"),
    "dark": ("vscode-dark", "#1f1f1f", "#cccccc", "#9d9d9d", "#4daafc", "#313131"),
    "light contrast": (
        "vscode-high-contrast vscode-high-contrast-light",  # both, as VS Code has it
        "#ffffff",
        "#292929",
        "#292929",
        "#0f4a85",
        "#0f4a85",
    ),
    "dark contrast": ("vscode-high-contrast", "#000000", "#ffffff", "#ffffffb3", "#21a6ff", "#6fc3df"),
}
"""Class of the body; ground, text, muted text, links and borders of VS Code's own themes."""

BARE = {
    "light": "",
    "dark": "<meta name=color-scheme content=dark>",
    "dark by its own colours": "<style>body{background:#161616;color:#ddd}</style>",
}
"""A page without anything, and two ways for it to be dark."""

WIDGETS_OWN = """<style>:root {
  --jp-ui-font-color1: rgba(0, 0, 0, .87); --jp-ui-font-color2: rgba(0, 0, 0, .54); --jp-layout-color0: white;
  --jp-layout-color1: white; --jp-layout-color2: #eee; --jp-content-link-color: #0d47a1;
  --jp-error-color1: #d32f2f; --jp-warn-color1: #f57c00; --jp-border-color1: #bdbdbd;
}</style>"""
"""JupyterLab's light variables: ipywidgets' own style sheet brings them along, to dark pages as well."""

COLAB = {
    "light": ("#fff", f"<html>{WIDGETS_OWN}<body>"),
    "dark": ("#383838", f"<html theme=dark>{WIDGETS_OWN}<style>body{{color:#d5d5d5}}</style><body>"),
}
"""The ground behind the frames, and how the page in each begins."""


@dataclass
class ShownPage:
    """A page in a browser, and what happened on it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def frames(self) -> list[Frame]:
        """Where the outputs are: the page's frames if it has any, or the page."""
        return self.page.frames[1:] or self.page.frames

    def picture(self, path: Path) -> None:
        """Take a picture of all of it: a frame is as high as what it holds, and none is out of sight."""
        for element in self.page.query_selector_all("iframe"):
            height = element.content_frame().evaluate("document.documentElement.scrollHeight")
            element.evaluate("(element, height) => (element.style.height = `${height}px`)", height)
        height = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.screenshot(path=path)

    def pale(self, least: float = 4.5) -> list[str]:
        """Return texts whose contrast with their ground is too low."""
        ground = self.page.evaluate(GROUND)
        return [text for frame in self.frames for text in frame.evaluate(PALE, [least, ground])]


def bare(outputs: Sequence[str], theme: str) -> str:
    """A page without styles: an exported fragment, a preview."""
    return _page(BARE[theme], outputs)


def framed(outputs: Sequence[str], theme: str, sandbox: str) -> str:
    """A frame for each output: Colab's run scripts (`allow-scripts`), those of a preview do not."""
    ground, inside = COLAB[theme] if sandbox else ("#fff", "<html><body>")
    frames = [
        f'<iframe sandbox="{sandbox}" style="width:100%;border:0" srcdoc="{html.escape(inside + output)}">'
        "</iframe>"
        for output in outputs
    ]
    return _page(f"<style>body{{background:{ground}}}</style>", frames)


def vscode(outputs: Sequence[str], theme: str) -> str:
    """The page of VS Code's outputs: its variables, its policy, no script from within the page."""
    name, ground, text, mute, link, line = VSCODE[theme]
    variables = {
        "editor-background": ground,
        "editor-foreground": text,
        "foreground": text,
        "descriptionForeground": mute,
        "textLink-foreground": link,
        "widget-border": line,
        "font-family": "system-ui, sans-serif",
        "editor-font-family": "monospace",
    }
    style = "".join(f"--vscode-{key}:{value};" for key, value in variables.items())
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">{WIDGETS_OWN}'
        f"<style>html{{{style}}} body{{background:{ground};color:{text};font:13px system-ui}}"
        ".cell-output-ipywidget-background{background:#fff}</style>"
    )
    return _page(head, outputs, name)


def show(browser: Browser, content: str, **files: str) -> ShownPage:
    """Open a page; its address gives it and these files, and everything else is refused."""
    shown = ShownPage(browser.new_page(viewport={"width": WIDTH, "height": 900}))
    given = {"page.html": content, **{name.replace("_", "."): text for name, text in files.items()}}

    def answer(route):
        name = route.request.url.removeprefix(ADDRESS)
        if name in given:
            kinds = {"html": "text/html", "js": "text/javascript"}
            route.fulfill(body=given[name], content_type=kinds[name.rpartition(".")[2]] + "; charset=utf-8")
        else:
            shown.requests.append(route.request.url)
            route.abort()

    page = shown.page
    page.route("**/*", answer)
    page.on("console", lambda message: shown.said.append(message.text))
    page.on("pageerror", lambda error: shown.said.append(str(error)))
    page.goto(f"{ADDRESS}page.html")
    return shown


def _page(head: str, outputs: Sequence[str], name: str = "") -> str:
    body = "".join(f"<div>{output}</div>" for output in outputs)
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><title>x</title>{head}<body class="{name}">{body}'
    )


GROUND = """() => {
  const style = getComputedStyle(document.body);
  if (style.backgroundColor !== "rgba(0, 0, 0, 0)") return style.backgroundColor;
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = "Canvas";
  const canvas = getComputedStyle(probe).color;
  probe.remove();
  return canvas;
}"""
PALE = """([least, outer]) => {
  const tiny = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (ground, colour) => {
    tiny.canvas.width = tiny.canvas.height = 1;
    tiny.fillStyle = `rgb(${ground})`; tiny.fillRect(0, 0, 1, 1);
    tiny.fillStyle = colour; tiny.fillRect(0, 0, 1, 1);
    return [...tiny.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const line = (element) => element ? [...line(element.parentElement), element] : [];
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.matches("style, script, option, optgroup")) continue;
    let ground = over([255, 255, 255], outer);  // what stands behind a frame, or the browser's own
    for (const one of line(element)) ground = over(ground, getComputedStyle(one).backgroundColor);
    const [a, b] = [light(over(ground, getComputedStyle(element).color)), light(ground)];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < least) found.push(`${ratio.toFixed(1)} ${element.tagName}: ${text.slice(0, 40)}`);
  }
  return found;
}"""
