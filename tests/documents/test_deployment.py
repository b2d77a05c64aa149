"""The files in `deploy/`: what they name exists, nothing is open to others, and their commands run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.support import postgres

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "llmkit"}
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are of a POSIX shell")


def names(secrets):
    """Return the secrets that a service reads."""
    return {secret if isinstance(secret, str) else secret["source"] for secret in secrets}


def test_every_port_is_on_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_our_containers_have_no_rights_of_root():
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "1000"
    assert len(OURS) == 4
    for service in OURS.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_secret_that_is_used_is_made_and_no_other(tmp_path):
    used = set().union(*(names(service.get("secrets", [])) for service in SERVICES.values()))
    assert used == set(COMPOSE["secrets"])
    script = shutil.copy(FOLDER / "secrets.sh", tmp_path)
    for _ in range(2):  # a second time changes nothing
        subprocess.run([script], check=True)
        made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == used
    assert all(len(text) == 48 for name, text in made.items() if not name.endswith("_api_key"))
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()}
    assert modes == {0o644}  # containers read them as users of their own
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700  # which keeps other users out
    (tmp_path / "secrets/openai_api_key").write_text("sk-mine")
    subprocess.run([script], check=True)
    assert made | {"openai_api_key": "sk-mine"} == {
        path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()
    }


def test_no_secret_is_in_the_files():
    values = [value for service in SERVICES.values() for value in service.get("environment", {}).values()]
    assert not any(re.search(r"://[^/@]*:[^/@]*@", value) for value in values)  # no password in an address
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_guide_without_docker_names_what_there_is():
    guide = (ROOT / "docs/guides/deployment.md").read_text(encoding="utf-8")
    text = guide.partition("## Without Docker")[2].partition("\n## ")[0]
    steps = ("deploy/secrets.sh", "createdb", "SECRETS=deploy/secrets deploy/roles.sh")
    assert sorted(steps, key=text.index) == list(steps)
    named = set(re.findall(r"deploy/secrets/(\w+)", text))
    assert named == {"lab_password", "watch_password"}
    assert named <= set(COMPOSE["secrets"])
    users = {re.search(r"//(\w+)@db", one["environment"]["LLMKIT_LEDGER"])[1] for one in OURS.values()}
    assert set(re.findall(r"postgresql://(\w+)@localhost/llmkit", text)) == users


def test_the_image_is_made_of_what_is_there():
    extras = re.search(r'"\.\[(.+)\]"', DOCKERFILE).group(1).split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"])
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)]
    let_in = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists(), path
        assert f"!{path}" in let_in


def test_all_services_say_whether_they_are_well_but_the_one_that_ends():
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"tables"}


def entrypoint(folder, *command, **more):
    """Run a command of a service, with the secrets of a folder."""
    environment = {**os.environ, "SECRETS": str(folder), **more}
    return subprocess.run(
        [FOLDER / "entrypoint.sh", *command], env=environment, capture_output=True, text=True, check=False
    )


def test_secrets_become_variables_and_arguments_stay_as_they_are(tmp_path):
    for name, value in {"openai_api_key": "sk-1 $(x)\n", "gemini_api_key": ""}.items():
        (tmp_path / name).write_text(value)
    show = "import os, sys; print(os.environ['OPENAI_API_KEY'], 'GEMINI_API_KEY' in os.environ, sys.argv[1:])"
    done = entrypoint(tmp_path, sys.executable, "-c", show, "a b", "")
    assert done.stdout == "sk-1 $(x) False ['a b', '']\n"
    assert done.stderr == ""
    assert entrypoint(tmp_path / "none", "true").returncode == 0
    assert entrypoint(tmp_path, "sh", "-c", "exit 3").returncode == 3


def command_of(service):
    """Return the command of a service with this environment's programs and its usual settings."""
    words = [re.sub(r"\$\{\w+:-(.+?)\}", r"\1", word) for word in SERVICES[service]["command"]]
    return [sys.executable, "-m", *words]


@pytest.fixture
def secrets(tmp_path):
    """The folders of secrets of each service, as compose mounts them."""
    values = {name: f"secret-of-{name}" for name in COMPOSE["secrets"] if not name.endswith("_api_key")}
    values["db_password"] = postgres.PASSWORD
    for service, what in SERVICES.items():
        folder = tmp_path / service
        folder.mkdir()
        for secret in what.get("secrets", []):
            source, target = (
                (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            )
            (folder / target).write_text(values.get(source, ""))
    return tmp_path


@pytest.mark.full
def test_the_services_share_a_ledger_as_they_are_told(secrets):
    with postgres.fresh_database() as url:
        services_share_a_ledger(secrets, postgres.server(), url.rpartition("/")[2])


def services_share_a_ledger(secrets, server, database):
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSWORD": postgres.PASSWORD}
    roles = subprocess.run(
        [FOLDER / "roles.sh"],
        env=os.environ
        | where
        | {
            "PATH": f"{postgres.binaries()}:{os.environ['PATH']}",
            "SECRETS": str(secrets / "db"),
            "POSTGRES_USER": postgres.ADMIN,
            "POSTGRES_DB": database,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (roles.returncode, roles.stderr) == (0, "")

    def ledger(service):
        """The address of a service's ledger, at this server."""
        address = SERVICES[service]["environment"]["LLMKIT_LEDGER"]
        user = re.search(r"//(\w+)@db/llmkit\?sslmode=disable$", address).group(1)
        user = postgres.ADMIN if user == "postgres" else user
        return f"postgresql://{user}@127.0.0.1:{server.port}/{database}?sslmode=disable"

    made = entrypoint(secrets / "tables", *command_of("tables"), LLMKIT_LEDGER=ledger("tables"))
    assert made.returncode == 0, made.stderr
    assert "20" in made.stdout

    ask = [sys.executable, "-m", "llmkit", "ask", "-m", "sandbox", "What is the capital of Peru?"]
    asked = entrypoint(secrets / "lab", *ask, LLMKIT_LEDGER=ledger("lab"))
    assert "Lima" in asked.stdout, asked.stderr

    command = [FOLDER / "entrypoint.sh", *command_of("metrics")]
    environment = {**os.environ, "SECRETS": str(secrets / "metrics"), "LLMKIT_LEDGER": ledger("metrics")}
    command[-1], command[command.index("0.0.0.0")] = "0", "127.0.0.1"  # not beyond this machine in a test
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        try:
            url = serving.stdout.readline().strip()
            with urllib.request.urlopen(url) as answer:
                text = answer.read().decode()
        finally:
            serving.send_signal(signal.SIGTERM)
    assert re.search(r'^llmkit_calls_total\{[^}]*model="sandbox"[^}]*\} 1\.0$', text, re.MULTILINE)
