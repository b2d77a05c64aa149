"""Google's former SDK, `google-generativeai`: end of life, kept for notebooks that depend on it.

Its asynchronous REST path is broken, so its synchronous one runs in a thread.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from typing import TYPE_CHECKING, Any

import orjson

from llmkit import catalog, settings
from llmkit.clients.engine import ProviderClient, Timeouts
from llmkit.clients.google import ADDRESS, GoogleCodec, camel
from llmkit.clients.keys import keys, known_key, missing_key
from llmkit.errors import ConfigurationError, InvalidRequestError
from llmkit.sandbox import url as sandbox_url
from llmkit.wire.carrier import WireRequest, broken, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping


class GoogleGenerativeAIClient(ProviderClient):
    """Client of Gemini through `google-generativeai`; prefer `GoogleAIClient`.

    Needs `pip install "llmkit[google-legacy]"`.

    Args:
        api_key: The key; by default as for `GoogleAIClient`.
        base_url: The API's address; by default as for `GoogleAIClient`.
        model: Model to use where a call names none.
        timeout: Seconds for a whole call, or all the deadlines.
        max_retries: Tries after the first one.
        client: Your own `google.generativeai.GenerativeModel`, in place of key, address and model.

    Raises:
        ConfigurationError: If the package is not installed, or a number makes no sense.

    Example:
        ```python
        client = GoogleGenerativeAIClient(model="gemini-2.5-flash")
        ```
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        model: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 2,
        client: Any = None,
    ) -> None:
        _sdk()
        simulated = client is None and base_url is None and settings.load().sandbox
        if simulated:
            api_key, base_url = "sandbox", sandbox_url("google")
        self._key = known_key(api_key)
        address = base_url or settings.base_url(catalog.providers()["google-legacy"]) or ADDRESS
        super().__init__(
            "google-legacy",
            codec=GoogleCodec(),
            carrier=LegacyCarrier(address, self._find_key, client),
            model=model,
            timeout=timeout,
            max_retries=max_retries,
            simulated=simulated,
        )

    def _find_key(self) -> str:
        key = self._key or keys.find("google-legacy")
        if key is None:
            raise missing_key("google-legacy")
        return key.reveal()


class LegacyCarrier:
    """Carry requests with the SDK's synchronous REST transport, in a thread.

    Args:
        address: The API's base URL.
        key: Returns the key.
        model: The user's own `GenerativeModel`.
    """

    def __init__(self, address: str, key: Callable[[], str], model: Any = None) -> None:
        self.address = address
        self._key = key
        self._model = model

    async def send(self, request: WireRequest) -> LegacyExchange:
        """Send a request through the SDK; see `Carrier.send`."""
        from google.api_core import exceptions

        key = "" if self._model is not None else self._key()
        try:
            if request.body is None:
                return LegacyExchange(iter([await asyncio.to_thread(self._models, key)]))
            answer = await asyncio.to_thread(self._generate, request, key)
        except exceptions.GoogleAPICallError as error:
            body = orjson.dumps({"error": {"message": error.message, "status": type(error).__name__}})
            return LegacyExchange(iter([body]), status=int(error.code or 500), cause=error)
        except (exceptions.GoogleAPIError, OSError) as error:  # requests' exceptions are OSErrors
            raise unreachable(error, self.address) from error
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidRequestError(f"The google-generativeai SDK refused the request: {error}.") from error
        if request.stream:
            return LegacyExchange(b"data: " + _json(chunk) + b"\n\n" for chunk in answer)
        return LegacyExchange(iter([_json(answer)]))

    async def aclose(self) -> None:
        """Do nothing: the SDK keeps its sessions to itself."""

    def _generate(self, request: WireRequest, key: str) -> Any:
        body = dict(request.body or {})
        name = request.path.rpartition(":")[0].split("/", 2)[-1]
        system = body.get("systemInstruction")
        generation = {_snake(k): v for k, v in body.get("generationConfig", {}).items()}
        model = self._model or self._configured(name, key, system)
        return model.generate_content(body["contents"], generation_config=generation, stream=request.stream)

    def _configured(self, name: str, key: str, system: Any) -> Any:
        sdk = _sdk()
        sdk.configure(api_key=key, transport="rest", client_options={"api_endpoint": self.address})
        return sdk.GenerativeModel(name, system_instruction=system)

    def _models(self, key: str) -> bytes:
        sdk = _sdk()
        sdk.configure(api_key=key, transport="rest", client_options={"api_endpoint": self.address})
        return orjson.dumps({"models": [{"name": model.name} for model in sdk.list_models()]})


class LegacyExchange:
    """An answer of the SDK's, read in a thread.

    Args:
        body: The pieces of the body; taking the next one may block.
        status: HTTP status.
        cause: The SDK's exception, for an error status.
    """

    def __init__(self, body: Iterator[bytes], status: int = 200, cause: BaseException | None = None) -> None:
        self._body = body
        self._left = threading.Event()
        self.status = status
        self.headers: Mapping[str, str] = {}
        self.cause = cause

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; see `Exchange.chunks`."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()

        def put(piece: bytes | BaseException | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        threading.Thread(target=self._pump, args=(put,), daemon=True, name="llmkit-google-legacy").start()
        while (piece := await pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise broken(piece) from piece
            yield piece

    async def aclose(self) -> None:
        """Let the thread stop at the next piece: the SDK has no way to stop it at once."""
        self._left.set()

    def _pump(self, put: Callable[[bytes | BaseException | None], None]) -> None:
        from google.api_core import exceptions

        try:
            for piece in self._body:
                if self._left.is_set():
                    return
                put(piece)
        except (exceptions.GoogleAPIError, OSError, TypeError, ValueError) as error:
            put(error)
        put(None)


def _sdk() -> Any:
    """Import the SDK without the warnings that it prints at every import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import google.generativeai as sdk
    except ImportError as error:
        raise ConfigurationError(
            "The package google-generativeai is not installed.",
            hint='pip install "llmkit[google-legacy]", or use GoogleAIClient, which is maintained.',
        ) from error
    return sdk


def _json(answer: Any) -> bytes:
    """Return an SDK answer in the API's own spelling."""
    data = answer.to_dict()
    for candidate in data.get("candidates", ()):
        reason = candidate.get("finish_reason")
        if isinstance(reason, int):
            candidate["finish_reason"] = _sdk().protos.Candidate.FinishReason(reason).name if reason else None
    return orjson.dumps(_camel_keys(data))


def _camel_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {camel(key): _camel_keys(item) for key, item in value.items()}
    return [_camel_keys(item) for item in value] if isinstance(value, list) else value


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
