"""Drafts of an answer to a message, with the message's own words."""

from __future__ import annotations

import re

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.condensing import keywords
from llmkit.sandbox.answers.texts.lexicon import sentiment
from llmkit.sandbox.answers.wording import joined

_REPLY = re.compile(
    r"^\W*(?:please |can you |could you )*(?:(?:write|draft|compose|suggest|give(?: me)?|generate"
    r"|prepare)\b.*"
    r"\b(?:reply|response|answer)\b|(?:reply|respond|answer)\b.*\b(?:customers?|mails?|emails?|messages?"
    r"|complaints?|tickets?|reviews?|comments?|client|user)\b|(?:polite |short |friendly )*reply$)"
)


def replied(wish: str, text: str) -> Finding | None:
    """Draft an answer that says what the message is about, and promises nothing.

    Example:
        >>> replied("reply to this customer", "Can I get a refund?").gist
        'Thank you for your message about the refund.'
    """
    if not _REPLY.search(wish):
        return None
    topic = joined(keywords(text, 2))
    thanks = f"Thank you for your message{f' about the {topic}' if topic else ''}."
    sorry = " We are sorry for the trouble." if sentiment(text) == "negative" else ""
    body = f"{thanks}{sorry} We are looking into it and will come back to you as soon as we can."
    return Finding(text=f"Hello,\n\n{body}\n\nKind regards", short=body, gist=thanks)
