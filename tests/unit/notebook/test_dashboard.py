"""The dashboard without a browser: when it refreshes, what it writes and saves, what a kernel sends."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import pairwise

import html5lib
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from llmkit.core.bridge import bridge
from llmkit.core.errors import ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.notebook.dashboard import downloads, static_export, view_model
from llmkit.notebook.dashboard.aggregate import GROUPS, METRICS
from llmkit.notebook.dashboard.dashboard import Dashboard
from llmkit.notebook.dashboard.watcher import Live
from tests.kernel.test_chat_kernel import Page, state
from tests.kernel.test_chat_kernel import kernel as kernel  # noqa: PLC0414 - a fixture
from tests.kernel.test_chat_kernel import ledger as ledger  # noqa: PLC0414 - a fixture
from tests.support.kernels import RUNNING
from tests.support.month import simulated_calls, simulated_month
from tests.unit.costs.test_charts import call
from tests.unit.notebook.test_dashboard_aggregate import HOSTILE

MONTH = "from llmkit.costs import demo\nbooks = demo.month(':memory:')"
SECONDS = 60  # to wait for what should take a fraction of one


@pytest.fixture(scope="module")
def month():
    return simulated_month()


@pytest.fixture
def show():
    shown = []

    def make(ledger, **choice):
        shown.append(Dashboard(ledger, **choice))
        return shown[-1]

    yield make
    for one in shown:
        one.close()


def mine():
    """Return what runs for dashboards: threads, and tasks of the bridge."""
    threads = [one.name for one in threading.enumerate() if one.name.startswith("llmkit-dashboard")]
    tasks = [task for task in asyncio.all_tasks(bridge.loop()) if "Live" in repr(task)]
    return threads, tasks


def test_its_text_is_the_groups_and_its_rows_are_the_ledgers(month, show):
    board = show(month, since="all", by="notebook")
    assert repr(board).startswith("Cost by notebook, per day: $26.34")
    assert "103 calls without a known price" in repr(board)
    pd.testing.assert_frame_equal(board.df, month.df)


def test_it_begins_with_30_days_or_with_all_if_they_are_empty(show):
    ledger = Ledger(":memory:")
    ledger.record(call(time=datetime(2020, 1, 1, tzinfo=UTC)))
    assert show(ledger).settings.period == "all"
    ledger.record(call(time=datetime.now(UTC)))
    assert show(ledger).settings.period == "30 days"
    assert show(ledger, since="2020-01-01", until="2020-01-02").settings.last == datetime(2020, 1, 1).date()  # noqa: DTZ001


@pytest.mark.parametrize("wrong", [{"by": "weather"}, {"metric": "luck"}, {"since": "soon"}, {"until": "x"}])
def test_what_makes_no_sense_is_refused_and_leaves_nothing_running(month, wrong):
    with pytest.raises(ConfigurationError):
        Dashboard(month, **wrong)
    assert mine() == ([], [])


def group_menu(board):
    """Return what a dashboard offers to group by."""
    controls = board._widgets().children[0].children
    menu = next(each for each in controls if getattr(each, "description", "") == "Group by")
    return [value for _, value in menu.options]


def test_only_what_the_ledger_knows_is_offered_to_group_by(month, show):
    assert group_menu(show(month)) == [*GROUPS, "tag:demo", "tag:project"]
    with pytest.raises(ConfigurationError, match="Unknown group 'user'"):
        show(month, by="user")


def test_a_ledger_that_cannot_be_read_is_an_error_and_leaves_nothing_running(tmp_path):
    (tmp_path / "no.sqlite").write_text("this is no database" * 100)
    with pytest.raises(ConfigurationError):
        Dashboard(Ledger(tmp_path / "no.sqlite"))
    assert mine() == ([], [])


def test_closing_leaves_nothing_running_and_the_rows_can_still_be_asked_for():
    ledger = Ledger(":memory:")
    ledger.record(call())
    board = Dashboard(ledger)
    assert mine()[0]
    board.close()
    board.close()
    assert mine() == ([], [])
    ledger.record(call())
    assert len(board.df) == 1


def test_a_call_of_this_process_refreshes_what_is_shown_at_once_and_nothing_else_does():
    ledger, seen = Ledger(":memory:"), threading.Semaphore(0)
    live = Live(ledger, seen.release, pytest.fail)
    try:
        ledger.record(call())
        assert not seen.acquire(timeout=0.1)  # nobody looks
        live.look("a view")
        assert seen.acquire(timeout=SECONDS)
        ledger.record(call())
        assert seen.acquire(timeout=SECONDS)
        live.leave("a view")
    finally:
        live.close()
    assert not seen.acquire(timeout=0)


def test_many_calls_make_few_refreshes():
    ledger, seen = Ledger(":memory:"), []
    live = Live(ledger, lambda: seen.append(time.monotonic()), pytest.fail)
    live.look("a view")
    for _ in range(2000):
        ledger.record(call())
    live.close()
    assert len(seen) < 200
    assert all(later - before >= 0.2 for before, later in pairwise(seen[1:]))


@pytest.mark.parametrize("turns", range(6))
def test_it_can_be_closed_at_the_moment_in_which_a_call_comes(turns):
    refreshed = threading.Semaphore(0)
    live = Live(Ledger(":memory:"), refreshed.release, pytest.fail)
    live.look("a view")
    assert refreshed.acquire(timeout=SECONDS)

    async def close():
        await asyncio.sleep(0.01)  # it waits for news by now
        live._news.set()
        for _ in range(turns):  # of the loop, until the news has arrived
            await asyncio.sleep(0)
        live._task.cancel()
        await asyncio.wait([live._task], timeout=SECONDS)
        return live._task.done()

    assert bridge.submit(close()).result()
    live.close()


def test_a_refresh_that_fails_is_reported_and_is_the_last(caplog):
    told = Future()
    live = Live(Ledger(":memory:"), lambda: 1 // 0, told.set_result)
    live.look("a view")
    assert isinstance(told.result(SECONDS), ZeroDivisionError)
    live.close()
    assert "The dashboard has stopped" in caplog.text


def test_calls_of_which_nothing_is_known_are_drawn(show):
    ledger = Ledger(":memory:")
    ledger.record(call(cost_nanos=None))
    for metric in METRICS:
        board = show(ledger, since="all", metric=metric)
        assert static_export.png(board._shown).startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["csv", "parquet", "png"])
def test_an_export_is_a_new_file_for_its_owner_only(month, show, tmp_path, kind):
    board = show(month, since="all", model="claude-haiku-5-5")
    paths = {board.export(kind) for _ in range(3)}
    assert len(paths) == 3
    for path in paths:
        assert path.parent == tmp_path
        assert path.stat().st_mode & 0o777 == 0o600
    if kind == "png":
        assert path.read_bytes().startswith(b"\x89PNG")
        return
    rows = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert sorted(rows["uid"]) == sorted(month.df.query("model == 'claude-haiku-5-5'")["uid"])


def test_an_export_lands_beside_the_notebook(month, show, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "work" / "costs.ipynb"))
    assert show(month).export("csv").parent == tmp_path / "work"
    monkeypatch.setenv("JPY_SESSION_NAME", "a-servers-own-path/costs.ipynb")
    assert downloads.folder() == tmp_path


def test_an_export_that_fails_says_why_and_leaves_no_file(month, show, tmp_path, monkeypatch):
    board = show(month)
    with pytest.raises(ConfigurationError, match="cannot export 'xlsx'"):
        board.export("xlsx")

    def broken():
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigurationError, match="No space left"):
        downloads.write("png", board.df.copy, broken)
    assert list(tmp_path.glob("llm-*")) == []
    monkeypatch.chdir("/proc")  # where not even root can make a file
    with pytest.raises(ConfigurationError, match=r"No file can be written.*to_csv"):
        board.export("csv")


def test_words_of_the_ledger_are_text_in_what_is_saved(show):
    ledger = Ledger(":memory:")
    ledger.record(call(model=HOSTILE, notebook=HOSTILE, tags={HOSTILE: HOSTILE}))
    for by in ("model", "notebook", f"tag:{HOSTILE}"):
        board = show(ledger, since="all", by=by)
        html = static_export.saved(board._shown, static_export.png(board._shown), "x")
        assert HOSTILE not in html
        elements = list(html5lib.parse(html, namespaceHTMLElements=False).iter())
        assert {"script", "svg"} & {one.tag for one in elements} == set()
        (image,) = [one for one in elements if one.tag == "img"]
        assert {*image.attrib} == {"src", "alt", "style"}


def test_an_empty_ledger_is_saved_as_a_hint(show):
    board = show(Ledger(":memory:"))
    html = static_export.saved(board._shown, b"", "x")
    assert view_model.EMPTY in html
    assert "<img" not in html
    assert static_export.png(board._shown).startswith(b"\x89PNG")


def test_a_chart_without_anything_to_note_is_drawn(show):
    ledger = Ledger(":memory:")
    ledger.record(call())
    board = show(ledger, since="all")
    assert board._shown["notes"] == ""
    assert static_export.png(board._shown).startswith(b"\x89PNG")


def test_the_chart_of_medians_and_names_with_dollar_signs_are_drawn(show):
    ledger = Ledger(":memory:")
    for name in ("a$b$", "c_{$"):
        ledger.record(call(model=name, duration_s=1.0))
    for metric in ("duration", "cost"):
        board = show(ledger, since="all", metric=metric)
        assert static_export.png(board._shown).startswith(b"\x89PNG")


@pytest.mark.kernel
def test_a_notebook_that_is_run_without_a_browser_has_the_picture_and_no_rows_in_its_state(tmp_path):
    source = f"{MONTH}\nbooks.dashboard(since='all', by='notebook')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, **RUNNING, resources={"metadata": {"path": str(tmp_path)}}).execute()
    widget, copy = notebook.cells[0].outputs
    assert "application/vnd.jupyter.widget-view+json" in widget["data"]
    html = copy["data"]["text/html"]
    assert "<b>$26.34</b>" in html
    assert "data:image/png;base64," in html
    assert "survey_coding.ipynb" in copy["data"]["text/plain"]
    assert len(html) < 150_000
    saved = json.dumps(notebook.metadata.get("widgets", {}))
    assert "Group by" in saved  # there is a state to search
    assert "26.34" not in saved
    assert month_uid() not in saved


def month_uid():
    return simulated_calls()[0].uid


ANOTHER = """
import sys
from datetime import UTC, datetime
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord
books = Ledger(sys.argv[1])
books.record(CallRecord(
    time=datetime.now(UTC), uid="f" * 32, status="ok", provider="openai", model="elsewhere"
))
books.close()
"""


def figure(message, label):
    return next(one["text"] for one in message["figures"] if one["label"].startswith(label))


@pytest.mark.kernel
def test_calls_show_up_live_and_what_is_clicked_on_is_answered_while_a_cell_runs(kernel, ledger):
    kernel.run("%%llm -m sandbox\nHello")
    opened = kernel.run("board = llmkit.ledger.dashboard()\nboard")
    widget, copy = opened.outputs
    assert "application/vnd.jupyter.widget-view+json" in widget["data"]
    page = Page(kernel, opened)
    page.send("hello", view="v")
    first = page.custom("board")
    assert figure(first, "Calls") == "1"
    assert {"openai:gpt-4o-mini"} <= set(first["models"])

    kernel.client.execute("for n in range(3):\n    llmkit.Chat('sandbox').ask('repeat exactly: again')\n")
    page.custom("board", lambda message: figure(message, "Calls") == "4")
    kernel.client.get_shell_msg(timeout=SECONDS)

    page.send("pick", group="=sandbox", period=None, label="sandbox")
    rows = page.custom("rows", lambda message: message["label"] == "sandbox")
    assert (rows["count"], len(rows["rows"])) == ("4 calls", 4)
    page.send("order", order="most expensive")
    assert page.custom("rows", lambda message: message.get("order") == "most expensive")
    page.send("what_if", model="openai:gpt-4o-mini", cached=0.5)
    assert "openai:gpt-4o-mini" in page.custom("what_if", lambda message: message["text"])["text"]
    page.send("what_if", model="nobody:knows", cached=7)
    assert page.custom("what_if", lambda message: "openai" not in message["text"])["text"]

    subprocess.run([sys.executable, "-c", ANOTHER, str(ledger)], check=True)
    live = page.custom("board", lambda message: figure(message, "Calls") == "1")
    assert figure(live, "Spent") == "$?"  # it is a real one, and so the sandbox's are left out
    states = json.dumps(
        [state(m) for m in page.seen if m["msg_type"] in {"comm_open", "comm_msg"}], default=str
    )
    assert "f" * 32 not in states
    assert "again" not in states
    place = copy["transient"]["display_id"]
    saved = page.wait(lambda m: m["msg_type"] == "update_display_data" and "elsewhere" in str(m["content"]))
    assert saved["content"]["transient"]["display_id"] == place
    kernel.run("board.close()")
    assert (
        kernel.run(
            "import threading; print([t.name for t in threading.enumerate() if 'dashboard' in t.name])"
        ).text
        == "[]\n"
    )


@pytest.mark.kernel
def test_a_control_changes_what_is_shown_and_a_button_writes_a_file(kernel, tmp_path):
    opened = kernel.run(f"{MONTH}\nboard = books.dashboard(since='all')\nboard")
    page = Page(kernel, opened)
    page.send("hello", view="v")
    page.custom("board")
    controls = {
        state(m).get("description"): m["content"]["comm_id"]
        for m in opened.messages
        if m["msg_type"] == "comm_open"
    }
    offered = [state(m).get("_options_labels") or () for m in opened.messages if "comm" in m["msg_type"]]
    labels = next(labels for labels in offered if "tag:demo" in labels)
    assert labels[: len(GROUPS)] == list(GROUPS)

    def send(name, data):
        content = {"comm_id": controls[name], "data": data}
        kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))

    send("Group by", {"method": "update", "state": {"index": labels.index("day")}, "buffer_paths": []})
    assert page.custom("board", lambda message: message["title"] == "Cost per day")
    assert page.custom("rows")["label"] == ""
    send("CSV", {"method": "custom", "content": {"event": "click"}})
    told = page.custom("file")
    assert told["text"].startswith("4,169 calls: ")
    assert (tmp_path / told["name"]).stat().st_mode & 0o777 == 0o600
