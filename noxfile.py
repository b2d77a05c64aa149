"""One command each, the same as CI's steps; see CONTRIBUTING.md."""

import nox

nox.options.sessions = ["lint", "types", "tests"]
PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("pytest", "--full", *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("ipykernel", ["6.29.5", "7.3.0", "7.4.0"])
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


@nox.session
def types(session: nox.Session) -> None:
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=False)
def binder(session: nox.Session) -> None:
    """What Binder installs, in an environment of its own, and every notebook there without a network."""
    session.run(".ci/binder", *session.posargs, external=True)


@nox.session
def benchmarks(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("python", "benchmarks/run.py", *(session.posargs or ["all"]))
