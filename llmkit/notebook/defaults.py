"""What applies to a cell that does not say otherwise: the options of `%config LLMMagics`."""

from __future__ import annotations

from traitlets import Bool, Dict, Enum, Float, List, Unicode
from traitlets.config import Configurable

from llmkit.notebook.cell.values import FORMATS


class Defaults(Configurable):
    """Defaults of a notebook session."""

    model = Unicode("", help="Model that is asked where none is named: an alias or provider:model.").tag(
        config=True
    )
    aliases = Dict(
        key_trait=Unicode(), value_trait=Unicode(), help="Short names of models, for this session."
    ).tag(config=True)
    system = Unicode("", help="System prompt where a cell gives none.").tag(config=True)
    format = Enum(["", *FORMATS], "", help="Format of answers where a cell gives none.").tag(config=True)
    temperature = Float(
        None, allow_none=True, min=0.0, max=2.0, help="Temperature where a cell gives none."
    ).tag(config=True)
    fallback = List(
        Unicode(), help="Models that stand in, in this order, where the first one gives no answer."
    ).tag(config=True)
    budget = Float(None, allow_none=True, min=0.0, help="What one call may cost at most, in US dollars.").tag(
        config=True
    )
    tags = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Labels of this notebook's calls in the ledger; %llm tags sets them.",
    ).tag(config=True)
    replay = Enum(
        ["", "off", "auto", "only"], "", help="Whether recorded answers are played back; see llmkit.replay."
    ).tag(config=True)
    footer = Bool(default_value=True, help="Show model, tokens, time and cost under an answer.").tag(
        config=True
    )
    max_refresh_hz = Float(
        12.0, min=0.1, max=60.0, help="How often a growing answer is drawn anew, per second at most."
    ).tag(config=True)
    short_errors = Bool(default_value=True, help="Show an error on one line; %tb shows frames.").tag(
        config=True
    )
    warm_up = Bool(default_value=True, help="Load the SDK in the background soon after %load_ext.").tag(
        config=True
    )
