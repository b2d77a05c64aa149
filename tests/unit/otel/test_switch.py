"""When spans are made, where they go, and what happens if they cannot."""

import contextlib
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from llmkit import otel
from llmkit.core.errors import ConfigurationError
from llmkit.otel import exporting, names
from llmkit.otel.status import endpoint, status
from tests.support.callers import QUESTION, opened
from tests.support.collector import Collector

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "watching.md"


@pytest.fixture
def apart(monkeypatch):
    """Without problems of earlier tests, and without a provider of ours at the end."""
    monkeypatch.setattr(otel, "problems", [])
    yield monkeypatch
    exporting.close()


@contextlib.contextmanager
def silent():
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def unused():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_it_is_off_without_a_provider(apart):
    text = "off: no tracer provider is set; LLMKIT_OTEL=1 sends spans and metrics to a collector"
    assert status() == (None, text)
    assert otel.tracer() is None


def test_a_variable_turns_it_off(apart):
    apart.setenv("LLMKIT_OTEL", "0")
    assert status() == (None, "off: LLMKIT_OTEL=0")
    assert otel.tracer() is None


def test_no_file_of_a_project_turns_it_on(apart, tmp_path):
    (tmp_path / "llmkit.toml").write_text("otel = true\n")
    with pytest.raises(ConfigurationError, match="unknown settings: otel"):
        status()


def test_the_status_names_the_collector_and_whether_it_listens(apart):
    with Collector(apart) as collector:
        address = f"http://127.0.0.1:{collector.port}/v1/traces"
        assert status() == (True, f"spans go to {address}; a collector listens")
    down = unused()
    apart.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", down.replace("//", "//user:secret@"))
    ok, text = status()
    assert ok is False
    assert text.startswith(f"spans go to {down}/v1/traces, where nothing answers (Connection refused): start")
    assert "secret" not in text


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1/"}, "http://a:1/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2/x"}, "http://b:2/x"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "nonsense"}, "nonsense"),
    ],
)
def test_the_collectors_address_is_the_sdks(apart, variables, expected):
    for name, value in variables.items():
        apart.setenv(name, value)
    assert endpoint() == expected


@pytest.mark.parametrize("place", ["down", "silent"])
async def test_a_collector_that_does_not_answer_harms_no_call(apart, server, recorder, caplog, place):
    """The call ends while the collector's request is still open; one warning comes at the end."""
    apart.setenv("LLMKIT_OTEL", "1")
    apart.setattr(exporting, "LAST_WAIT", 0.2)
    with silent() if place == "silent" else contextlib.nullcontext(unused()) as address:
        apart.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        apart.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        async with opened("openai", server) as client:
            for _ in range(3):
                await client.generate_text(QUESTION)
        exporting.close()
    assert [record.status for record in recorder.records] == ["ok"] * 3
    said = [record.getMessage() for record in caplog.records if "collector" in record.getMessage()]
    assert said == ["No collector takes the spans and metrics; calls go on without. %llm doctor says where."]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry.exporter")]


async def test_without_the_sdk_a_call_works_and_the_extra_is_named(apart, server, recorder, caplog):
    apart.setenv("LLMKIT_OTEL", "1")
    apart.delattr(otel, "exporting")
    apart.setitem(sys.modules, "llmkit.otel.exporting", None)
    async with opened("openai", server) as client:
        for _ in range(2):
            await client.generate_text(QUESTION)
    assert len(recorder.records) == 2
    (said,) = [record.getMessage() for record in caplog.records if record.name == "llmkit.otel"]
    assert 'pip install "jupyter-llmkit[otel]"' in said
    assert status().ok is False


def test_the_guide_names_only_what_there_is():
    known = {value for value in vars(names).values() if isinstance(value, str)} | set(names.USAGE.values())
    named = set(re.findall(r"`((?:gen_ai|llmkit)\.[a-z_.]+[a-z])`", GUIDE.read_text("utf-8")))
    functions = {"llmkit.on_call"}
    assert named - functions <= known
    assert len(named) > 15


EXIT = """
    import llmkit
    llmkit.ask("echo: the last one", "sandbox")
"""


@pytest.mark.full
def test_what_waits_at_the_end_of_a_program_is_sent(monkeypatch):
    with Collector(monkeypatch) as collector:
        script = [sys.executable, "-c", textwrap.dedent(EXIT)]
        done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=True)
        assert done.stderr == ""
        assert [span.name for span in collector.spans] == ["chat sandbox"]


PROVIDER = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    import llmkit
    from llmkit.otel.status import status
    llmkit.ask("echo: untraced", "sandbox")
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    with trace.get_tracer("mine").start_as_current_span("mine"):
        llmkit.ask("echo: traced", "sandbox")
    print([span.name for span in spans.get_finished_spans()])
    print(spans.get_finished_spans()[0].parent == spans.get_finished_spans()[1].context)
    print(status().text)
"""


@pytest.mark.full
def test_a_provider_that_the_program_sets_gets_the_spans_from_then_on():
    script = [sys.executable, "-c", textwrap.dedent(PROVIDER)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == [
        "['chat sandbox', 'mine']",
        "True",
        "spans go to the TracerProvider of this process",
    ]
    assert done.stderr == ""
