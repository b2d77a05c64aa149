"""The figure and the Axes that a chart makes for itself, as a notebook shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence


class ChartFigure(Figure):
    """A figure whose picture has a text for readers who do not see it."""

    alternative = ""

    def _repr_mimebundle_(self, **_: Sequence[str] | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return no data, which IPython draws as it does for every figure, and the text as metadata.

        Source: nbconvert's HTML template reads `alt` there.
        """
        kinds = ("image/png", "image/jpeg", "image/svg+xml")
        return {}, {kind: {"alt": self.alternative} for kind in kinds} if self.alternative else {}


class ChartAxes(Axes):
    """Axes that are not also printed as text if they are the value of a cell; their figure is shown."""

    def _ipython_display_(self) -> None:
        if mpl.get_backend().lower() == "agg":  # it shows no figures; IPython goes on to the usual text
            raise NotImplementedError
