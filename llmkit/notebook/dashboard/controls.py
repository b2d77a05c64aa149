"""What the browser shows: the dashboard's widget, and the controls above it.

The controls' state, which may be saved with the notebook, has only the names that can be chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from llmkit.notebook.dashboard.aggregate import GROUPS, METRICS, PERIODS, DashboardSettings
from llmkit.notebook.dashboard.view_model import NAMES
from llmkit.notebook.display.message_widget import MessageWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDER = Path(__file__).parent

ANY = ""
"""Value of a filter that lets everything pass."""

_PERIODS = {"7 days": "last 7 days", "30 days": "last 30 days", "all": "all time", "custom": "from … to …"}
_WHICH = {"as in totals": None, "real": False, "simulated": True}


class View(MessageWidget):
    """Shows figures, chart, tables and the what-if."""

    _esm = FOLDER / "dashboard.js"
    _css = FOLDER / "dashboard.css"


class Controls:
    """What a user chooses from.

    Attributes:
        box: The widget.
    """

    def __init__(
        self,
        settings: DashboardSettings,
        changed: Callable[[DashboardSettings], None],
        export: Callable[[str], None],
    ) -> None:
        self._changed = changed
        self._silent = False
        self._menus = {
            "period": _menu("Period", [(_PERIODS.get(name, name), name) for name in PERIODS]),
            "by": _menu("Group by", [(name, name) for name in GROUPS]),
            "metric": _menu("Measure", [(NAMES[name], name) for name in METRICS]),
            "model": _menu("Model", [("all", ANY)]),
            "notebook": _menu("Notebook", [("all", ANY)]),
            "tag": _menu("Tag", [("any", ANY)]),
            "simulated": _menu("Calls", [(name, name) for name in _WHICH]),
        }
        self._days = {
            "first": ipywidgets.DatePicker(description="From"),
            "last": ipywidgets.DatePicker(description="To, included"),
        }
        buttons = [_button(kind, export) for kind in ("csv", "parquet", "png")]
        period, *others = self._menus.values()
        files = ipywidgets.HBox(buttons)
        self.box = ipywidgets.HBox([period, *self._days.values(), *others, files])
        self._all = [*self._menus.values(), *self._days.values(), *buttons, files, self.box]
        self.box.add_class("llmkit-dash-controls")
        self.show(settings)
        for control in (*self._menus.values(), *self._days.values()):
            control.observe(self._observed, "value")

    def show(self, settings: DashboardSettings) -> None:
        """Set the controls to these settings, without telling anybody."""
        self._silent = True
        try:
            for name, menu in self._menus.items():
                _choose(menu, _word(name, getattr(settings, name)))
            for name, day in self._days.items():
                day.value = getattr(settings, name)
        finally:
            self._silent = False
        self._last_sent = settings
        self._hide_days(settings)

    def offer(
        self, groups: Sequence[str], models: Sequence[str], notebooks: Sequence[str], tags: Sequence[str]
    ) -> None:
        """Bring the choices up to date; what is chosen stays chosen."""
        choices = {
            "by": [(name, name) for name in groups],
            "model": [("all", ANY), *((name, name) for name in models)],
            "notebook": [("all", ANY), *((name, name) for name in notebooks)],
            "tag": [("any", ANY), *((name, name) for name in tags)],
        }
        self._silent = True
        try:
            for name, options in choices.items():
                _offer(self._menus[name], options)
        finally:
            self._silent = False
        self._observed()  # what a user chose in the meantime, in another thread

    def close(self) -> None:
        """Take the controls away."""
        for control in self._all:
            control.close()

    @property
    def settings(self) -> DashboardSettings:
        """What is chosen now."""
        values: dict[str, Any] = {name: menu.value or None for name, menu in self._menus.items()}
        values |= {name: day.value for name, day in self._days.items()}
        values["simulated"] = _WHICH[values["simulated"]]
        return DashboardSettings(**values)

    def _observed(self, _change: object = None) -> None:
        if not self._silent and (settings := self.settings) != self._last_sent:
            self._last_sent = settings
            self._hide_days(settings)
            self._changed(settings)

    def _hide_days(self, settings: DashboardSettings) -> None:
        for day in self._days.values():
            day.layout.display = None if settings.period == "custom" else "none"


def _menu(label: str, options: list[tuple[str, str]]) -> Any:
    return ipywidgets.Dropdown(description=label, options=options, style={"description_width": "initial"})


def _word(name: str, value: Any) -> str:
    if name == "simulated":
        return next(word for word, meaning in _WHICH.items() if meaning is value)
    return value or ANY


def _choose(menu: Any, value: str) -> None:
    """Choose a value, also one that is not known yet, e.g. a model without calls."""
    if value not in [known for _, known in menu.options]:
        menu.options = (*menu.options, (value, value))
    menu.value = value


def _offer(menu: Any, options: list[tuple[str, str]]) -> None:
    chosen = menu.value
    if chosen not in [value for _, value in options]:
        options = [*options, (chosen, chosen)]
    if tuple(options) != tuple(menu.options):
        # New options reset the value; both must reach the front end in one message.
        with menu.hold_sync():
            menu.options = options
            menu.value = chosen


def _button(kind: str, export: Callable[[str], None]) -> Any:
    what = "chart" if kind == "png" else "calls"
    name = {"csv": "CSV", "parquet": "Parquet", "png": "PNG"}[kind]
    button = ipywidgets.Button(description=name, tooltip=f"Write the {what} into a {name} file")
    button.on_click(lambda _button: export(kind))
    return button
