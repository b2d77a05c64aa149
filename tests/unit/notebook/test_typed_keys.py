"""Keys that are typed where something else belongs: no output repeats them, and none goes into a prompt."""

import pytest

import llmkit
from llmkit import ConfigurationError, sandbox
from tests.support import shells

KEYS = [
    "sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2m3N4",
    "gsk_abcdefgh0123456789ABCDEF",
    "AIzaSyA-0123456789abcdefghijklmnopqrs",
]
SHAPELESS = "mysecretvalue0123456789abcdef"


@pytest.fixture(scope="module")
def shell():
    with shells.opened() as opened:
        yield opened


def told(shell, cell):
    """What a cell shows and raises; it must not send anything."""
    before = len(sandbox.server().requests)
    ran = shell.run(cell)
    assert len(sandbox.server().requests) == before
    error = ran.error
    return f"{ran.text} {error!r} {getattr(error, 'hint', '')} {getattr(error, '__notes__', '')}"


@pytest.mark.product
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "cell",
    [
        "%llm key {}",
        "%llm key openai {}",
        "%llm key openai={}",
        "%llm keys {}",
        "%llm model {}",
        "%llm models {}",
        "%llm alias x={}",
        "%llm alias x {}",
        "%llm alias {}=openai:gpt-4o-mini",
        "%llm -m {} hi",
        "%%llm -m {}\nhi",
        "%%llm {}\nhi",
        "%%llm sandbox {}\nhi",
        "%llm {}",
        "%llm doctor {}",
        "%llm budget {}",
        "%llm cost {}",
        "%llm price of {}",
        "%llm replay {}",
        "%%llm sandbox -p api_key={}\nhi",
        "%%llm sandbox -d -p user={}\nhi",
        "%%llm sandbox -a {}\nhi",
        "%%llm sandbox -T {}\nhi",
        "%%llm sandbox --{}\nhi",
        "import llmkit; llmkit.client('{}')",
        "import llmkit; llmkit.client('{}:small')",
        "import llmkit; llmkit.client('sandbox', fallback=['{}'])",
    ],
)
def test_no_output_repeats_a_key(shell, cell, key):
    shown = told(shell, cell.format(key))
    assert key not in shown
    assert key[8:20] not in shown


@pytest.mark.parametrize(
    "cell",
    [
        "%llm key {}",
        "%llm key openai {}",
        "%llm key openai={}",
        "%llm key {} openai",
        "%llm keys {}",
        "%llm kye {}",
        "%%llm sandbox -p api_key={}\nhi",
        "%%llm sandbox -d -p apiKey={}\nhi",
    ],
)
def test_where_a_key_is_expected_it_needs_no_known_shape(shell, cell):
    assert SHAPELESS not in told(shell, cell.format(SHAPELESS))


def test_the_error_says_how_a_key_is_given(shell):
    assert "Write %llm key openai and enter the key when asked" in told(shell, f"%llm key {KEYS[0]}")
    assert "%llm key PROVIDER takes a key without displaying it" in told(shell, f"%llm use {KEYS[0]}")
    assert "api_key is not a parameter of a call" in told(shell, "%%llm sandbox -p api_key=x\nhi")


def test_a_mistyped_provider_is_named(shell):
    assert "No provider is called 'opnai'" in told(shell, "%llm key opnai")


def test_a_line_with_a_key_is_sent_behind_two_dashes(shell):
    ran = shell.run(f"%llm -- echo: {KEYS[0]}")
    assert ran.error is None
    assert shells.prompts()[-1] == f"echo: {KEYS[0]}"


def test_an_ordinary_line_about_keys_is_a_prompt(shell):
    assert shell.run("%llm key points of internationalization please").error is None


def test_a_name_of_a_model_that_is_a_key_is_blanked_in_plain_python():
    with pytest.raises(ConfigurationError, match=r"Unknown model or provider: '\[redacted\]'"):
        llmkit.client(KEYS[0])
