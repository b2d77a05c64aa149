"""Parameters that a server refuses: which one an error names, and whether it may be dropped.

Only parameters that do not change the meaning of a request may be dropped. For all others, the user
gets the provider's error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ContextLengthError, InvalidRequestError
from llmkit.providers.codec import ContractTemperature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.core.errors import LLMClientError
    from llmkit.providers.codec import Codec, Request

_DROPPABLE = frozenset(
    {"temperature", "topp", "topk", "seed", "logprobs", "toplogprobs", "responselogprobs", "streamoptions"}
)
_LOGPROBS = frozenset({"logprobs", "responselogprobs"})

_EFFORT = frozenset({"reasoning", "output_config"})
"""Fields that carry the effort which the user chose."""

_NOT_SOUGHT = frozenset(
    {"model", "messages", "contents", "system", "systemInstruction", "stream", "generationConfig"}
)
"""Parameters that error messages mention although they are not the cause."""

_CONTAINERS = frozenset({"body", "query", "generationconfig"})
"""Parts of a request path that are not parameters."""

_REFUSED = re.compile(
    r"not support|n't support|unsupported|support(s|ed)? only|only support"
    r"|unrecogni[sz]ed|unknown|unexpected|invalid|extra (inputs|fields)|extra_forbidden|deprecated|removed"
    r"|no longer|unavailable|disabled|forbidden|incompatible|illegal|remove|omit|cannot find field"
    r"|(not|n't|cannot) (be )?(permitted|allowed|available|accept|recogni[sz]ed|known|valid|applicable)"
    r"|(not|n't|cannot) (be )?(compatible|implemented|enabled|take|used?|have|set|specified|changed?|modif)"
    r"|\bonly\b|must be|should be|may be|must not|is fixed|is not an? "
)
"""Messages about an unsupported parameter, or one with a single allowed value."""

_MISTAKEN = re.compile(
    r"(less|greater|more|lower|higher|larger|smaller) than|at (most|least)|between|\babove\b|\bbelow\b"
    r"|maximum|minimum|\brange\b|within|too (large|small|big|high|low|many|long)|exceed|[<>]=|[≤≥]"
    r"|invalid type|wrong type|valid (number|integer|float|decimal|string|boolean)"
    r"|(expected|be|is not) an? (\w+ )?(number|integer|int|float|decimal|string|list|boolean|positive)"
    r"|(in|from) (the )?(interval|[\[(]|-?[0-9.]+ (to|-|and))"
)
"""Messages about an invalid value of a supported parameter, which the user has to change."""

_ALIASES = {
    "temperature": r"sampling",
    "topp": r"nucleus|sampling",
    "topk": r"sampling",
    "logprobs": r"log[ -]?prob(abilitie)?s",
    "responselogprobs": r"log[ -]?prob(abilitie)?s",
    "streamoptions": r"include_usage|stream[ -]options?",
}
_SCHEMA_WORDS = (
    r"json[_ ]?(schema|mode|object)|structured[_ ](output|response)s?|response[_ ]?(format|schema)"
)


def same_name(one: str, other: str) -> bool:
    """Whether two spellings mean the same parameter.

    Example:
        >>> same_name("top_p", "topP")
        True
    """
    return _plain(one) == _plain(other)


def droppable(name: str) -> bool:
    """Whether a request means the same without a parameter.

    Example:
        >>> droppable("topP"), droppable("presence_penalty"), droppable("tools")
        (True, True, False)
    """
    return _plain(name) in _DROPPABLE or _plain(name).endswith("penalty")


def is_chosen(name: str, request: Request) -> bool:
    """Whether the user set a parameter, in the call or in the settings."""
    given = request.temperature
    if name == "temperature" and given is not None and not isinstance(given, ContractTemperature):
        return True
    if request.effort is not None and name in _EFFORT:
        return True
    return any(same_name(name, chosen) for chosen in request.extra)


def without_refused(error: LLMClientError, request: Request, codec: Codec) -> tuple[Request, frozenset[str]]:
    """Drop refused parameters if the request means the same without them."""
    unchanged = request, frozenset[str]()
    # A message about the context length often names max_tokens, although that is not refused.
    if not isinstance(error, InvalidRequestError) or isinstance(error, ContextLengthError):
        return unchanged
    sent = codec.parameters(codec.encode(request).body or {})
    names = _refused(error, request, sent, codec) - request.without
    if not names:
        return unchanged
    lesser = request.less(names)
    limits = codec.limit_fields
    if names & limits and not (limits - names) & (codec.encode(lesser).body or {}).keys():
        return unchanged  # the limit has no other name, or the server refused that name, too
    return lesser, names


def _refused(
    error: LLMClientError, request: Request, sent: Mapping[str, Any], codec: Codec
) -> frozenset[str]:
    """Return the parameters to drop; none if the error is about something else."""
    message = error.message.lower()
    stated = _stated(error, sent)
    schema = codec.schema_fields
    blamed = stated or _first_named(message, sent, schema)
    mentioned = {name for name in sent if name in blamed or _at(name, message, schema) >= 0}
    if spare := {name for name in mentioned if _is_spare(name, request, codec)}:
        return _family(spare, sent)
    refused = bool(stated or _REFUSED.search(message))
    if refused and blamed and _is_dispensable(blamed, request, message, codec):
        return _family({blamed[0]}, sent)
    return frozenset()


def _is_dispensable(blamed: list[str], request: Request, message: str, codec: Codec) -> bool:
    """Whether the request means the same without the first of these, and the error is not about its value."""
    if blamed[0] not in codec.schema_fields and _MISTAKEN.search(message):
        return False
    return all(_is_optional(name, request, message, codec) for name in blamed)


def _is_spare(name: str, request: Request, codec: Codec) -> bool:
    """Whether a parameter may be dropped on a mere mention, because the user did not choose it."""
    return (droppable(name) or name in codec.own_fields) and not is_chosen(name, request)


def _is_optional(name: str, request: Request, message: str, codec: Codec) -> bool:
    if name not in codec.schema_fields:
        return name in codec.limit_fields or droppable(name)
    # A schema can go into the prompt, but the parameter may also contain values that the user set.
    theirs = "format" not in message and (name in request.extra or (bool(request.effort) and name in _EFFORT))
    return request.schema is not None and not theirs


def _stated(error: LLMClientError, sent: Mapping[str, Any]) -> list[str]:
    """Return the parameters that the error's fields name and that were sent."""
    roots = [root for place in error.params if (root := _root(place))]
    return [name for root in roots if root != "model" for name in sent if same_name(name, root)]


