"""Many calls at once, as fast as the server allows: `answered` makes them, a `Limiter` says how many."""

from llmkit.clients.limiter.answers import answered
from llmkit.clients.limiter.limiter import Limiter, limiter_of

__all__ = ["Limiter", "answered", "limiter_of"]
