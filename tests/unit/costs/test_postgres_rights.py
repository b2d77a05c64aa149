"""Who may read and change what in a ledger that a team shares."""

import contextlib
import uuid
from datetime import UTC, datetime
from functools import partial
from queue import Queue

import psycopg
import pytest

import llmkit
from llmkit.core.timestamps import micros
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord, CostReservation
from tests.support import postgres as postgres_server
from tests.unit.notebook.test_dashboard import group_menu

pytestmark = pytest.mark.full


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**fields | {"cost_nanos": 10**9, "time": datetime.now(UTC)} | changes)


def plan(usd, **changes):
    fields = {"uid": uuid.uuid4().hex, "time": datetime.now(UTC), "provider": "openai", "model": "m"}
    fields |= {"input_tokens": 1, "output_tokens": 1, "lease_s": 60}
    return CostReservation(**fields | {"nanos": round(usd * 10**9)} | changes)


class Team:
    """The members of a ledger: the owner of its tables, two users and an administrator."""

    def __init__(self, address):
        server, self.address, self._ledgers = postgres_server.server(), address, {}
        for name in ("llmkit_admin", "llmkit_user"):
            server.execute(
                f"DO $$ BEGIN CREATE ROLE {name}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
        for name in ("owner", "alice", "bob", "carol", "stranger"):
            server.create_role(name)
        server.execute("GRANT llmkit_user TO alice, bob, carol")
        server.execute("GRANT llmkit_admin TO carol")
        server.execute(f"ALTER DATABASE {self.database} OWNER TO owner")
        self["owner"].budget(daily=None)

    @property
    def database(self):
        return self.address.rpartition("/")[2]

    def __getitem__(self, name):
        if name not in self._ledgers:
            self._ledgers[name] = Ledger(self.url(name))
        return self._ledgers[name]

    def url(self, name):
        return postgres_server.server().url(self.database, name)

    def sql(self, name, statement):
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def close(self):
        for ledger in self._ledgers.values():
            ledger.close()


@pytest.fixture
def team(postgres):
    team = Team(postgres)
    yield team
    team.close()


def test_users_see_their_own_calls_and_administrators_all(team):
    assert team["alice"].record(call(model="a")).result(60)
    assert team["bob"].record(call(model="b", cost_nanos=2 * 10**9)).result(60)
    for name, models, usd in (("alice", ["a"], 1), ("bob", ["b"], 2), ("carol", ["a", "b"], 3)):
        ledger = team[name]
        assert ledger.df["model"].tolist() == models
        assert ledger.total().usd == usd
        assert sorted(ledger.summary("model").index.tolist() or models) == models
        assert ledger.summary("model")["cost_usd"].sum() == usd
        assert {row[1] for row in ledger.flushed_store().counters()} == set(models)


def test_an_administrator_sees_whose_calls_they_are(team):
    for name, nanos in (("alice", 10**9), ("bob", 2 * 10**9), ("bob", 3 * 10**9)):
        assert team[name].record(call(cost_nanos=nanos)).result(60)
    carol = team["carol"]
    assert carol.df["user"].tolist() == ["alice", "bob", "bob"]
    by_user = carol.summary("user").reset_index()
    assert dict(zip(by_user["user"], by_user["cost_usd"], strict=True)) == {"alice": 1, "bob": 5}
    assert carol.where(user="bob").total().usd == carol.total(user="bob").usd == 5
    assert team["alice"].summary(["user", "model"])["cost_usd"].tolist() == [1]


def test_the_dashboard_groups_by_user(team):
    for name, nanos in (("alice", 10**9), ("bob", 5 * 10**9)):
        assert team[name].record(call(cost_nanos=nanos)).result(60)
    with contextlib.closing(team["carol"].dashboard("user")) as board:
        lines = repr(board).splitlines()
        assert lines[0].startswith("Cost by user, per hour: $6.00")
        assert [line.split()[:2] for line in lines[2:4]] == [["bob", "$5.00"], ["alice", "$1.00"]]
        assert "user" in group_menu(board)


FORBIDDEN = [
    "UPDATE llmkit.calls SET cost_nanos = 0",
    "DELETE FROM llmkit.calls",
    "INSERT INTO llmkit.calls (username, time, uid) VALUES ('bob', 1, 'x')",
    "TRUNCATE llmkit.calls",
    "SELECT * FROM llmkit.calls_other",
    "SELECT * FROM llmkit.sums",
    "SELECT * FROM llmkit.monthly_sums",
    "SELECT * FROM llmkit.spending",
    "SELECT * FROM llmkit.reservations",
    "SELECT * FROM llmkit.counters",
    "UPDATE llmkit.state SET rules = '{}'",
    "SELECT 1 FROM llmkit.state FOR UPDATE",
    "DELETE FROM llmkit.reservations",
    "DELETE FROM llmkit.intents",
    "ALTER TABLE llmkit.calls NO FORCE ROW LEVEL SECURITY",
    "DROP TABLE llmkit.calls",
    "CREATE TABLE llmkit.mine ()",
    "SELECT llmkit.change_rules('{\"daily\": null}')",
    "SELECT llmkit.forget(NULL)",
    "SELECT llmkit.correct('[]', 'r', NULL)",
    "SELECT llmkit.make_partitions('[]')",
    "SELECT llmkit.used(current_date, '', '')",
    "SET ROLE owner",
    "SET SESSION AUTHORIZATION bob",
]


def test_a_user_may_do_nothing_else(team):
    team["bob"].record(call()).result(60)
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            team.sql("alice", statement)


def test_no_role_sees_another_users_rows_whatever_it_asks(team):
    team["bob"].record(call()).result(60)
    for table in ("calls", "corrections", "intents"):
        assert team.sql("alice", f"SELECT * FROM llmkit.{table}") == []
    assert team.sql("alice", "SELECT * FROM llmkit.totals(ARRAY['model'], NULL)") == []


def test_a_user_cannot_write_calls_of_another(team):
    forged = '[{"time": 1764000000000000, "uid": "u", "status": "ok", "username": "bob", "user": "bob"}]'
    team.sql("alice", f"SELECT llmkit.append('{forged}', '[]')")
    assert team.sql("carol", "SELECT username FROM llmkit.calls") == [("alice",)]


def test_tables_in_a_users_own_schema_do_not_mislead_the_functions(team):
    team["bob"].record(call()).result(60)
    team.sql("owner", "CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO alice")
    with psycopg.connect(team.url("alice"), autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'"
        )
        connection.execute("CREATE TEMPORARY TABLE pg_roles (oid oid, rolname text)")
        connection.execute("SET search_path = trap, pg_temp, pg_catalog")
        assert connection.execute("SELECT llmkit.is_admin()").fetchone() == (False,)


def test_only_administrators_change_budgets_prices_and_calls(team):
    mine = call()
    team["alice"].record(mine).result(60)
    alice, refused = team["alice"], "Only members of llmkit_admin may"
    for use in (lambda: alice.budget(daily=1), alice.clear, lambda: alice.settle(mine.uid, 0)):
        with pytest.raises(llmkit.ConfigurationError, match=refused):
            use()
    assert team["carol"].budget(daily=5, per_user=2).per_user == 2
    team["carol"].settle(mine.uid, 0.5)
    assert alice.total().usd == 0.5
    assert team["carol"].clear() == 1


def test_a_user_takes_corrected_calls_along_with_their_corrected_prices(team, tmp_path):
    with contextlib.closing(Ledger(tmp_path / "laptop.sqlite")) as laptop:
        for record in (call(uid="a" * 32), call(uid="b" * 32), call(uid="c" * 32)):
            assert laptop.record(record).result(60)
        laptop.settle("a" * 32, 0.25)
        assert repr(laptop.where(model="m", until="2020-01-01").copy_to(team["alice"])) == "0 calls copied"
        done = laptop.copy_to(team["alice"])
        assert (done.copied, done.corrections, done.left_out) == (3, 0, 1)
        assert "1 correction not copied, because only administrators" in repr(done)
        assert team["alice"].total() == laptop.total()
        again = laptop.copy_to(team["alice"])
        assert (again.copied, again.known, again.left_out) == (0, 3, 1)
        laptop.settle("b" * 32, 0.5)
        done = laptop.copy_to(team["carol"])
        assert (done.known, done.corrections, done.left_out) == (3, 1, 0), "an administrator makes the rest"
        assert team["alice"].total() == laptop.total()


def test_the_first_use_of_a_user_may_be_a_refused_change(team):
    team["carol"].budget(daily=5)
    with pytest.raises(llmkit.ConfigurationError, match=r"^Only members of llmkit_admin may change budgets"):
        team["alice"].budget(daily=99)
    with pytest.raises(llmkit.ConfigurationError, match=r"^Only members of llmkit_admin may delete calls"):
        team["bob"].clear()
    with pytest.raises(llmkit.ConfigurationError, match="grant it the role llmkit_user"):
        team["stranger"].budget(daily=99)


def test_a_policy_for_an_absent_server_is_shown_if_it_is_not_the_usual_one(team):
    assert "offline" not in repr(team["carol"].budget())
    shown = team["carol"].budget(offline="allow")
    assert repr(shown).splitlines()[-1] == "offline      allow"
    assert "offline" in shown._repr_html_()


def test_a_stranger_learns_what_is_missing(team):
    with pytest.raises(llmkit.ConfigurationError, match="rights"):
        team["stranger"].total()


def test_a_cap_for_all_counts_what_nobody_else_sees(team):
    team["carol"].budget(daily=5)
    team["bob"].record(call(cost_nanos=4 * 10**9)).result(60)
    store = team["alice"].flushed_store()
    store.reserve(plan(1)).result(60)
    with pytest.raises(llmkit.BudgetExceededError, match=r"\$4\.00 spent, \$1\.00 reserved"):
        store.reserve(plan(0.01)).result(60)
    assert team["alice"].budget().left == 0
    assert team["alice"].total().calls == 0


def test_each_user_has_a_cap(team):
    team["carol"].budget(per_user=2)
    alice, bob = team["alice"].flushed_store(), team["bob"].flushed_store()
    team["alice"].record(call()).result(60)
    alice.reserve(plan(1)).result(60)
    with pytest.raises(llmkit.BudgetExceededError, match=r"(?i)budget per user \$2\.00: \$1\.00 spent"):
        alice.reserve(plan(0.01)).result(60)
    bob.reserve(plan(2)).result(60)
    shown = team["alice"].budget()
    assert (shown.per_user, shown.user_spent, shown.user_reserved, shown.user_left) == (2, 1, 1, 0)
    assert "per user     $2.00: $1.00 spent" in repr(shown)
    assert "per user" not in repr(team["owner"].budget(per_user=None))


def test_a_user_hears_of_their_own_cap(team):
    team["carol"].budget(per_user=2)
    heard = Queue()
    team["alice"].budget(on_alert=heard.put)
    team["alice"].record(call(cost_nanos=1_700_000_000)).result(60)
    alert = heard.get(timeout=60)
    assert str(alert) == "80% of the budget per user is used: $1.70 of $2.00."
    assert (alert.kind, alert.notebook) == ("per_user", None)


def test_notebooks_of_one_name_are_different_for_different_users(team):
    with pytest.warns(UserWarning, match="name is unknown"):
        team["carol"].budget(per_notebook=1)
    for name in ("alice", "bob"):
        team[name].flushed_store().reserve(plan(1, notebook="Untitled.ipynb")).result(60)


def test_nobody_frees_what_another_reserved(team):
    team["carol"].budget(daily=1)
    first = plan(1)
    team["bob"].flushed_store().reserve(first).result(60)
    alice = team["alice"].flushed_store()
    alice.release(first.uid)
    team["alice"].record(call(uid=first.uid, cost_nanos=0)).result(60)
    assert alice.amounts(micros(first.time), None).reserved == 10**9


def test_a_file_knows_no_users(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for change in ({"per_user": 2}, {"offline": "allow"}):
        with pytest.raises(llmkit.ConfigurationError, match="needs a ledger in PostgreSQL"):
            ledger.budget(**change)
    assert ledger.budget(per_user=None).per_user is None
    ledger.record(call()).result(60)
    assert "user" not in ledger.df.columns
    for use in (
        ledger.where,
        ledger.total,
        ledger.where(model="m").query,
        partial(ledger.alert, print, spent=1),
    ):
        with pytest.raises(llmkit.ConfigurationError, match="Unknown column 'user'"):
            use(user="ana")
    assert ledger.total(user=None).calls == 1
    ledger.close()
