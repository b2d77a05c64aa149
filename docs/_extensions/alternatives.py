"""Pictures that cells draw have an alternative text: what the output states, or where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myst_nb.core.render import NbElementRenderer

if TYPE_CHECKING:
    from docutils import nodes
    from myst_nb.core.render import MimeData
    from sphinx.application import Sphinx

OTHERWISE = "A chart, drawn by the code above"
render_image = NbElementRenderer.render_image


def with_alternative(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
    """Return the picture as MyST-NB makes it, which reads the size from the output but no text."""
    (picture,) = render_image(self, data)
    picture["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", OTHERWISE)
    return [picture]


def setup(_app: Sphinx) -> dict[str, bool]:
    """Take the place of MyST-NB's method."""
    NbElementRenderer.render_image = with_alternative
    return {"parallel_read_safe": True, "parallel_write_safe": True}
