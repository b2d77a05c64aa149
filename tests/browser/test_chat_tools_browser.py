"""Tools in the chat as a person meets them: JupyterLab in a real Chromium, light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.test_chat_browser import Chat, read_when, save
from tests.support.lab import browse, expect, run_cell, serve_lab, violations, write_notebook
from tests.support.tool_peer import CHAT, MODEL, script, serving

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
HOSTILE = "<img src=x onerror=\"document.title='HACKED'\"><script>document.title='HACKED'</script>\u202e~~~"
SETUP = f"""
import time, llmkit
%load_ext llmkit
ran = []
def load_sales(year: int):
    "Load the sales of a year."
    ran.append(year)
    return {HOSTILE!r}
@llmkit.tool(timeout=600)
def wait(seconds: float):
    "Wait."
    ran.append("waits")
    print("begun", flush=True)
    time.sleep(seconds)
    ran.append("waited")
@llmkit.tool(approve="always", description={HOSTILE!r})
def delete(path: str):
    ran.append(path)
    return "deleted"
chat = llmkit.Chat({MODEL!r}, tools=[load_sales, wait, delete])
chat
"""
DELETE = ("call_1", "delete", json.dumps({"path": HOSTILE}))
LOAD = ("call_2", "load_sales", '{"year": 2026}')


@pytest.fixture(scope="module")
def peer():
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def lab(peer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    ledger = str(folder / "ledger.sqlite")
    with serve_lab(
        folder, LLMKIT_LEDGER=ledger, OPENAI_API_KEY="k" * 20, OPENAI_BASE_URL=f"{peer.url}/v1"
    ) as address:
        yield address, folder


def question(chat):
    found = chat.root.get_by_role("alertdialog")
    found.wait_for()
    return found


def said_by_tools(peer, number):
    messages = peer.bodies[number]["messages"]
    return [message["content"] for message in messages if message["role"] == "tool"]


def reload(page):
    """Load the page anew; again if JupyterLab, which has patience for a few seconds, shows no widget."""
    from playwright.sync_api import TimeoutError as NotThere

    for _ in range(4):
        page.reload()
        try:
            page.locator(".llmkit-chat").first.wait_for(timeout=45_000)
        except NotThere:
            continue
        return


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_keyboard_allows_and_denies_and_what_tools_say_runs_nothing(lab, peer, dark):
    address, folder = lab
    name = f"tools-{dark}.ipynb"
    theme = "dark" if dark else "light"
    write_notebook(folder / name, SETUP, "print(ran)")
    script(
        peer,
        CHAT.answer(f"I look. {HOSTILE}", [LOAD, ("call_3", HOSTILE, HOSTILE)]),
        CHAT.answer("And clean up.", [DELETE]),
        CHAT.answer("Done."),
        CHAT.answer("", [DELETE]),
        CHAT.answer("All right."),
    )
    with browse(address, name, dark=dark) as page:
        run_cell(page, 0)
        chat = Chat(page)
        chat.root.get_by_text("may call load_sales, wait, delete").wait_for()
        chat.box.press_sequentially("Clean up.")
        chat.box.press("Enter")

        # The question has the focus: Enter alone allows nothing, Tab leads to the buttons.
        asked = question(chat)
        expect(asked).to_be_focused()
        shown = asked.locator("pre").inner_text()
        assert "<img src=x onerror" in shown
        assert r"\u202e" in shown
        page.screenshot(path=ARTEFACTS / f"chat-question-{theme}.png")
        assert violations(page, ".llmkit-chat") == []
        page.keyboard.press("Enter")
        chat.button("Allow this call").and_(page.locator(":enabled")).wait_for()
        assert asked.is_visible()
        page.keyboard.press("Tab")
        expect(asked.locator("pre")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Allow")
        page.keyboard.press("Enter")
        chat.done(1)
        expect(chat.box).to_be_focused()
        assert said_by_tools(peer, 2)[-1] == "deleted"

        chat.answers.first.locator("summary", has_text="load_sales(year=2026)").click()
        chat.answers.first.locator("details[open] pre").last.wait_for()
        page.screenshot(path=ARTEFACTS / f"chat-steps-{theme}.png")
        assert violations(page, ".llmkit-chat") == []

        chat.box.press_sequentially("Again.")
        chat.box.press("Enter")
        question(chat)
        page.keyboard.press("Escape")
        chat.done(2)
        assert "did not allow" in said_by_tools(peer, 4)[-1]
        assert "HACKED" not in page.title()
        save(page)
        saved = read_when(folder / name, "All right.")
        assert "alertdialog" not in str(saved)
        assert "onerror" in str(saved)
    with browse(address, name, dark=dark) as page:
        page.get_by_text("All right.").first.wait_for()
        page.screenshot(path=ARTEFACTS / f"chat-steps-reopened-{theme}.png")
        assert "HACKED" not in page.title()


def test_stop_ends_a_tool_that_keeps_the_kernel_and_a_reload_keeps_the_question(lab, peer):
    address, folder = lab
    write_notebook(folder / "stop.ipynb", SETUP, "print(ran)")
    script(
        peer,
        CHAT.answer("I wait.", [("call_1", "wait", '{"seconds": 600}')]),
        CHAT.answer("", [DELETE]),
        CHAT.answer("Done."),
        CHAT.answer("", [DELETE]),
    )
    with browse(address, "stop.ipynb") as page:
        run_cell(page, 0)
        chat = Chat(page)
        chat.ask("Wait.")
        chat.root.get_by_text("running wait(seconds=600").wait_for()
        page.get_by_text("begun", exact=True).wait_for()
        page.screenshot(path=ARTEFACTS / "chat-tool-running.png")
        chat.button("Stop the answer").click()
        chat.root.get_by_text("interrupted in a tool").wait_for()
        page.screenshot(path=ARTEFACTS / "chat-tool-stopped.png")
        run_cell(page, 1)
        page.get_by_text("['waits']").wait_for()

        chat.ask("Clean up.")
        question(chat)
        save(page)
        read_when(folder / "stop.ipynb", "llmkit-saved")
        reload(page)
        chat = Chat(page)
        asked = question(chat)
        asked.get_by_role("button", name="Allow this call").click()
        chat.done(2)
        chat.answers.nth(1).get_by_text("Done.").wait_for()

        chat.ask("And again.")
        question(chat)
        chat.button("Stop the answer").click()
        chat.done(3)
        expect(chat.root.get_by_role("alertdialog")).to_have_count(0)
        assert len(peer.bodies) == 4
        run_cell(page, 1)
        page.get_by_text("['waits', '<img src=x").wait_for()
        assert "HACKED" not in page.title()
