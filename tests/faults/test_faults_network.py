"""Servers that cannot be reached, servers that send elsewhere, and servers that fail once or for ever."""

import asyncio
import datetime as dt
import socket
import ssl

import pytest

from llmkit import (
    BadResponseError,
    LLMTimeoutError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
    Timeouts,
)
from tests.faults.test_faults import CANARY, DOCUMENTED, call, client_of, complaints, fault, report
from tests.support.callers import hurry
from tests.support.dialects import DIALECTS, dump, retry_info
from tests.support.peer import SILENCE, Peer, events, http

pytestmark = pytest.mark.usefixtures("quiet")

MODES = ("plain", "stream")
OWN = pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])


@pytest.fixture(params=DIALECTS)
def d(request):
    return DIALECTS[request.param]


async def both(row, d, url, recorder, own, **options):
    """Make a call in each mode against an address; return the complaints and the errors."""
    found, errors = [], []
    async with client_of(d, url, own=own, **options) as client:
        for mode in MODES:
            outcome = await call(client, mode, mode)
            records = [record for record in recorder.records if record.model == mode]
            found += [f"{row.name} ({mode}): {said}" for said in complaints(row, mode, outcome, records)]
            errors.append(outcome.error)
    report(found)
    return errors


@OWN
async def test_a_refused_connection_is_not_available(d, own, recorder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        row = fault("refused", (), ProviderNotAvailableError, says="No answer from")
        if own and d.name == "google":  # the SDK itself tries once more, after a second or more
            return
        await both(row, d, url, recorder, own)


@OWN
async def test_a_name_that_does_not_exist_is_not_available(d, own, recorder):
    row = fault("DNS", (), ProviderNotAvailableError)
    if own and d.name == "google":
        return
    await both(row, d, "http://llmkit-test.invalid", recorder, own)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(private + public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@OWN
async def test_a_self_signed_certificate_is_reported_and_not_retried(d, own, recorder, certificate):
    if own and d.name == "google":
        return
    row = fault("self-signed", (), ProviderNotAvailableError, says="certificate", retryable=False)
    async with Peer(tls=certificate) as peer:
        errors = await both(row, d, peer.url, recorder, own, max_retries=2)
        assert not peer.heads
    assert [record.attempts for record in recorder.records] == [1, 1]
    assert all(error.__cause__ for error in errors)


@OWN
async def test_tls_to_a_plain_port_is_reported(d, own, recorder):
    if own and d.name == "google":
        return
    row = fault("TLS to plain", (), ProviderNotAvailableError, retryable=False)

    async def plain(reader, writer):
        await reader.read(100)
        writer.write(http(400, b"What is this?"))
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        await both(row, d, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", recorder, own)


@OWN
async def test_plain_http_to_a_tls_port_is_not_available(d, own, recorder, certificate):
    if own and d.name == "google":
        return
    row = fault("plain to TLS", (), ProviderNotAvailableError)
    async with Peer(tls=certificate) as peer:
        await both(row, d, peer.url.replace("https:", "http:"), recorder, own)


@OWN
@pytest.mark.parametrize("status", [302, 307])
async def test_the_key_does_not_follow_a_redirect(d, own, status, recorder):
    if own and d.name == "google":
        return  # google-genai itself follows, and has no option for it
    async with Peer() as there, Peer() as here:
        here.scripts = dict.fromkeys(
            MODES, ((http(status, b"", f"Location: {there.url}/else?key={CANARY}"),),)
        )
        there.scripts = dict.fromkeys(MODES, ((http(200, dump(d.whole("Hi"))),),))
        await both(fault("redirect", (), BadResponseError), d, here.url, recorder, own)
        assert not there.heads


async def test_silence_in_the_handshake_is_a_connect_timeout(d, recorder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with client_of(d, url, timeout=Timeouts(connect=0.3)) as client:
            outcome = await call(client, "m", "stream")
        assert type(outcome.error) is LLMTimeoutError
        assert "connect timeout" in str(outcome.error)


# --- once, and for ever


def refusal(d, name, *headers):
    _, status, words, wants = next(row for row in DOCUMENTED[d.name] if row[0] == name)
    return (http(status, dump(d.error(status, *words)), *headers),), wants


def answers(d):
    """A good answer for each mode."""
    return {
        "plain": (http(200, dump(d.whole("Hi"))),),
        "stream": (events(d.start() + d.piece("Hi") + d.end()),),
    }


async def tried(d, scripts, **options):
    """Make a call in each mode at once, with two retries; return outcomes and times of the requests."""
    async with Peer() as peer, client_of(d, peer.url, max_retries=2, **options) as client:
        hurry(client)
        peer.scripts = scripts
        outcomes = await asyncio.gather(*(call(client, mode, mode) for mode in MODES))
        return outcomes, [peer.asked[mode] for mode in MODES], [peer.answered[mode] for mode in MODES]


@pytest.mark.product
@OWN
@pytest.mark.parametrize("name", ["rate limit", "overloaded"])
async def test_what_fails_once_is_asked_twice(d, own, name, recorder):
    steps, _ = refusal(d, name, "retry-after-ms: 10")
    outcomes, asked, _ = await tried(d, {mode: (steps, good) for mode, good in answers(d).items()}, own=own)
    assert [(outcome.error, outcome.text) for outcome in outcomes] == [(None, "Hi")] * 2
    assert [len(times) for times in asked] == [2, 2]
    assert [record.attempts for record in recorder.records] == [2, 2]


@pytest.mark.product
@OWN
async def test_what_fails_for_ever_is_asked_three_times(d, own, recorder):
    steps, wants = refusal(d, "rate limit", "retry-after-ms: 10")
    outcomes, asked, _ = await tried(d, dict.fromkeys(MODES, (steps,)), own=own)
    assert [type(outcome.error) for outcome in outcomes] == [wants] * 2
    assert [len(times) for times in asked] == [3, 3]
    assert [(record.attempts, record.status) for record in recorder.records] == [(3, "error")] * 2


@OWN
async def test_what_cannot_succeed_is_asked_once(d, own, recorder):
    for name in ("invalid key", "bad request", "context length", "no such model"):
        steps, wants = refusal(d, name)
        outcomes, asked, _ = await tried(d, dict.fromkeys(MODES, (steps,)), own=own)
        assert [type(outcome.error) for outcome in outcomes] == [wants] * 2
        assert [len(times) for times in asked] == [1, 1]


async def test_a_quota_is_asked_for_once(d, recorder):
    name = {"openai": "quota", "anthropic": "billing", "google": "daily quota"}[d.name]
    steps, wants = refusal(d, name)
    assert wants is QuotaExceededError
    outcomes, asked, _ = await tried(d, dict.fromkeys(MODES, (steps,)))
    assert [type(outcome.error) for outcome in outcomes] == [wants] * 2
    assert [len(times) for times in asked] == [1, 1]


@pytest.mark.product
@OWN
@pytest.mark.parametrize("header", ["retry-after: 0.3", "retry-after-ms: 300"])
async def test_a_hint_to_wait_is_never_undercut(d, own, header, recorder):
    steps, _ = refusal(d, "rate limit", header)
    outcomes, asked, answered = await tried(
        d, {mode: (steps, good) for mode, good in answers(d).items()}, own=own
    )
    assert [outcome.text for outcome in outcomes] == ["Hi", "Hi"]
    for times, ends in zip(asked, answered, strict=True):
        assert times[1] - ends[0] >= 0.3


async def test_googles_hint_in_the_body_is_never_undercut(recorder):
    d = DIALECTS["google"]
    body = dump(d.error(429, "slow", "RESOURCE_EXHAUSTED", retry_info("0.3s")))
    scripts = {mode: ((http(429, body),), good) for mode, good in answers(d).items()}
    outcomes, asked, answered = await tried(d, scripts)
    assert [outcome.text for outcome in outcomes] == ["Hi", "Hi"]
    assert all(times[1] - ends[0] >= 0.3 for times, ends in zip(asked, answered, strict=True))


async def test_an_hour_is_not_waited_for(d, recorder):
    steps, _ = refusal(d, "rate limit", "retry-after: 3600")
    outcomes, asked, _ = await tried(d, dict.fromkeys(MODES, (steps,)))
    assert [(type(one.error), one.error.retry_after) for one in outcomes] == [(RateLimitError, 3600)] * 2
    assert [len(times) for times in asked] == [1, 1]


async def test_an_error_at_the_start_of_a_stream_is_tried_again(d, recorder):
    _, status, words, _ = next(row for row in DOCUMENTED[d.name] if row[0] == "overloaded")
    broken = (events(d.in_band(d.error(status, *words))),)
    good = answers(d)
    outcomes, asked, _ = await tried(d, {"plain": (good["plain"],), "stream": (broken, good["stream"])})
    assert [outcome.text for outcome in outcomes] == ["Hi", "Hi"]
    assert [len(times) for times in asked] == [1, 2]


async def test_an_error_after_text_is_not_tried_again(d, recorder):
    _, status, words, wants = next(row for row in DOCUMENTED[d.name] if row[0] == "overloaded")
    broken = (events(d.start() + d.piece("one") + d.in_band(d.error(status, *words))),)
    outcomes, asked, _ = await tried(d, {"plain": (answers(d)["plain"],), "stream": (broken,)})
    assert (type(outcomes[1].error), outcomes[1].error.partial) == (wants, "one")
    assert [len(times) for times in asked] == [1, 1]


async def test_a_stall_before_the_first_text_is_tried_again(d, recorder):
    good = answers(d)
    scripts = {"plain": (good["plain"],), "stream": ((SILENCE,), good["stream"])}
    outcomes, asked, _ = await tried(d, scripts, timeout=Timeouts(first_token=2))
    assert [outcome.text for outcome in outcomes] == ["Hi", "Hi"]
    assert [len(times) for times in asked] == [1, 2]
