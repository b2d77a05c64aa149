"""The guide on sharing a ledger, tried on a server: its SQL, its command, and what it says about roles."""

import contextlib
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

import llmkit
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord
from tests.support import postgres as postgres_server

pytestmark = pytest.mark.full

GUIDE = (Path(__file__).parents[2] / "docs/guides/sharing.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def run_sql(server, text, database):
    for statement in filter(str.strip, text.split(";")):
        made = statement.strip().startswith("CREATE DATABASE")
        with contextlib.suppress(psycopg.errors.DuplicateObject):  # roles of another test
            server.execute(statement, database="postgres" if made else database)


def test_the_guide_sets_up_a_ledger_with_limits_and_roles():
    server = postgres_server.server()
    server.drop_database("llmkit")
    server.execute("DROP ROLE IF EXISTS ana")
    first, *others = blocks("sql")
    run_sql(server, first, "llmkit")
    command = next(text for text in blocks("text") if "llmkit budget" in text)
    words = command.split("llmkit budget ")[1].split()
    admin = {"LLMKIT_LEDGER": server.url("llmkit")}
    done = subprocess.run(
        [sys.executable, "-m", "llmkit", "budget", *words],
        env=os.environ | admin, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "per user" in done.stdout, done.stderr
    ana = Ledger(server.url("llmkit", "ana", "choose-one"))
    assert (ana.budget().daily, ana.budget().per_user) == (50, 5)
    with pytest.raises(llmkit.ConfigurationError, match="Only members of llmkit_admin"):
        ana.budget(daily=500)
    grant, revoke = others[0].strip().split("\n")
    run_sql(server, grant, "llmkit")
    assert ana.budget(daily=60).daily == 60
    run_sql(server, revoke, "llmkit")
    with pytest.raises(llmkit.ConfigurationError, match="Only members of llmkit_admin"):
        ana.budget(daily=500)
    for text in others[1:]:
        run_sql(server, text, "llmkit")
    zone = "SELECT time_zone FROM llmkit.state"
    assert server.execute(zone, database="llmkit") == [("Europe/Berlin",)]
    call = CallRecord(uid="a", status="ok", provider="p", model="m", cost_nanos=1, time=datetime.now(UTC))
    assert ana.record(call).result(60)
    run_sql(server, "UPDATE llmkit.state SET time_zone = 'Europe/Berlin'", "llmkit")
    refused = psycopg.errors.ObjectNotInPrerequisiteState
    with pytest.raises(refused, match=r"stays Europe/Berlin(?s:.+)HINT:  Set another one in a new database"):
        run_sql(server, "UPDATE llmkit.state SET time_zone = 'Asia/Tokyo'", "llmkit")
    assert server.execute(zone, database="llmkit") == [("Europe/Berlin",)]
    with contextlib.closing(Ledger(server.url("llmkit"))) as owner:
        assert owner.clear() == 1
    run_sql(server, "UPDATE llmkit.state SET time_zone = 'Asia/Tokyo'", "llmkit")
    ana.close()
    server.drop_database("llmkit")
    server.execute("DROP ROLE ana")


def test_what_users_may_call_is_what_the_guide_says(postgres):
    ledger = Ledger(postgres)
    ledger.budget(daily=1)
    with psycopg.connect(postgres) as connection:
        names = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'llmkit'::regnamespace"
            " AND (proacl IS NULL OR proacl::text ~ '(\\{|,)=') ORDER BY 1"
        ).fetchall()
    connection.close()
    # Those of answers have no more rights than their caller, and row-level security hides the rows of others.
    assert names == [("reserve_for_job",), ("settle_for_job",)], "no function of the ledger is for everybody"
    ledger.close()
