"""What cells print stands as it was printed: MyST-NB would begin a new line at each piece.

Progress bars that need a widget are left out, as in the saved notebooks: as text they say where they began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from myst_nb.core import render

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from sphinx.application import Sphinx

WIDGET = "application/vnd.jupyter.widget-view+json"


def is_bar(output: NotebookNode) -> bool:
    """Whether an output is a widget without a form of its own for readers."""
    data = output.get("data", {})
    return WIDGET in data and "text/html" not in data


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed to one stream, at the place of its first piece."""
    done: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output["output_type"] == "stream" and output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
        elif output["output_type"] == "stream":
            streams[output["name"]] = output
            done.append(output)
        elif not is_bar(output):
            done.append(output)
    return done


def setup(_app: Sphinx) -> dict[str, bool]:
    """Take the place of MyST-NB's function."""
    render.coalesce_streams = joined
    return {"parallel_read_safe": True, "parallel_write_safe": True}
