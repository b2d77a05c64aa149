"""`llmkit ask`: one question to one model; the answer goes to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.command_line import output
from llmkit.content.attachments import attach
from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.core.redaction import redact
from llmkit.notebook.cell.options import OPTIONS, flag

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from llmkit.content.attachments import Attachment
    from llmkit.notebook.request import Prompt

TAKEN = (
    "model", "system", "attachments", "format", "temperature", "max_tokens", "effort", "tier", "cache", "api",
    "params", "budget", "tags", "dry_run", "refresh", "no_cache", "quiet",
)  # fmt: skip
"""The options of `%%llm` that a shell has, too."""

HELP = {
    "system": "system prompt; @FILE reads it from a file",
    "attachments": "attach a file or URL: image, PDF, text; - is standard input; repeatable",
    "format": "what is printed: md or text, the JSON or code of the answer, or df, its table as CSV",
    "quiet": "print nothing but the answer",
}
"""Where an option means something else in a shell."""

MORE_NAMES = {"budget": ("--max-cost",)}

PLAIN = ("format", "temperature", "max_tokens", "effort", "tier", "cache", "api")
"""Options that go into the request as they are."""

STDIN = "-"
"""How standard input is written as a file."""

SCHEMA = "--schema"
"""Name of the schema among the variables of the request."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: those of the magic, where they make sense."""
    parser.add_argument("prompt", nargs="*", help="the question; what is piped in follows it")
    printed = parser.add_mutually_exclusive_group()
    for option in (one for one in OPTIONS if one.field in TAKEN):
        names = [flag(name) for name in reversed(option.names)] + [*MORE_NAMES.get(option.field, ())]
        text = HELP.get(option.field, option.help).replace("%", "%%")
        if not option.metavar:
            place = printed if option.field == "dry_run" else parser
            place.add_argument(*names, dest=option.field, action="store_true", help=text)
            continue
        taken: Any = parser.add_argument(
            *names,
            dest=option.field,
            metavar=option.metavar,
            type=_converter(option.convert),
            action="append" if option.many else "store",
            help=text,
        )
        if option.field == "model":
            taken.completer = _models
    parser.add_argument("--schema", metavar="FILE", help="JSON schema that the answer has to fit")
    parser.add_argument("--replay", choices=("auto", "only", "off"), help="replay recorded answers")
    parser.add_argument(
        "--replay-file", metavar="FILE", help="the file of recordings, which it replays and adds to"
    )
    output.add_json(printed)


def run(options: argparse.Namespace) -> int:
    """Ask, print the answer as it comes, and return the exit code."""
    from llmkit.command_line.answer import Answer, unanswered
    from llmkit.costs.store.writer import LedgerWarning

    # It would stand in the middle of the answer; the end of the process reports what is not written.
    warnings.simplefilter("ignore", LedgerWarning)
    with _recordings(options):
        try:
            answer = Answer(options, _prompt(options))
        except LLMClientError as error:
            if options.json:
                output.print_json(unanswered(error))
            raise
        if options.dry_run:
            output.say(answer.dry_run())
            return 0
        return answer.run()


def _converter(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a converter whose reasons argparse prints."""

    def converted(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converted


def _models(prefix: str, **_: object) -> list[str]:
    """Complete the name of a model."""
    from llmkit.core.naming import aliases
    from llmkit.notebook.model_list import model_groups

    names = [*aliases(), *(name for group in model_groups() for name in group.models)]
    return [name for name in names if name.startswith(prefix)]


def _prompt(options: argparse.Namespace) -> Prompt:
    """Return the request, assembled as that of a cell."""
    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.request import NotebookContext, gather

    variables: dict[str, Any] = {}
    question = " ".join(options.prompt)
    if STDIN in (options.attachments or ()):
        variables[STDIN] = _piped_file()
    else:
        question = "\n\n".join(filter(None, [question, _piped_text()]))
    if options.schema:
        variables[SCHEMA] = _schema(options.schema)
    if not question.strip():
        raise ConfigurationError(
            "There is no question.", hint='Write llmkit ask "Name three rivers", or pipe one in.'
        )
    request = CellRequest(
        prompt=question,
        system=_system(options.system),
        attachments=tuple(options.attachments or ()),
        schema=SCHEMA if options.schema else None,
        params=tuple(options.params or ()),
        raw=True,
        **{name: getattr(options, name) for name in PLAIN},
    )
    return gather(request, NotebookContext(variables=variables))


def _piped_text() -> str:
    """Return what was piped in, without what looks like a key; empty at a terminal."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    data = _bytes()
    if not data.strip():
        return ""
    file = attach(data, "stdin")
    if file.kind != "text":
        raise ConfigurationError(
            f"Standard input is {file.media_type}, not text.", hint=f"Attach it: -a {STDIN}."
        )
    safe = redact(file.text)
    if safe != file.text:
        output.note("Text that looks like a key was left out of standard input.")
    return safe.strip("\n")


def _piped_file() -> Attachment:
    data = b"" if sys.stdin is None or sys.stdin.isatty() else _bytes()
    if not data:
        raise ConfigurationError(f"-a {STDIN} found nothing on standard input.", hint="Pipe a file in.")
    return attach(data, "stdin")


def _bytes() -> bytes:
    return sys.stdin.buffer.read()


def _system(text: str | None) -> str | None:
    """Return the system prompt; `@FILE` is read."""
    if text is None or not text.startswith("@"):
        return text
    return attach(Path(text[1:])).text.strip("\n")


def _schema(file: str) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(
            f"{file} is not JSON: {error}.", hint="--schema takes a JSON schema."
        ) from error


def _recordings(options: argparse.Namespace) -> AbstractContextManager[object]:
    """Return the replay that was asked for, as a context."""
    if options.replay is None and options.replay_file is None:
        return nullcontext()
    from llmkit.clients.cassettes.replay import replay

    return replay(options.replay_file, mode=options.replay or "auto")
