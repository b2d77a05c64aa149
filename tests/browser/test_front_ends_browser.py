"""Outputs in front ends other than Jupyter's: emulated in a real Chromium, light and dark.

What a notebook run has saved is shown in a bare page, in frames as Colab and previews have them, and under VS
Code's variables and policy; the live widgets, too. It can be read, runs nothing and fetches nothing.
"""

from __future__ import annotations

import base64
import copy
import json
import time
from datetime import date
from pathlib import Path

import pytest

import llmkit
from llmkit.costs import demo
from llmkit.notebook.chat.chat_widget import ChatWidget
from llmkit.notebook.dashboard.controls import View
from llmkit.notebook.dashboard.dashboard import Dashboard
from tests.support import front_ends
from tests.support.front_ends import bare, framed, show, vscode
from tests.support.kernels import Kernel
from tests.support.lab import FLAGS, chromium
from tests.support.products import few

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
ANSWER = r"""# Report

The mean is \(\bar x = \frac{1}{n}\sum_i x_i\), see [the docs](https://example.org), `df.mean()` and **bold**.

$$\sigma^2 = \frac{1}{n-1}\sum_{i=1}^n (x_i-\bar x)^2$$

| model | cost |
|:------|-----:|
| luna  | 0.12 |

```python
@cache
def f(x: int) -> str:  # a comment
    return f"{x + 1}" if x is not None else fail(ValueError("none"))
```

```diff
- old
+ new
```

> A quotation.[^1]

- [x] <script>window.__ran=1</script><img src="http://evil.example/x.png" onerror="window.__ran=1">

[^1]: A note.
"""
CELLS = {
    "an answer": "%%llm\nrepeat exactly: {{answer}}",
    "a table": "%%llm -f df\nthree rows please",
    "an answer that failed": "%%llm sandbox:sandbox!status=401\nHi",
    "a comparison": "%%llm sandbox,sandbox:sandbox!status=401\nrepeat exactly: {{answer}}",
    "a chat": "chat = llmkit.Chat('sandbox')\n_ = chat.ask('repeat exactly: ' + answer)\nchat",
    "a dashboard": "llmkit.ledger.dashboard(since='2026-10-01', simulated=True)",
    "reasoning and sources": "%%llm sonnet -e high -x search\nTides? Cite sources.",
    "an image": '%%llm google:gemini-2.5-flash-image -p responseModalities=["TEXT","IMAGE"]\nDraw a boat.',
    "steps of tools": '%%llm sonnet -x say\nSay the word "{{attack}}".',
}
ATTACK = "<img src='http://evil.example/x.png' onerror='window.__ran=1'>"
TOOLS = """
%load_ext llmkit
%env LLMKIT_SANDBOX=1
import llmkit
search = {"type": "web_search_20250305", "name": "web_search"}
attack = "<img src='http://evil.example/x.png' onerror='window.__ran=1'>"
def say(word: str):
    "Say a word."
    return word + " **said** " + attack
"""
PAGES = {
    **{f"bare, {theme}": (bare, theme) for theme in front_ends.BARE},
    **{f"VS Code, {theme}": (vscode, theme) for theme in front_ends.VSCODE},
    **{f"Colab, {theme}": (framed, theme, "allow-scripts") for theme in front_ends.COLAB},
    "a preview": (framed, "light", ""),
}
QUICK = ["VS Code, dark", "Colab, dark"]
BOOT = """
import chat from "%s";
import dashboard from "%s";
const scenes = %s;
for (const [kind, widget] of Object.entries({ chat, dashboard })) {
  const { name, messages } = scenes[kind];
  const listeners = [];
  const model = {
    get: () => name,
    on: (event, listener) => event === "msg:custom" && listeners.push(listener),
    off: () => {},
    send: ({ type, view }) => {
      if (type !== "hello") return;
      const mine = messages.map((one) => (one.view ? { ...one, view } : one));
      setTimeout(() => mine.forEach((one) => listeners.forEach((hear) => hear(one, []))));
    },
  };
  widget.render({ model, el: document.getElementById(kind) });
}
"""


class Listener:
    """Takes the place of a widget: keeps what it is to send."""

    def __init__(self, name):
        self.name, self.model_id = name, name
        self.messages = []

    def send(self, message, buffers=()):
        self.messages.append(message)

    def wait(self, kind, condition=lambda _: True, seconds=60):
        end = time.monotonic() + seconds
        while not any(message["type"] == kind and condition(message) for message in [*self.messages]):
            assert time.monotonic() < end, self.messages
            time.sleep(0.02)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A ledger with every tenth call of the made-up month."""
    ledger = llmkit.Ledger(tmp_path_factory.mktemp("month") / "ledger.sqlite")
    for record in demo.records()[::10]:
        ledger.record(record)
    ledger.flush()
    return ledger


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    ARTEFACTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory, ledger):
    """The HTML of a notebook's outputs, and that of an answer in the middle of its stream."""
    folder = tmp_path_factory.mktemp("saved")
    kernel = Kernel(
        folder,
        LLMKIT_LEDGER=str(ledger.path),
        LLMKIT_SANDBOX_RATE="0",
        LLMKIT_SANDBOX_FIRST_TOKEN="0",
    )
    kernel.run(f"{TOOLS}\nanswer = {ANSWER!r}\n%llm model sandbox")
    outputs = [html for cell in CELLS.values() for html in kernel.run(cell).data("text/html")]
    middle = []

    def look(kernel, result):
        if not middle and any("<td" in html for html in result.data("text/html")):
            middle[:] = copy.deepcopy(result.data("text/html"))
            kernel.interrupt()

    kernel.run("%%llm sandbox:sandbox!rate=200;stall=170\nPlan a survey. Use a table.", during=look)
    kernel.close()
    assert len(outputs) == len(CELLS)
    assert len(middle) > 2
    return [*outputs, *middle]


