"""`Ledger.dashboard`: key figures, chart and table with controls, live while calls run."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.core.errors import ConfigurationError
from llmkit.costs.charts.canvas import many
from llmkit.costs.frame.frame import in_dollars
from llmkit.costs.frame.summary import JOB, TAG
from llmkit.notebook.dashboard import aggregate, downloads, static_export, view_model
from llmkit.notebook.dashboard.aggregate import Board, DashboardSettings, Pick
from llmkit.notebook.dashboard.model_menu import what_if_models
from llmkit.notebook.dashboard.watcher import Live
from llmkit.notebook.display.saved_copies import NO_WIDGETS, SavedCopies
from llmkit.notebook.shell import current_shell, has_kernel, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import pandas as pd

    from llmkit.costs.calls import Calls
    from llmkit.notebook.dashboard.controls import Controls, View
    from llmkit.notebook.dashboard.downloads import Kind

INSTEAD = f'{NO_WIDGETS}: use .dashboard(by="day"), .df and .export("png").'
"""What a front end without widgets shows: how to go on from Python."""

OLD = 20.0
"""Seconds after which the saved picture is drawn anew even while calls keep coming."""


class Dashboard:
    """Where the money went; see `Ledger.dashboard`.

    The last line of a cell shows it. It follows the ledger while it is shown: calls of this process
    at once, those of others within some two seconds. What is saved with the notebook is a picture that needs
    no kernel.

    Example:
        >>> from llmkit.costs.ledger import Ledger
        >>> board = Dashboard(Ledger(":memory:"), by="day")
        >>> board
        No calls yet. Make one with %%llm, and it appears here.
        >>> board.close()
    """

    def __init__(
        self,
        calls: Calls,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
        by: str = "model",
        metric: str = "cost",
        model: str | None = None,
        notebook: str | None = None,
        tag: str | None = None,
        simulated: bool | None = None,
    ) -> None:
        self._calls = calls
        self._name = uuid.uuid4().hex[:12]
        self._view: View | None = None
        self._controls: Controls | None = None
        self._panel: Any = None
        self._lock = threading.Lock()
        self._todo: set[str] = set()
        self._palette = view_model.Palette()
        self._pick: tuple[Pick, str] | None = None
        self._order = "newest"
        self._supposed: tuple[str | None, float | None] = (None, None)
        self._mark: tuple[Any, ...] = ()
        self._copies = SavedCopies(self._saved, INSTEAD)
        self._copied, self._stale = 0.0, False
        self._context = records.current_context()
        aggregate.check_group(by, aggregate.groups_of(calls.exact))
        choice = DashboardSettings(
            by=by, metric=metric, model=model, notebook=notebook, tag=tag, simulated=simulated
        )
        self._settings = replace(choice, **_period(calls, since, until))
        self._closed = False
        self._shown: dict[str, Any] = {}
        self._board: Board
        self._live = Live(calls.ledger, self._refresh, self._failed)
        try:
            self._live.do(self._update).result()
        except ConfigurationError:
            self.close()
            raise

    @property
    def settings(self) -> DashboardSettings:
        """What is chosen in the controls."""
        return self._settings

    @property
    def df(self) -> pd.DataFrame:
        """The calls that are chosen, like `Ledger.df`: those behind a bar if one is open."""
        board, pick = self._board, self._pick
        return in_dollars(board.rows(Pick() if pick is None else pick[0]))

    def export(self, kind: Kind = "csv") -> Path:
        """Write the calls that are chosen, or the chart, into a new file beside the notebook."""
        if kind not in downloads.MIME:
            raise ConfigurationError(
                f"The dashboard cannot export {kind!r:.40}.", hint="Use csv, parquet or png."
            )
        return downloads.write(
            kind, lambda: self.df, lambda: static_export.png(self._shown, wide=10.0, dpi=160)
        )

    def to_html(self) -> str:
        """Return the key figures, chart and table as an HTML document that needs no kernel and no script."""
        shown = self._shown
        return static_export.document(shown, static_export.png(shown | {"notes": ""}), self._name)

    def close(self) -> None:
        """End it: nothing of it goes on; the picture in the notebook stays."""
        if self._closed:
            return
        self._closed = True
        self._live.close()
        if self._panel is not None:
            assert self._view is not None
            assert self._controls is not None
            self._controls.close()
            self._view.close()
            self._panel.close()

    def __repr__(self) -> str:
        return view_model.plain(self._board)

    def _ipython_display_(self) -> None:
        """Show it, and keep a copy beside it that is saved with the notebook."""
        shell = current_shell()
        if not has_kernel(shell):
            say(f"{self!r}\n{INSTEAD}")
            return
        self._copies.show(shell.display_pub, None if self._closed else self._widgets())

    def _widgets(self) -> Any:
        """Return the widget; made when the dashboard is shown first."""
        import ipywidgets

        from llmkit.notebook.dashboard.controls import Controls, View

        if self._panel is None:
            self._view = View(self._name, self._receive)
            self._controls = Controls(self._settings, self._choose, self._write)
            self._offer(self._calls.exact)
            self._panel = ipywidgets.VBox([self._controls.box, self._view])
            self._panel.add_class("llmkit-dash-panel")
        return self._panel

    # What the user does; each of these returns at once

    def _choose(self, settings: DashboardSettings) -> None:
        with self._lock:
            if settings.by != self._settings.by:
                # A group keeps its colour until something else is grouped.
                self._palette = view_model.Palette()
            self._settings, self._pick = settings, None
        self._want("board", "rows", "what_if")

    def _receive(self, message: Mapping[str, Any], _buffers: Sequence[Any] = ()) -> None:
        kind, view = message.get("type"), str(message.get("view"))
        if kind == "hello":
            self._want("board", "rows", "what_if", view=view)
        elif kind == "bye":
            self._live.leave(view)
        elif kind in {"pick", "unpick", "order"}:
            self._chosen_rows(message)
        elif kind == "what_if":
            self._supposed = (_text(message.get("model")), _share(message.get("cached")))
            self._want("what_if")

    def _chosen_rows(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "order":
            self._order = "most expensive" if message.get("order") == "most expensive" else "newest"
        elif message["type"] == "unpick":
            self._pick = None
        else:
            pick = Pick(group=_text(message.get("group")), period=_text(message.get("period")))
            self._pick = (pick, str(message.get("label", "")))
        self._want("rows")

    def _write(self, kind: str) -> None:
        if not self._closed:
            self._live.do(lambda: self._export(kind))

    def _want(self, *parts: str, view: str = "") -> None:
        with self._lock:
            self._todo |= {*parts}
        if view:
            self._live.look(view)
        else:
            self._live.refresh_now()

    # What the dashboard's own thread does

    def _refresh(self) -> None:
        """Send what has changed; while nothing does, bring the saved copies up to date."""
        try:
            changed = self._update() is not None
        except ConfigurationError as error:
            self._say(str(error), "error")
            return
        if self._stale and self._copies and (not changed or time.monotonic() - self._copied > OLD):
            self._copies.update()

    def _failed(self, error: BaseException) -> None:
        self._say(f"The dashboard has stopped: {type(error).__name__}. Run its cell again.", "error")

    def _update(self) -> Any:
        """Read the ledger and send what is wanted or new; `None` if that is nothing."""
        with self._lock:
            todo, self._todo = self._todo, set()
            settings, pick = self._settings, self._pick
        frame, now = self._calls.exact, datetime.now(UTC)
        budget = self._calls.ledger.budget()
        mark = (*_fingerprint(frame), now.astimezone().date(), budget.daily, budget.left, settings)
        if mark != self._mark:
            todo |= {"board", "rows", "what_if"}
        if "board" in todo:
            board = Board(frame, settings, now) if mark != self._mark else self._board
            today = aggregate.today_sums(frame, now, simulated=board.simulated)
            self._shown = view_model.message(board, self._palette, budget, today)
            self._board, self._stale, self._mark = board, True, mark
            self._offer(frame)
            self._send({"type": "board", "models": what_if_models(frame), **self._shown})
        if "rows" in todo:
            self._send_rows(pick)
        if "what_if" in todo:
            self._send_what_if()
        return self._board if todo else None

    def _send_rows(self, pick: tuple[Pick, str] | None) -> None:
        if pick is None:
            self._send({"type": "rows", "label": ""})
            return
        board = self._board
        places = board.behind(pick[0])
        rows = board.listing(places, self._order)
        shown = view_model.listing(rows, len(places), self._prompts())
        self._send({"type": "rows", "label": pick[1], "order": self._order, **shown})

    def _send_what_if(self) -> None:
        from llmkit.costs.pricing.repricing import what_if

        model, cached = self._supposed
        if model is None and cached is None:
            self._send({"type": "what_if", "text": ""})
            return
        try:
            text = repr(what_if(self._board.rows(), model=model, cached=cached))
        except ConfigurationError as error:
            text = str(error)
        self._send({"type": "what_if", "text": text})

    def _export(self, kind: str) -> None:
        try:
            path = self.export(kind)  # type: ignore[arg-type]  # the buttons know the kinds
        except ConfigurationError as error:
            self._say(str(error), "error")
            return
        size = path.stat().st_size
        what = "The chart" if kind == "png" else many(len(self.df))
        said = {"type": "file", "text": f"{what}: {path}", "name": path.name, "kind": downloads.MIME[kind]}
        self._send(said, [path.read_bytes()] if size <= downloads.LARGEST else [])

    def _offer(self, frame: pd.DataFrame) -> None:
        if self._controls is not None:
            names, tags = aggregate.tag_choices(frame)
            groups = [*aggregate.groups_of(frame), *(by for name in names if (by := f"{TAG}{name}") != JOB)]
            words = [aggregate.word_choices(frame[name]) for name in ("model", "notebook")]
            self._controls.offer(groups, words[0], words[1], tags)

    def _saved(self) -> dict[str, str]:
        shown, self._stale, self._copied = self._shown, False, time.monotonic()
        html = static_export.saved(shown, static_export.png(shown | {"notes": ""}), self._name)
        return {"text/html": html, "text/plain": repr(self)}

    def _prompts(self) -> dict[str, int]:
        """Return the numbers of this notebook's cells whose calls this process made, by their identifier."""
        frame, here = self._calls.exact, self._context.notebook
        mine = frame[(frame["session"] == records.session_id()) & (frame["notebook"] == here)]
        cells = mine.dropna(subset=["cell_id", "execution_count"]).drop_duplicates("cell_id", keep="last")
        return dict(zip(cells["cell_id"].astype(str), cells["execution_count"].astype(int), strict=True))

    def _say(self, text: str, kind: str = "") -> None:
        self._send({"type": "say", "text": text, "kind": kind})

    def _send(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if self._view is not None and not self._closed:
            self._view.send(message, buffers)


def _period(calls: Calls, since: date | str | None, until: date | str | None) -> dict[str, Any]:
    if since is None and until is None:
        return {"period": aggregate.first_period(calls.exact, datetime.now(UTC))}
    if until is None and since in aggregate.PERIODS and since != "custom":
        return {"period": since}
    first, last = aggregate.to_day(since), aggregate.to_day(until, end=True)
    return {"period": "custom", "first": first, "last": last}


def _fingerprint(frame: pd.DataFrame) -> tuple[Any, ...]:
    """Return what changes with the rows: calls come, are deleted, or get another price."""
    if not len(frame):
        return (0,)
    cost = frame["cost_nanos"]
    return len(frame), str(frame["uid"].iloc[-1]), int(cost.sum()), int(cost.notna().sum())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _share(value: object) -> float | None:
    return min(max(float(value), 0.0), 1.0) if isinstance(value, (int, float)) else None
