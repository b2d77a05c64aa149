"""Proxies and certificates as the environment names them: used, or refused by the variable's name."""

import asyncio
import contextlib
import struct

import pytest

import llmkit
from llmkit import ConfigurationError, OpenAIClient, ProviderNotAvailableError
from llmkit.transport import certificates
from llmkit.transport.proxies import proxy_for
from tests.support.callers import PROTOCOLS, QUESTION, SDKS
from tests.support.certificates import self_signed
from tests.support.peer import Peer, http

ALL = {**SDKS, "google-legacy": llmkit.GoogleGenerativeAIClient}
WHOLE = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":null}'
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (*VARIABLES, *map(str.upper, VARIABLES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


def through(monkeypatch, address="https://api.example/v1", **environment):
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return proxy_for(address)


@pytest.mark.parametrize(
    ("name", "value", "address", "url"),
    [
        ("http_proxy", "http://p:3128", "http://api.example/v1", "http://p:3128"),
        ("HTTPS_PROXY", "http://p:3128", "https://api.example/v1", "http://p:3128"),
        ("HTTP_PROXY", "p:3128", "http://api.example/v1", "http://p:3128"),
        ("HTTPS_PROXY", "p", "https://api.example/v1", "http://p:80"),
        ("https_proxy", "'http://p:3128/'", "https://api.example/v1", "http://p:3128"),
        ("ALL_PROXY", "http://p:3128", "https://api.example/v1", "http://p:3128"),
        ("all_proxy", "https://p", "http://api.example/v1", "https://p:443"),
        ("all_proxy", "socks5://p", "https://api.example/v1", "socks5://p:1080"),
        ("ALL_PROXY", "socks5h://[::1]:9", "https://api.example/v1", "socks5h://[::1]:9"),
    ],
)
def test_every_spelling_of_a_proxy_is_read(monkeypatch, name, value, address, url):
    found = through(monkeypatch, address, **{name: value})
    assert (found.url, found.variable) == (url, name)


def test_the_scheme_goes_before_all_and_the_small_letters_before_the_capitals(monkeypatch):
    both = {"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1", "https_proxy": "http://c:1"}
    assert through(monkeypatch, **both).url == "http://c:1"
    assert through(monkeypatch, ALL_PROXY="http://a:1", HTTPS_PROXY="http://b:1").url == "http://b:1"
    assert through(monkeypatch, HTTP_PROXY="http://a:1") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]", "me.localhost"])
def test_this_machine_is_never_behind_a_proxy(monkeypatch, host):
    assert through(monkeypatch, f"http://{host}:8000/v1", all_proxy="socks5://p", http_proxy="p:1") is None


@pytest.mark.parametrize(
    ("exceptions", "address"),
    [
        ("*", "https://api.example"),
        ("api.example", "https://api.example"),
        ("example", "https://api.example"),
        (".example", "https://api.example"),
        ("*.example", "https://api.example"),
        ("other, API.Example", "https://api.example"),
        ("other API.Example", "https://api.example"),
        ("api.example:443", "https://api.example"),
        ("10.0.0.0/8", "http://10.1.2.3:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
        ("10.1.2.3:8000", "http://10.1.2.3:8000"),
        ("10.1.*", "http://10.1.2.3"),
        ("fd00::/8", "http://[fd00::1]:8000"),
        ("[fd00::1]:8000", "http://[fd00::1]:8000"),
        ("https://api.example", "https://api.example"),
    ],
)
def test_an_exception_goes_straight(monkeypatch, exceptions, address):
    for name in ("no_proxy", "NO_PROXY"):
        assert through(monkeypatch, address, all_proxy="http://p:1", **{name: exceptions}) is None


@pytest.mark.parametrize(
    ("exceptions", "address"),
    [
        ("", "https://api.example"),
        ("i.example", "https://api.example"),
        ("api.example:8443", "https://api.example"),
        ("10.0.0.0/8", "http://11.1.2.3"),
        ("10.0.0.0/8", "https://api.example"),
        ("10.1.2.3:80", "http://10.1.2.3:8000"),
        ("nonsense/99,:,[", "https://api.example"),
    ],
)
def test_what_is_no_exception_goes_through_the_proxy(monkeypatch, exceptions, address):
    assert through(monkeypatch, address, all_proxy="http://p:1", no_proxy=exceptions).url == "http://p:1"


@pytest.mark.parametrize(
    "value", ["ftp://p:1", "http://", "http://p:port", "socks5://", "pac+https://p/x.pac"]
)
def test_a_proxy_that_cannot_be_read_is_refused_by_its_variable(monkeypatch, value):
    with pytest.raises(ConfigurationError, match="all_proxy is not a valid proxy address"):
        through(monkeypatch, all_proxy=value)


def test_a_header_in_cgi_is_no_proxy(monkeypatch):
    assert through(monkeypatch, "http://api.example", HTTP_PROXY="p:1", REQUEST_METHOD="GET") is None


def test_the_password_of_a_proxy_does_not_show(monkeypatch):
    found = through(monkeypatch, https_proxy="http://me:se%40cret@p:1")
    assert (found.name, found.password) == ("me", "se@cret")
    assert "cret" not in f"{found!r} {found}"


# On the wire ---------------------------------------------------------------------------------------------


async def answered(url, **options):
    async with OpenAIClient("k", url, model="m", max_retries=0, **options) as client:
        return await client.generate_text(QUESTION)


@contextlib.asynccontextmanager
async def proxy(answer):
    """A proxy that gives every request the same answer."""
    heads = []

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads


async def test_a_proxy_that_changes_is_used_at_the_next_call(recorder, monkeypatch):
    async with (
        proxy(http(200, WHOLE)) as (one, first),
        proxy(http(200, WHOLE)) as (two, second),
        OpenAIClient("k", "http://api.invalid/v1", model="m") as client,
    ):
        for place in (one, two):
            monkeypatch.setenv("HTTP_PROXY", place)
            await client.generate_text(QUESTION)
    assert [len(first), len(second)] == [1, 1]


async def test_name_and_password_go_to_the_proxy(recorder, monkeypatch):
    async with proxy(http(200, WHOLE)) as (place, heads):
        monkeypatch.setenv("all_proxy", f"http://me:secret@{place}")
        await answered("http://api.invalid/v1")
    assert "proxy-authorization: basic bwu6c2vjcmv0" in heads[0].lower()


async def test_a_tunnel_is_asked_for_with_the_proxys_password_and_without_the_key(recorder, monkeypatch):
    async with proxy(http(502)) as (place, heads):
        monkeypatch.setenv("https_proxy", f"http://me:secret@{place}")
        with pytest.raises(ProviderNotAvailableError, match="HTTP 502"):
            await answered("https://api.invalid/v1")
    assert heads[0].startswith("CONNECT api.invalid:443 ")
    assert "proxy-authorization: basic bwu6c2vjcmv0" in heads[0].lower()
    assert "bearer" not in heads[0].lower()


@pytest.mark.parametrize("address", ["http://api.invalid/v1", "https://api.invalid/v1"])
@pytest.mark.parametrize("login", ["", "me:topsecret@"])
async def test_a_proxy_that_wants_a_password_is_named_without_it(recorder, monkeypatch, address, login):
    refusal = http(407, b"", "Proxy-Authenticate: Basic realm=x")
    async with proxy(refusal) as (place, heads):
        monkeypatch.setenv("all_proxy", f"http://{login}{place}")
        with pytest.raises(ProviderNotAvailableError, match=rf"{place} \(all_proxy\)") as caught:
            await answered(address)
    assert "407" in str(caught.value)
    assert "NAME:PASSWORD" in str(caught.value)
    assert not caught.value.retryable
    error = caught.value
    while error is not None:
        assert "topsecret" not in f"{error} {error!r}"
        assert "authorization" not in f"{error!r}".lower()
        error = error.__cause__ or error.__context__
    assert len(heads) == 1


async def test_a_proxy_that_refuses_a_connection_is_named(recorder, monkeypatch):
    async with proxy(http(403)) as (place, _):
        monkeypatch.setenv("https_proxy", place)
        with pytest.raises(ProviderNotAvailableError, match=rf"{place} .*HTTP 403.*no_proxy"):
            await answered("https://api.invalid/v1")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("address", ["http://api.invalid/v1", "https://api.invalid/v1"])
async def test_a_proxy_that_is_dead_is_named_with_its_variable(recorder, monkeypatch, scheme, address):
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:topsecret@127.0.0.1:9")
    with pytest.raises(
        ProviderNotAvailableError, match=rf"{scheme}://127\.0\.0\.1:9 \(ALL_PROXY\)"
    ) as caught:
        await answered(address)
    assert "topsecret" not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize("provider", ALL)
async def test_the_sandbox_and_this_machine_need_no_proxy(server, recorder, monkeypatch, provider):
    for name in VARIABLES[:3]:
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    async with ALL[provider]("k", server.url(PROTOCOLS[provider]), model="sandbox") as client:
        assert (await client.generate_text(QUESTION)).content
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    async with llmkit.client(f"{provider}:sandbox") as client:
        assert (await client.generate_text(QUESTION)).simulated


@pytest.mark.parametrize("wrong", ["dead", "password", "socks"])
async def test_googles_former_sdk_blames_the_proxy_too(recorder, monkeypatch, wrong):
    async with proxy(http(407, b"", "Proxy-Authenticate: Basic realm=x")) as (alive, _):
        place = alive if wrong == "password" else "127.0.0.1:9"
        scheme = "socks5" if wrong == "socks" else "http"
        monkeypatch.setenv("all_proxy", f"{scheme}://me:topsecret@{place}")
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        client = llmkit.GoogleGenerativeAIClient("k", "http://api.invalid", model="m", max_retries=0)
        with pytest.raises((ProviderNotAvailableError, ConfigurationError), match="all_proxy") as caught:
            await client.generate_text(QUESTION)
    assert "topsecret" not in f"{caught.value} {caught.value.__cause__!r}"


# SOCKS ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def socks(target, login=None):
    """A SOCKS 5 proxy that leads every name to one server."""
    asked = []

    async def pump(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\5\2" if login else b"\5\0")
        if login:
            _, size = await reader.readexactly(2)
            name = await reader.readexactly(size)
            (size,) = await reader.readexactly(1)
            good = (name, await reader.readexactly(size)) == login
            writer.write(b"\1\0" if good else b"\1\1")
            if not good:
                writer.close()
                return
        _, _, _, kind = await reader.readexactly(4)
        assert kind == 3  # a name: the proxy resolves it
        (size,) = await reader.readexactly(1)
        host = await reader.readexactly(size)
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        asked.append((host.decode(), port))
        there, here = await asyncio.open_connection("127.0.0.1", target)
        writer.write(b"\5\0\0\1" + bytes(6))
        await asyncio.gather(pump(reader, here), pump(there, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


@pytest.fixture
def peer_port():
    return lambda peer: int(peer.url.rpartition(":")[2])


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
async def test_a_socks_proxy_is_used_and_resolves_the_name(recorder, monkeypatch, peer_port, scheme):
    async with Peer() as peer:
        peer.scripts["m"] = [[http(200, WHOLE)]]
        async with socks(peer_port(peer)) as (place, asked):
            monkeypatch.setenv("all_proxy", f"{scheme}://{place}")
            assert (await answered("http://api.invalid/v1")).content == "Hi"
    assert asked == [("api.invalid", 80)]


@pytest.mark.parametrize("password", ["secret", "topsecret-but-wrong"])
async def test_a_socks_proxy_with_a_password(recorder, monkeypatch, peer_port, password):
    async with Peer() as peer:
        peer.scripts["m"] = [[http(200, WHOLE)]]
        async with socks(peer_port(peer), (b"me", b"secret")) as (place, _):
            monkeypatch.setenv("all_proxy", f"socks5://me:{password}@{place}")
            if password == "secret":
                assert (await answered("http://api.invalid/v1")).content == "Hi"
                return
            with pytest.raises(ProviderNotAvailableError, match=rf"{place} \(all_proxy\)") as caught:
                await answered("http://api.invalid/v1")
    assert password not in f"{caught.value} {caught.value.__cause__!r}"


async def test_without_the_package_a_socks_proxy_is_refused_in_a_sentence(recorder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aiohttp_socks", None)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(
        ConfigurationError, match=r'all_proxy names a SOCKS proxy.*pip install "jupyter-llmkit\[socks\]"'
    ):
        await answered("http://api.invalid/v1")


# Certificates --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself: the file, and a server's side of TLS."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_certificates_that_are_named_are_trusted_at_the_next_call(
    recorder, monkeypatch, authority, variable
):
    file, context = authority
    async with Peer(tls=context) as peer:
        peer.scripts["m"] = [[http(200, WHOLE)]]
        async with OpenAIClient("k", peer.url, model="m", max_retries=0) as client:
            with pytest.raises(ProviderNotAvailableError, match="certificate"):
                await client.generate_text(QUESTION)
            monkeypatch.setenv(variable, f'"{file}"')
            assert (await client.generate_text(QUESTION)).content == "Hi"


@pytest.mark.parametrize("variable", CERTIFICATES)
@pytest.mark.parametrize("what", ["gone", "rubbish"])
async def test_certificates_that_cannot_be_used_are_refused_by_their_variable(
    recorder, monkeypatch, tmp_path, variable, what
):
    file = tmp_path / "certificates.pem"
    if what == "rubbish":
        file.write_text("no certificate")
    monkeypatch.setenv(variable, str(file))
    for factory in ALL.values():
        async with factory("k", "https://127.0.0.1:9", model="m", max_retries=0) as client:
            with pytest.raises(ConfigurationError, match=f"{variable} is invalid"):
                await client.generate_text(QUESTION)


@pytest.mark.parametrize("variable", CERTIFICATES)
async def test_plain_http_needs_no_certificates(server, recorder, monkeypatch, variable):
    monkeypatch.setenv(variable, "/gone/away")
    for provider, factory in ALL.items():
        async with factory("k", server.url(PROTOCOLS[provider]), model="sandbox") as client:
            assert (await client.generate_text(QUESTION)).content


async def test_a_folder_without_the_right_certificates_is_named_when_the_handshake_fails(
    recorder, monkeypatch, tmp_path, authority
):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with Peer(tls=authority[1]) as peer:
        with pytest.raises(ProviderNotAvailableError, match="SSL_CERT_DIR sets the trusted certificates"):
            await answered(peer.url)


def test_a_file_of_ssls_own_wins_over_those_of_other_tools(monkeypatch):
    for name in CERTIFICATES:
        monkeypatch.setenv(name, name.lower())
    assert certificates.named() == (("SSL_CERT_FILE", "ssl_cert_file"), ("SSL_CERT_DIR", "ssl_cert_dir"))
