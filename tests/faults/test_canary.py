"""One key, a battery of calls that succeed and fail, and a search for the key wherever anything is left.

To add a place that may hold it, put what it contains into `places`.
"""

import asyncio
import base64
import http.server
import io
import json
import os
import re
import threading
import urllib.parse
from contextlib import redirect_stdout

import anthropic
import nbformat
import openai
import pytest
from google import genai
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from traitlets.config import Config

from llmkit import AnthropicClient, GoogleAIClient, GoogleGenerativeAIClient, LLMMessage, OpenAIClient
from tests.support.kernels import RUNNING

CANARY = "cnry/Zq7+Lw9_xK.2mVb~84tRgHs=pQ"
"""A key of no known shape, with characters that every encoding writes in another way."""


def traces(key=CANARY):
    """The ways in which the key may be written."""
    found = [key, key.upper(), key.lower(), urllib.parse.quote(key, safe=""), json.dumps(key)[1:-1]]
    found += [key.encode().hex(), key[:20], key[12:]]
    for shift in range(3):
        code = base64.b64encode(b"\0" * shift + key.encode()).decode()[4:-4]
        found += [code, code.translate(str.maketrans("+/", "-_"))]
    return found


def seek(places, key=CANARY):
    """Return where the key is, and in which form."""
    return [
        (name, form)
        for name, held in places.items()
        for form in traces(key)
        if form in (held if isinstance(held, str) else held.decode("latin-1"))
    ]


def test_the_search_finds_a_key_in_every_form():
    coded = [base64.b64encode(("x" * n + CANARY + "tail").encode()).decode() for n in range(3)]
    for form in [CANARY, urllib.parse.quote(CANARY, safe=""), CANARY.encode().hex(), *coded]:
        assert seek({"place": f"... {form} ..."})
    assert not seek({"place": "nothing here"})


class Gossip(http.server.BaseHTTPRequestHandler):
    """Tells all it was sent, in the way that the path names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append(str(self.headers))
        self.server.asked.set()
        sent = " ".join(
            f"{name}: {value}"
            for name, value in self.headers.items()
            if "key" in name.lower() or name == "Authorization"
        )
        key = (
            self.headers.get("x-api-key")
            or self.headers.get("x-goog-api-key")
            or self.headers.get("authorization", "")
        ).removeprefix("Bearer ")
        coded = base64.b64encode(f"user:{key}".encode()).decode()
        forms = (sent, urllib.parse.quote(key, safe=""), key.encode().hex(), coded, key.upper(), key[:20])
        echo = " | ".join(forms)
        getattr(self, self.path.split("/")[1])(echo)

    do_GET = do_POST  # noqa: N815 - the library's name

    def answer(self, status, body, kind="application/json", **headers):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, echo, **headers):
        error = {
            "error": {
                "message": f"Incorrect API key provided: {echo}",
                "code": 401,
                "type": "authentication_error",
            }
        }
        self.answer(401, json.dumps(error).encode(), **headers)

    def shout(self, echo):
        self.refuse(echo, **{"x-echo": echo, "x-request-id": echo})

    def redirect(self, _echo):
        self.answer(307, b"", location=self.server.elsewhere + self.path)

    def broken(self, echo):
        self.answer(200, f'{{"choices": [{{"text": "{echo}'.encode())

    def wrong(self, echo):
        self.answer(200, json.dumps({"choices": echo, "content": echo, "candidates": echo}).encode())

    def page(self, echo):
        self.answer(502, f"<html><body>{'x ' * 170}{echo}</body></html>".encode(), "text/html")

    def cut(self, echo):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", "100000")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps({'error': {'message': echo}})[:-9]}".encode())
        self.close_connection = True

    def silent(self, _echo):
        self.server.over.wait(60)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that left


@pytest.fixture
def gossip():
    servers = [Server(("127.0.0.1", 0), Gossip) for _ in range(2)]
    for server in servers:
        server.seen, server.over, server.asked = [], threading.Event(), threading.Event()
        server.address = f"http://127.0.0.1:{server.server_port}"
        server.elsewhere = ""
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    servers[0].elsewhere = servers[1].address
    yield servers[0], servers[1]
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


SETUP = """
import logging, os, pickle, sys, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
for name in "llmkit openai anthropic httpx2 httpcore2 aiohttp google google_genai urllib3".split():
    logging.getLogger(name).setLevel(logging.DEBUG)
