"""What applies to a cell that does not say otherwise: the options of `%config LLMMagics`."""

from __future__ import annotations

from traitlets import Bool, Dict, Enum, Float, List, Unicode
from traitlets.config import Configurable

from llmkit.notebook.cell.values import FORMATS


class Defaults(Configurable):
    """Defaults of a notebook session."""

    model = Unicode("", help="Model that is asked where none is named: an alias or provider:model.")
    aliases = Dict(
        key_trait=Unicode(), value_trait=Unicode(), help="Short names of models, for this session."
    )
    system = Unicode("", help="System prompt where a cell gives none.")
    format = Enum(["", *FORMATS], "", help="Format of answers where a cell gives none.")
    temperature = Float(None, allow_none=True, min=0.0, max=2.0, help="Temperature where a cell gives none.")
    fallback = List(
        Unicode(), help="Models that stand in, in this order, where the first one gives no answer."
    )
    budget = Float(None, allow_none=True, min=0.0, help="What one call may cost at most, in US dollars.")
    tags = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Labels of this notebook's calls in the ledger; %llm tags sets them.",
    )
    replay = Enum(
        ["", "off", "auto", "only"], "", help="Whether recorded answers are played back; see llmkit.replay."
    )
    footer = Bool(default_value=True, help="Show model, tokens, time and cost under an answer.")
    max_refresh_hz = Float(
        12.0, min=0.1, max=60.0, help="How often a growing answer is drawn anew, per second at most."
    )
    short_errors = Bool(default_value=True, help="Show an error on one line; %tb shows frames.")
    warm_up = Bool(default_value=True, help="Load the SDK in the background soon after %load_ext.")


for _trait in Defaults.class_own_traits().values():
    _trait.tag(config=True)  # every one of them is an option of %config LLMMagics