def _root(place: str) -> str:
    """Return the parameter in a path such as `body.tools[0].type` or `generation_config.top_k`."""
    parts = re.split(r"[.\[\]/'\"]+", place)
    return next((part for part in parts if part and _plain(part) not in _CONTAINERS), "")


def _first_named(message: str, sent: Iterable[str], schema: frozenset[str]) -> list[str]:
    """Return the first parameter in a message; later ones are often the reason."""
    if re.search(r"['\"`]messages['\"`]|\bmessages[.\[:]", message):
        return ["messages"]
    places = [(_at(name, message, schema), name) for name in sent if name not in _NOT_SOUGHT]
    return [min(found)[1]] if (found := [(place, name) for place, name in places if place >= 0]) else []


def _at(name: str, message: str, schema: frozenset[str]) -> int:
    """Return where a lower-case message mentions a parameter in any spelling; -1 if it does not."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)
    spellings = ["[_ -]?".join(map(str.lower, words))]
    spellings += filter(None, [_ALIASES.get(_plain(name)), _SCHEMA_WORDS if name in schema else None])
    if _plain(name).endswith("penalty"):
        spellings.append("penalt(y|ies)")
    found = re.search(rf"(?<![a-z_])(?:{'|'.join(spellings)})(?![a-z_])", message)
    return -1 if found is None else found.start()


def _family(names: set[str], sent: Mapping[str, Any]) -> frozenset[str]:
    """Add dependent parameters: `top_logprobs` is invalid without `logprobs`."""
    if any(_plain(name) in _LOGPROBS for name in names):
        names = names | {name for name in sent if _plain(name) in {*_LOGPROBS, "toplogprobs"}}
    return frozenset(names)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
