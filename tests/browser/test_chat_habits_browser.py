"""The chat as a person of habits uses it: saving, leaving, long conversations, formulas, code to copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lab import browse, expect, run_cell, serve_lab, violations, write_notebook
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
CHAT = "import llmkit\nchat = llmkit.Chat('sandbox:sandbox!rate=0')\nchat"
SLOW = "import llmkit\nchat = llmkit.Chat('sandbox:sandbox!rate=20')\nchat"
LONG = "repeat exactly: # Long\n\n" + "word " * 4000
FORMULA = r"repeat exactly: The area is $\frac{a}{b}$ and $$\begin{align}x &= 1 \\ y &= 2\end{align}$$ done."
CODE = "repeat exactly: Do this:\n\n```python\nprint('one')\nprint('two')\n```\n\nFine."
IN_VIEW = """box => {
    const { top, bottom } = box.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
}"""
MISNAMED = """all => all.filter((one) => /\\p{L}/u.test(one.textContent)
    && !one.ariaLabel.toLowerCase().includes(one.textContent.replace("✓", "").trim().toLowerCase())
).map((one) => `${one.textContent} is called ${one.ariaLabel}`)"""
HEIGHTS = "all => all.map((one) => one.getBoundingClientRect().y)"
WATCH = """code => new MutationObserver(() => {
    if (code.textContent.includes("Copied")) code.dataset.copied = "yes";
}).observe(code, { subtree: true, childList: true, characterData: true })"""
HELD = "() => document.activeElement?.closest('.llmkit-chat') !== null"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    with serve_lab(
        folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite"), LLMKIT_SANDBOX_FIRST_TOKEN="0"
    ) as address:
        yield address, folder


class Chat:
    def __init__(self, page):
        self.page = page
        self.root = page.locator(".llmkit-chat").first
        self.root.wait_for()
        self.box = self.root.get_by_label("Your question", exact=True).and_(self.root.locator("textarea"))
        self.answers = self.root.locator(".llmkit-chat-message.assistant")

    def ask(self, text, count):
        """Ask with the keyboard, and wait until the n-th answer is over."""
        self.box.fill(text)
        self.box.press("Enter")
        self.answers.nth(count - 1).get_by_role("toolbar").wait_for()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_formulas_and_code_are_shown_and_code_is_copied(lab, dark):
    address, folder = lab
    name = f"shown{int(dark)}.ipynb"
    write_notebook(folder / name, CHAT)
    with browse(address, name, dark=dark) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        run_cell(page, 0)
        chat = Chat(page)
        chat.root.get_by_role("button", name="Explain list comprehensions").wait_for()
        page.screenshot(path=ARTEFACTS / f"chat-empty-{'dark' if dark else 'light'}.png")
        chat.ask(FORMULA, 1)
        fraction = chat.answers.first.locator("mfrac")
        expect(fraction).to_have_count(1)
        numerator, denominator = fraction.locator("mi").evaluate_all(HEIGHTS)
        assert numerator + 5 < denominator  # it is drawn as one
        expect(chat.answers.first.locator("mtr")).to_have_count(2)
        assert chat.root.get_by_role("button").evaluate_all(MISNAMED) == []
        chat.ask(CODE, 2)
        code = chat.answers.nth(1).locator(".llmkit-chat-code")
        code.evaluate(WATCH)  # the word stands there for two seconds only
        code.hover()
        code.get_by_role("button", name="Copy this code").click()
        code.and_(page.locator("[data-copied]")).wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == "print('one')\nprint('two')"
        chat.root.get_by_role("button", name="Export the conversation").click()
        chat.root.get_by_text("Saved as chat.md").wait_for()
        chat.answers.nth(1).hover()
        page.screenshot(path=ARTEFACTS / f"chat-shown-{'dark' if dark else 'light'}.png")
        assert violations(page, ".llmkit-chat") == []


def test_ctrl_s_in_the_composer_saves_and_the_keyboard_leaves_the_chat(lab):
    address, folder = lab
    path = write_notebook(folder / "habits.ipynb", SLOW, "1 + 1")
    with browse(address, "habits.ipynb") as page:
        run_cell(page, 0)
        chat = Chat(page)
        chat.ask("repeat exactly: hello", 1)
        before = path.stat().st_mtime_ns
        chat.box.fill("half a question")
        chat.box.press("Control+s")
        until(lambda: path.stat().st_mtime_ns > before)
        expect(chat.box).to_have_value("half a question")
        assert page.evaluate(HELD)

        # Keys of text stay in the chat, and those of the notebook do nothing while it is typed.
        cells = page.locator(".jp-Notebook .jp-Cell").count()
        chat.box.press("Control+a")
        page.keyboard.type("dd")
        expect(chat.box).to_have_value("dd")
        chat.box.press("Control+a")
        chat.box.press("Control+x")
        expect(chat.box).to_have_value("")
        assert page.locator(".jp-Notebook .jp-Cell").count() == cells

        # The first Esc stops the answer, the second one leaves to the cell.
        chat.box.fill(LONG)
        chat.box.press("Enter")
        chat.answers.nth(1).locator("h1").wait_for()
        page.keyboard.press("Escape")
        chat.root.locator(".llmkit-warn", has_text="stopped").wait_for()
        assert page.evaluate(HELD)
        page.keyboard.press("Escape")
        until(lambda: not page.evaluate(HELD))
        active = page.locator(".jp-Notebook .jp-Cell.jp-mod-active")
        expect(active.locator(".llmkit-chat")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Control+Enter")
        page.locator(".jp-Notebook .jp-Cell").nth(1).get_by_text("2", exact=True).first.wait_for()


def test_the_composer_stays_in_view_over_thirty_turns_and_controls_appear_when_they_are_wanted(lab):
    address, folder = lab
    write_notebook(folder / "long.ipynb", "\n".join(["# a long cell"] * 25) + "\n" + CHAT)
    with browse(address, "long.ipynb") as page:
        run_cell(page, 0)
        chat = Chat(page)
        for turn in range(1, 31):
            chat.ask(f"repeat exactly: answer {turn}", turn)
            until(lambda: chat.box.evaluate(IN_VIEW))
        expect(chat.answers).to_have_count(30)
        page.screenshot(path=ARTEFACTS / "chat-thirty.png")

        question = chat.root.locator(".llmkit-chat-message.user").last
        text = question.locator(".llmkit-chat-text")
        width = text.evaluate("text => text.getBoundingClientRect().width")
        assert width < 400  # a bubble fits what is in it

        hide = chat.answers.nth(28).get_by_role("button", name="Hide this turn")
        page.mouse.move(2, 2)
        expect(hide).to_have_css("opacity", "0")
        chat.answers.nth(28).hover()
        expect(hide).to_have_css("opacity", "1")
        page.mouse.move(2, 2)
        expect(hide).to_have_css("opacity", "0")
        hide.focus()
        expect(hide).to_have_css("opacity", "1")


def test_a_notice_goes_by_itself_and_an_error_stays(lab):
    address, folder = lab
    write_notebook(folder / "notice.ipynb", CHAT)
    with browse(address, "notice.ipynb") as page:
        run_cell(page, 0)
        chat = Chat(page)
        chat.ask("repeat exactly: one", 1)
        chat.answers.first.hover()
        chat.answers.first.get_by_role("button", name="Copy as Markdown").click()
        notice = chat.root.locator(".llmkit-chat-say")
        notice.wait_for(state="visible")
        page.mouse.move(2, 2)
        chat.box.focus()
        notice.wait_for(state="hidden")
