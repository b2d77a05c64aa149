"""An invented person, for prompts that ask for one: a fictional user, an example customer."""

from __future__ import annotations

import re
from typing import Any

_ASKED = re.compile(
    r"\b(?:fictional|fictitious|imaginary|made[- ]up|invented|example|sample|dummy|fake|random)"
    r" (?:\w+ )?(?:person|user|customer|character|employee|student|patient|profile)\b",
    re.IGNORECASE,
)
_PERSON: dict[str, Any] = {
    "name": "Mira Sandberg",
    "full_name": "Mira Sandberg",
    "first_name": "Mira",
    "last_name": "Sandberg",
    "surname": "Sandberg",
    "age": 34,
    "city": "Lisbon",
    "country": "Portugal",
    "email": "mira.sandberg@example.com",
    "job": "architect",
    "job_title": "architect",
    "occupation": "architect",
    "profession": "architect",
    "hobby": "rowing",
    "hobbies": ["rowing", "chess"],
    "interests": ["rowing", "chess"],
}


def invented(prompt: str, keys: list[str]) -> dict[str, Any] | None:
    """Return an invented person with some keys; `None` if none is asked for, or a key is unusual.

    Example:
        >>> invented("JSON with name and age of a fictional person", ["name", "age"])
        {'name': 'Mira Sandberg', 'age': 34}
    """
    wanted = keys or ["name", "age", "city"]
    if not _ASKED.search(prompt) or not all(key.lower() in _PERSON for key in wanted):
        return None
    return {key: _PERSON[key.lower()] for key in wanted}