%load_ext llmkit
import anthropic, google.genai, openai, llmkit
from llmkit.clients.credentials.keys import keys
QUESTION = [llmkit.LLMMessage("user", "Hello")]
GOSSIP = os.environ["GOSSIP"]
made = []

def key():
    return os.environ["CANARY"]

def clients(path):
    url = GOSSIP + path
    options = {"model": "m", "max_retries": 0, "timeout": 0.1 if path == "/silent" else 20}
    yield llmkit.OpenAIClient(key(), url, **options)
    yield llmkit.AnthropicClient(key(), url, **options)
    yield llmkit.GoogleAIClient(key(), url, **options)
    yield llmkit.GoogleGenerativeAIClient(key(), url, **options)
    if path not in {"/refuse", "/cut"}:
        return  # a user's own SDK client logs the answer's headers itself, and asks as the others do
    yield llmkit.OpenAIClient(client=openai.AsyncOpenAI(api_key=key(), base_url=url), **options)
    yield llmkit.AnthropicClient(client=anthropic.AsyncAnthropic(api_key=key(), base_url=url), **options)

async def battery(path):
    for client in clients(path):
        made.append(client)
        for stream in (False, True):
            try:
                if stream:
                    print([piece async for piece in client.stream_text(QUESTION)])
                else:
                    print(await client.generate_text(QUESTION))
            except llmkit.LLMClientError as error:
                made.append(error)
                link = error
                while link is not None:
                    print(type(link), link, repr(link), link.args, vars(link))
                    link = link.__cause__ or link.__context__
                traceback.print_exception(error)
                print(pickle.dumps(error))
        if path != "/silent":
            print(await client.health_check())
        await client.close()
"""

FAILING = ("refuse", "shout", "redirect", "broken", "wrong", "page", "cut", "silent")

REFUSED = """
async def refused(number):
    client = list(clients("/refuse"))[number]
    return await client.generate_text(QUESTION)
