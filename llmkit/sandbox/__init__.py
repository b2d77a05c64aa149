"""A fake server for four wire formats on this machine: no key, no network, no cost.

```python
from llmkit import sandbox
import openai

client = openai.OpenAI(api_key="any", base_url=sandbox.url("openai"))
```

It speaks the real wire formats of OpenAI's Chat Completions and Responses, Anthropic's Messages and
Google's Gemini API, plain and streamed, with tools, reasoning, sources and images: it calls a function that
the prompt is about, with arguments from the prompt, and answers with the result; `sandbox-thinking` reasons
first; with the provider's search a prompt for sources gets pages of example.org, and a prompt for a picture
a small PNG where the provider makes images. What must come back unchanged, such as signatures, is checked.
Importing it is cheap; a server starts at the first `url()`.
Every key except `"invalid"` is accepted, and every model except names that start with `no-such-`.
The Decisions APIs of OpenAI and Google judge an input with made-up probabilities; a question with the word
`refuse` is refused.
Batches finish after `batch_seconds`; `advance` sets the clock forward.
`llmkit.sandbox.faults` describes how to make an answer fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.sandbox.mounts import MOUNTS, NOTE

if TYPE_CHECKING:
    from llmkit.sandbox.dialects.dialect import ProtocolName
    from llmkit.sandbox.journal import SeenRequest
    from llmkit.sandbox.loopback import SandboxServer

__all__ = ["MOUNTS", "NOTE", "SandboxServer", "SeenRequest", "server", "start", "url"]

_LAZY = {"SandboxServer": "loopback", "SeenRequest": "journal"}


def server() -> SandboxServer:
    """Return the shared server of this process, and start it if it does not run.

    Returns:
        The server; a forked process gets its own. Its pace is set by the
        environment variables LLMKIT_SANDBOX_FIRST_TOKEN (seconds) and LLMKIT_SANDBOX_RATE
        (tokens per second, 0 is all at once).

    Raises:
        ValueError: If one of the variables is not a number.
    """
    from llmkit.sandbox.loopback import shared

    return shared()


def url(protocol: ProtocolName = "openai") -> str:
    """Return the shared server's base URL for an SDK.

    Args:
        protocol: `"openai"`, `"anthropic"` or `"google"`.

    Returns:
        The URL, e.g. `http://127.0.0.1:40123/openai/v1`.

    Raises:
        ValueError: If the protocol is unknown.

    Example:
        >>> url("google").startswith("http://127.0.0.1:")
        True
    """
    return server().url(protocol)


def start(
    *,
    port: int = 0,
    first_token: float | None = None,
    rate: float | None = None,
    fault: str = "",
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    batch_seconds: float | None = None,
) -> SandboxServer:
    """Start a server of your own; stop it with `stop()` or a `with` block.

    Args:
        port: Port on 127.0.0.1; 0 lets the system choose.
        first_token: Seconds before the first text; 0.15 by default.
        rate: Tokens per second, 0 is all at once; 60 by default.
        fault: Specification for every answer, as in `llmkit.sandbox.faults`.
        requests_per_minute: Rate limit for each key and model; none by default. Answers then carry
            the provider's headers, and a request above the limit gets its error 429.
        tokens_per_minute: The same for tokens; at Anthropic for input and for output.
        batch_seconds: Seconds that a batch takes; 5 by default, and more than 24 hours (Google: 48)
            lets it expire. `advance` lets time pass at once.

    Returns:
        The server, listening.

    Raises:
        ValueError: If the fault specification or a limit is invalid.
        OSError: If the port is in use.

    Example:
        >>> with start(rate=0, first_token=0) as private:
        ...     private.fail_next("429;retry-after=2", times=2)
    """
    from llmkit.sandbox.batches.store import BATCH_SECONDS
    from llmkit.sandbox.loopback import FIRST_TOKEN, RATE, SandboxServer

    return SandboxServer(
        port=port,
        first_token=FIRST_TOKEN if first_token is None else first_token,
        rate=RATE if rate is None else rate,
        fault=fault,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        batch_seconds=BATCH_SECONDS if batch_seconds is None else batch_seconds,
    )


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
