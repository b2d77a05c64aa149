"""Defaults of cells: the options of `%config LLMMagics`."""

from __future__ import annotations

from traitlets import Bool, Dict, Enum, Float, List, Unicode
from traitlets.config import Configurable

from llmkit.notebook.cell.values import FORMATS


class Defaults(Configurable):
    """Defaults of a notebook session."""

    model = Unicode("", help="Default model: an alias or provider:model.")
    aliases = Dict(key_trait=Unicode(), value_trait=Unicode(), help="Aliases of models, for this session.")
    system = Unicode("", help="Default system prompt.")
    format = Enum(["", *FORMATS], "", help="Default format of answers.")
    temperature = Float(None, allow_none=True, min=0.0, max=2.0, help="Default temperature.")
    fallback = List(Unicode(), help="Fallback models, tried in this order if the first one fails.")
    budget = Float(None, allow_none=True, min=0.0, help="Maximum cost of one call, in US dollars.")
    tags = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Labels of this notebook's calls in the ledger; %llm tags sets them.",
    )
    replay = Enum(
        ["", "off", "auto", "only"], "", help="Whether recorded answers are replayed; see llmkit.replay."
    )
    footer = Bool(default_value=True, help="Show model, tokens, time and cost under an answer.")
    max_refresh_hz = Float(
        12.0, min=0.1, max=60.0, help="Maximum number of updates of a streaming answer per second."
    )
    short_errors = Bool(default_value=True, help="Show errors on one line; %tb shows the traceback.")
    warm_up = Bool(default_value=True, help="Load the SDK in the background soon after %load_ext.")


for _trait in Defaults.class_own_traits().values():
    _trait.tag(config=True)  # makes it an option of %config LLMMagics
