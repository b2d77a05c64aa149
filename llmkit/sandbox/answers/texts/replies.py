"""Drafts of letters and of answers to messages, with the prompt's own words."""

from __future__ import annotations

import re

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.condensing import keywords
from llmkit.sandbox.answers.texts.lexicon import sentiment
from llmkit.sandbox.answers.wording import capitalised, joined

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


_LETTER = re.compile(
    r"^\W*(?:please |can you |could you )*(?:write|draft|compose|create)(?: me)? (?:an? |the )?(?:\w+ ){0,2}?"
    r"(?:e-?mail|letter|message|note|mail)(?: to (?:my |the |our |an? )?([\w -]+?))?"
    r"(?: (?:that |which |in which i )?(asks?(?:ing)?|to ask|requests?(?:ing)?|to request|thank(?:s|ing)?"
    r"|to thank"
    r"|apologi[sz](?:e|es|ing)|invit(?:e|es|ing)|announc(?:e|es|ing)))"
    r"(?: (?:them|him|her|you|everyone|everybody))?(?: (?:for|about|to))? ([^.?!]{3,80}?)[.?!]?\s*$"
)
_SAYINGS = (
    (
        re.compile(r"ask|request"),
        "I would like to ask for {what}. Please let me know whether this is possible.",
    ),
    (re.compile(r"thank"), "Thank you very much for {what}."),
    (re.compile(r"apolog"), "I apologise for {what}."),
    (re.compile(r"invit"), "I would like to invite you to {what}. Please let me know whether you can come."),
    (re.compile(r"announc"), "I am pleased to announce {what}."),
)


def letter(wish: str) -> Finding | None:
    """Write a short letter that says what a plain prompt tells it to say.

    Example:
        >>> letter("write an email to my boss asking for a day off").short
        'I would like to ask for a day off. Please let me know whether this is possible.'
    """
    found = _LETTER.search(wish)
    if found is None:
        return None
    what = found[3]
    body = next(said for pattern, said in _SAYINGS if pattern.search(found[2])).format(what=what)
    greeting = f"Dear {found[1].title()}," if found[1] else "Hello,"
    subject = what.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    text = f"Subject: {capitalised(subject)}\n\n{greeting}\n\n{body}\n\nKind regards"
    return Finding(text=text, short=body, gist=body)