@pytest.fixture(scope="module")
def scenes(ledger):
    """What a chat and a dashboard tell a view that opens."""

    @llmkit.tool(approve="always")
    def say(word: str) -> str:
        """Say a word."""
        return word

    chat = llmkit.Chat("sandbox", budget=1.0, tools=[say])
    chat.ask(f"repeat exactly: {ANSWER}")
    said = {"chat": Listener("chat"), "dashboard": Listener("dashboard")}
    chat._widget = said["chat"]
    chat._receive({"type": "hello", "view": "1"}, [])
    said["chat"].wait("branch")
    chat._receive({"type": "ask", "text": f'Say the word "{ATTACK}".', "view": "1"}, [])
    said["chat"].wait("message", lambda one: one["message"]["question"])
    board = Dashboard(ledger.where(), since=date(2026, 10, 1))
    board._view = said["dashboard"]
    board._receive({"type": "hello", "view": "1"})
    said["dashboard"].wait("what_if")
    board.close()
    told = {kind: {"name": one.name, "messages": list(one.messages)} for kind, one in said.items()}
    chat.stop()
    return told


def as_url(script):
    return f"data:text/javascript;base64,{base64.b64encode(script.encode()).decode()}"


@pytest.mark.parametrize("name", few(PAGES, QUICK))
def test_what_a_notebook_saved_can_be_read_runs_nothing_and_fetches_nothing(browser, saved, name):
    build, *how = PAGES[name]
    shown = show(browser, build(saved, *how))
    for frame in shown.frames:
        frame.wait_for_load_state()
    shown.picture(ARTEFACTS / f"front-end {name}.png")
    assert shown.pale() == []
    assert [
        frame.evaluate("window.__ran") for frame in shown.page.frames if frame.evaluate("window.__ran")
    ] == []
    assert shown.requests == []
    assert shown.said == []
    shown.page.close()


@pytest.mark.parametrize("name", few([name for name in PAGES if name != "a preview"], QUICK))
def test_the_live_chat_and_dashboard_can_be_read_under_a_policy_without_eval(browser, scenes, name):
    build, *how = PAGES[name]
    styles = f"<style>{ChatWidget._css}\n{View._css}</style>"
    boxes = [
        f'<div class="cell-output-ipywidget-background"><div class="{kind}" id="{name}"></div></div>'
        for name, kind in {"chat": "", "dashboard": "llmkit-dash-panel"}.items()
    ]
    files = {"chat_js": str(ChatWidget._esm), "dashboard_js": str(View._esm)}
    told = json.dumps(scenes).replace("<", r"\u003c")
    if build is framed:  # a frame of Colab's may run a script that stands in it
        urls = [
            f"data:text/javascript;base64,{base64.b64encode(code.encode()).decode()}"
            for code in files.values()
        ]
        script = f'<script type="module">{BOOT % (*urls, told)}</script>'
    else:
        files["boot_js"] = BOOT % ("./chat.js", "./dashboard.js", told)
        script = '<script type="module" src="boot.js"></script>'
    shown = show(browser, build(["".join([styles, *boxes, script])], *how), **files)
    (frame,) = shown.frames
    frame.locator(".llmkit-chat math").first.wait_for(timeout=100_000)
    assert "onerror" in frame.get_by_role("alertdialog").inner_text()
    frame.get_by_role("button", name="Allow this call").and_(frame.locator(":enabled")).wait_for()
    frame.locator(".llmkit-dash svg rect").first.wait_for(timeout=100_000)
    shown.picture(ARTEFACTS / f"widgets {name}.png")
    assert shown.pale() == []
    assert frame.evaluate("window.__ran") is None
    assert shown.requests == []
    assert shown.said == []
    shown.page.close()


def test_the_checks_see_pale_text_scripts_and_requests(browser):
    wrong = (
        '<p style="color:#ddd">pale</p><img src="http://evil.example/x.png">'
        '<script>window.__ran=1</script><button onclick="x()">x</button>'
    )
    for page, ran in ((bare([wrong], "light"), 1), (vscode([wrong], "light"), None)):
        shown = show(browser, page)
        assert [text.split(": ")[1] for text in shown.pale()] == ["pale"]
        assert shown.page.evaluate("window.__ran") == ran
        shown.page.close()
        assert shown.requests == ["http://evil.example/x.png"][: ran or 0]
        assert shown.said
    dark = show(browser, framed(["<p>black on grey"], "dark", "allow-scripts"))
    assert dark.pale() == []
    assert framed(["x"], "light", "") != framed(["x"], "light", "allow-scripts")
    dark.page.close()
