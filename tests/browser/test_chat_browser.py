"""The chat as a person uses it: JupyterLab in a real Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from tests.support.lab import (
    browse,
    expect,
    interrupt,
    run_cell,
    saved_when,
    serve_lab,
    violations,
    write_notebook,
)
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
CHAT = "import llmkit\nchat = llmkit.Chat('sandbox:sandbox!rate=80', starters=['Explain generators'])\nchat"
HOSTILE = "<img src=x onerror=\"document.title='HACKED'\"><script>document.title='HACKED'</script>"
LONG = "repeat exactly: # Long\n\n" + "word " * 4000
PASTE = """(box, [name, type]) => {
    const data = new DataTransfer();
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 40;
    canvas.getContext('2d').fillRect(5, 5, 30, 30);
    canvas.toBlob((blob) => {
        data.items.add(new File([blob], name, { type }));
        const options = { clipboardData: data, bubbles: true, cancelable: true };
        box.dispatchEvent(new ClipboardEvent('paste', options));
    }, type);
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    with serve_lab(
        folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite"), LLMKIT_SANDBOX_FIRST_TOKEN="0"
    ) as address:
        yield address, folder


class Chat:
    """What a person can do with one chat on the page."""

    def __init__(self, page, number=0):
        self.page = page
        self.root = page.locator(".llmkit-chat").nth(number)
        self.root.wait_for()
        self.box = self.root.get_by_label("Your question", exact=True).and_(self.root.locator("textarea"))
        self.answers = self.root.locator(".llmkit-chat-message.assistant")

    def ask(self, text):
        self.box.fill(text)
        self.box.press("Enter")

    def done(self, count):
        """Wait until the n-th answer shown is over."""
        self.answers.nth(count - 1).get_by_role("toolbar").wait_for()

    def button(self, name, within=None):
        return (within or self.root).get_by_role("button", name=name)


def save(page):
    page.locator(".jp-Notebook .jp-Cell").first.locator(".cm-content").click()
    page.keyboard.press("Control+s")


def read_when(path, text):
    """Read a notebook once a text stands in it."""
    until(lambda: text in path.read_text())
    return nbformat.read(path, 4)


def test_a_conversation_is_led_changed_stopped_saved_and_read_again(lab):
    address, folder = lab
    write_notebook(folder / "talk.ipynb", CHAT, "import time; time.sleep(600)", CHAT)
    with browse(address, "talk.ipynb") as page:
        run_cell(page, 0)
        chat = Chat(page)
        chat.button("Explain generators").click()
        chat.answers.first.and_(page.locator("[aria-busy=true]")).locator("h1").wait_for()
        page.screenshot(path=ARTEFACTS / "chat-streaming.png")
        chat.done(1)

        # Another chat, and a cell that keeps the kernel busy: both chats go on.
        run_cell(page, 2)
        other = Chat(page, 1)
        chat.button("Explain generators").wait_for(state="hidden")
        run_cell(page, 1)
        other.ask(LONG)
        chat.ask("repeat exactly: " + HOSTILE + " " + "word " * 4000)
        chat.answers.nth(1).get_by_text("onerror").wait_for()
        other.answers.first.locator("h1").wait_for()
        chat.button("Stop the answer").click()
        chat.root.locator(".llmkit-warn", has_text="stopped").wait_for()
        assert other.answers.first.get_attribute("aria-busy") == "true"
        other.box.press("Escape")
        other.done(1)

        # Another answer, by another model; a changed question; back to the old one.
        chat.answers.nth(1).get_by_label("Regenerate with another model").select_option(
            "sandbox:sandbox-mini"
        )
        chat.answers.nth(1).locator(".llmkit-chat-versions", has_text="2/2").wait_for()
        chat.done(2)
        chat.box.press("ArrowUp")
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("repeat exactly: edited")
        page.keyboard.press("Enter")
        chat.answers.nth(1).get_by_text("edited", exact=True).wait_for()
        chat.done(2)
        chat.button("Previous version").last.click()
        chat.answers.nth(1).get_by_text("onerror").wait_for()
        chat.button("Next version", chat.root.locator(".user").nth(1)).click()
        chat.answers.nth(1).get_by_text("edited", exact=True).wait_for()

        chat.box.evaluate(PASTE, ["dot.png", "image/png"])
        chat.root.locator(".llmkit-chat-composer img").wait_for()
        chat.ask("What is in this picture?")
        chat.root.locator(".llmkit-chat-message img").wait_for()
        chat.done(3)
        expect(chat.root.locator(".llmkit-chat-composer img")).to_have_count(0)
        page.screenshot(path=ARTEFACTS / "chat.png")
        assert violations(page, ".llmkit-chat") == []
        assert "HACKED" not in page.title()
        expect(page.locator("[class*=llmkit-saved-]:visible")).to_have_count(0)
        interrupt(page)
        saved = saved_when(page, folder / "talk.ipynb", lambda notebook: "dot.png" in str(notebook))
        assert "sandbox!rate" not in str(saved.metadata)
    shutil.copy(folder / "talk.ipynb", folder / "again.ipynb")
    with browse(address, "again.ipynb") as page:
        page.get_by_text("edited", exact=True).first.wait_for()
        page.screenshot(path=ARTEFACTS / "chat-reopened.png")
        expect(page.get_by_text("Error displaying widget").locator("visible=true")).to_have_count(0)
        assert page.locator(".jp-OutputArea-output img").count() == 0
        assert "HACKED" not in page.title()


@pytest.mark.full
def test_the_keyboard_alone_is_enough_and_a_restart_keeps_what_was_said(lab):
    address, folder = lab
    write_notebook(folder / "keys.ipynb", CHAT)
    with browse(address, "keys.ipynb", dark=True) as page:
        run_cell(page, 0)
        chat = Chat(page)
        page.locator("[data-status=idle]").first.wait_for()  # JupyterLab moves the focus as a cell ends
        cells = page.locator(".jp-Notebook .jp-Cell").count()
        chat.box.focus()
        page.keyboard.type("dd a b x")  # shortcuts of the notebook: delete, insert above, below, cut
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("Write code for quicksort")
        expect(chat.box).to_have_value("dd a b x\nWrite code for quicksort")
        page.keyboard.press("Enter")
        chat.done(1)
        for _ in range(4):  # back over Send's neighbours to the answer's tools
            page.keyboard.press("Shift+Tab")
        assert page.locator(":focus").evaluate("e => e.closest('.llmkit-chat') !== null")
        chat.button("Hide this turn from the model").last.press("Enter")
        chat.answers.and_(page.locator(".hidden")).wait_for()
        chat.button("Unhide this turn").last.press("Enter")
        chat.button("Edit the system prompt").press("Enter")
        page.locator(".llmkit-chat textarea:focus").wait_for()
        page.keyboard.type("Be brief.")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        chat.root.get_by_text("System ✓").wait_for()
        expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(cells)
        page.screenshot(path=ARTEFACTS / "chat-dark.png")
        assert violations(page, ".llmkit-chat") == []
        chat.root.evaluate("e => { e.style.width = '300px'; }")
        chat.root.screenshot(path=ARTEFACTS / "chat-narrow.png")
        assert chat.root.evaluate("e => e.scrollWidth <= e.clientWidth")
        chat.root.evaluate("e => { e.style.width = ''; }")
        chat.ask("Explain asyncio with a table and a long list of examples")
        chat.answers.nth(1).get_by_text("asyncio runs many tasks").wait_for()
        page.locator("[data-command='kernelmenu:restart'], [data-jp-item-name=restart]").first.click()
        page.get_by_role("button", name="Confirm Kernel Restart").click()
        chat.root.get_by_text("The kernel was restarted").wait_for()
        expect(chat.answers).to_have_count(2)
        expect(chat.box).to_be_disabled()
        page.screenshot(path=ARTEFACTS / "chat-restarted.png")
        page.locator("[data-status=idle]").first.wait_for()
        chat.root.evaluate("e => { e.dataset.old = 'yes'; }")
        run_cell(page, 0)
        page.locator("[data-old]").wait_for(state="detached")
        chat.root.get_by_role("button", name="Continue the conversation").click()
        chat.answers.nth(1).get_by_text("asyncio runs many tasks").wait_for()
        chat.ask("repeat exactly: on we go")
        chat.answers.nth(2).get_by_text("on we go", exact=True).wait_for()