"""

CELLS = [
    SETUP,
    *(f"await battery('/{path}')" for path in FAILING),
    "GOSSIP = 'http://127.0.0.1:1'\nawait battery('/refuse')\nGOSSIP = os.environ['GOSSIP']",
    REFUSED,
    *(f"%xmode {mode}\nawait refused({n})" for mode in ("Context", "Verbose") for n in range(6)),
    # The key in the environment, by set_key, and through the magics.
    "%%llm openai:m\nHello",
    "%tb",
    "%xmode Verbose\n%tb",
    "%config LLMMagics.short_errors = False\n%llm openai:m Hello",
    "keys.set_key('anthropic', key())\nos.environ['ANTHROPIC_BASE_URL'] = GOSSIP + '/refuse'",
    "%llm anthropic:m Hello",
    "secret = ['a', {'k': key()}]\n",
    "%%llm sandbox:sandbox\nrepeat exactly: {{secret}}",
    "import pandas as pd\nframe = pd.DataFrame({'a': [key()] * 3})",
    "%%llm sandbox:sandbox\nrepeat exactly: {{frame}}",
    "chat = llmkit.Chat('openai:m', vars=['secret'])\nchat",
    "chat.ask('Hello')",
    "chat",
    "import ipywidgets\nprint(ipywidgets.Widget.get_manager_state(), chat.messages, chat.df.to_dict())",
    "chat.export('chat.md')",
    "%llm doctor",
    "keys, made, llmkit.ledger, llmkit.ledger.df, llmkit.LLM_CONFIG, keys.find('anthropic')",
    "import copy\nwrapped = keys.find('anthropic')",
    "print(f'{wrapped} {wrapped!r} {wrapped:>20} {wrapped.__getstate__()}', dir(wrapped))",
    "print(copy.deepcopy(wrapped), vars(made[0]))",
    "pickle.dumps([wrapped, copy.copy(wrapped)])",
    "for one in made:\n    print(repr(one), str(one), {n: getattr(one, n, 0) for n in dir(one)})",
    "await llmkit.OpenAIClient(key(), GOSSIP + '/refuse', model='m', max_retries=-1).generate_text(QUESTION)",
    "await llmkit.validate_api_key('no-such-provider', key())",
    "await llmkit.validate_api_key('openai', key(), base_url='http://user@host')",
    "await llmkit.OpenAIClient(key() + 'é', GOSSIP + '/refuse', model='m').generate_text(QUESTION)",
    "await llmkit.OpenAIClient(key() + '\\r\\nx: y', GOSSIP + '/refuse', model='m').generate_text(QUESTION)",
    "llmkit.ledger.flush()",
]


class Listening(NotebookClient):
    """Keeps every message that the kernel publishes."""

    def process_message(self, message, *rest):
        self.heard.append(str(message))
        return super().process_message(message, *rest)


@pytest.mark.kernel
@pytest.mark.full
def test_no_call_leaves_its_key_anywhere(gossip, tmp_path):
    server, elsewhere = gossip
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    environment = {
        "CANARY": CANARY,
        "OPENAI_API_KEY": CANARY,
        "GOSSIP": server.address,
        "OPENAI_BASE_URL": f"{server.address}/refuse",
        "LLMKIT_LEDGER": str(tmp_path / "ledger.sqlite"),
    }
    client = Listening(
        notebook, **RUNNING, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.heard = []
    client.execute(env={**os.environ, **environment})
    nbformat.write(notebook, tmp_path / "saved.ipynb")
    places = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    places |= {f"message {n}": text for n, text in enumerate(client.heard)}
    places["request elsewhere"] = "".join(elsewhere.seen)
    assert seek({"asked": "".join(server.seen)}), "the key was never sent"
    assert {"saved.ipynb", "ledger.sqlite"} <= places.keys()
    assert places["saved.ipynb"].count(b"[redacted]") > 50
    assert any("IPY_MODEL" in held or "anywidget" in held for held in client.heard), "no widget was shown"
    found = seek(places)
    assert not found, [(name, context(places[name], form)) for name, form in found[:5]]


def context(held, form):
    held = held if isinstance(held, str) else held.decode("latin-1")
    position = held.index(form)
    return re.sub(r"\s+", " ", held[max(position - 300, 0) : position + 60])


CLIENTS = [OpenAIClient, AnthropicClient, GoogleAIClient, GoogleGenerativeAIClient]


def own(kind, url):
    if kind == "openai":
        return OpenAIClient(client=openai.AsyncOpenAI(api_key=CANARY, base_url=url), model="m")
    if kind == "anthropic":
        return AnthropicClient(client=anthropic.AsyncAnthropic(api_key=CANARY, base_url=url), model="m")
    options = {"base_url": url}
    return GoogleAIClient(client=genai.Client(api_key=CANARY, http_options=options), model="m")


@pytest.mark.parametrize("make", [*CLIENTS, "openai", "anthropic", "google"])
async def test_a_cancelled_wait_does_not_show_the_key_that_a_library_holds(gossip, make):
    url = f"{gossip[0].address}/silent"
    client = own(make, url) if isinstance(make, str) else make(CANARY, url, model="m")
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.user_ns.update(client=client, question=[LLMMessage("user", "Hello")])
    out = io.StringIO()
    with redirect_stdout(out):
        shell.run_line_magic("xmode", "Verbose")
        code = shell.transform_cell("await client.generate_text(question)")
        cell = asyncio.create_task(shell.run_cell_async(code, transformed_cell=code))
        assert await asyncio.to_thread(gossip[0].asked.wait, 60)
        cell.cancel()
        result = await cell
    assert isinstance(result.error_in_exec, asyncio.CancelledError)
    assert "CancelledError" in out.getvalue()
    assert not seek({"traceback": out.getvalue()}), context(out.getvalue(), CANARY)
    await client.close()
