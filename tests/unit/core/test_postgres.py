"""Connections to PostgreSQL: they come back, say what is wrong, and never show a password."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import traceback
import warnings

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres import Address, Database, ServerUnavailableError, upgrade
from tests.support.postgres import PASSWORD, server

TABLES = [["CREATE TABLE llmkit.things (n integer)"], ["ALTER TABLE llmkit.things ADD COLUMN m integer"]]


@pytest.fixture
def database(postgres):
    made = Database(Address(postgres))
    yield made
    made.close()


def one(connection):
    return connection.execute("SELECT 1").fetchone()


def prepare(connection):
    upgrade(connection, "things", TABLES, "d")


def with_user(url, user, password=PASSWORD):
    return f"postgresql://{user}:{password}@{url.partition('@')[2]}"


def refused(url, kind=ConfigurationError):
    """Return the error of a connection, which has the password nowhere."""
    with pytest.raises(kind) as caught:
        Database(Address(url)).run(one)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown.stack[:] = [frame for frame in shown.stack if frame.filename != __file__]  # `url` is in these
    said = "".join(shown.format())
    assert "llmkit/core/postgres.py" in said
    assert PASSWORD not in said
    assert "a-wrong-password" not in said
    return str(caught.value)


def test_the_name_of_an_address_lacks_its_password():
    address = Address("postgresql://me:a-long-password@db.example:5433/llm?sslpassword=another-secret")
    assert address.name == "postgresql://me@db.example:5433/llm"
    assert "a-long" not in repr(vars(address))
    assert "another" not in repr(vars(address))


def test_addresses_are_equal_if_they_lead_to_the_same_database_as_the_same_user():
    same = Address("postgresql://me:one-password@h/d"), Address("postgres://me:one-password@h/d")
    assert same[0] == same[1]
    assert hash(same[0]) == hash(same[1])
    assert same[0] != Address("postgresql://me:another-one@h/d")
    assert same[0] != Address("postgresql://you:one-password@h/d")


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://db.example/d", "require"),
        ("postgresql://localhost,db.example/d", "require"),
        ("postgresql://localhost/d?hostaddr=10.0.0.5", "require"),
        ("postgresql://db.example/d?sslmode=verify-full", "verify-full"),
        ("postgresql://db.example/d?sslmode=disable", "disable"),
        ("postgresql://localhost/d", None),
        ("postgresql://127.0.0.1/d", None),
        ("postgresql://[::1]/d", None),
        ("postgresql:///d", None),
        ("postgresql:///d?host=/run/postgresql", None),
    ],
)
def test_other_hosts_are_asked_for_tls_unless_the_address_says_otherwise(url, mode):
    assert Address(url)._options.get("sslmode") == mode


@pytest.mark.parametrize("url", ["postgresql://u:sec%ret@h/d", "postgresql://u:p@h/d?nothing=1"])
def test_an_address_that_cannot_be_read_is_refused_without_a_part_of_it(url):
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        Address(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_psycopg_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"extra postgres.*jupyter-llmkit\[postgres\]"):
        Address("postgresql://h/d")


def test_a_wrong_password_is_named_and_not_shown(postgres):
    assert "refuses the user or the password" in refused(with_user(postgres, "admin", "a-wrong-password"))


def test_an_unknown_user_looks_like_a_wrong_password(postgres):
    assert "refuses the user or the password" in refused(with_user(postgres, "nobody_knows"))


def test_a_database_that_does_not_exist_is_named(postgres):
    assert "is no database of its server. Check its name" in refused(postgres + "_not")


def test_a_server_that_does_not_run_may_be_there_later(postgres):
    url = postgres.replace(f":{server().port}/", ":1/")
    said = refused(url, ServerUnavailableError)
    assert said.startswith(f"Cannot reach {Address(url).name}: ")
    assert "Check the host and the port" in said


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(postgres):
    assert "offers no TLS" in refused(f"{postgres}?sslmode=require")


@pytest.fixture
def certificate(postgres, tmp_path):
    """The server speaks TLS, with a certificate that only this test trusts."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "server.key", "-nodes"]
    command = ["openssl", "req", "-x509", *key, "-out", "server.crt", "-days", "2", *names]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    here = server()
    for name in ("server.key", "server.crt"):
        here.put_file(name, (tmp_path / name).read_bytes())
    here.execute("ALTER SYSTEM SET ssl = on")
    here.restart()
    yield tmp_path / "server.crt"
    here.execute("ALTER SYSTEM RESET ssl")
    here.restart()


@pytest.mark.full
def test_a_connection_is_encrypted_and_a_certificate_is_checked_where_the_address_says_so(
    postgres, certificate
):
    def is_encrypted(connection):
        return connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()

    for options in ("sslmode=require", f"sslmode=verify-full&sslrootcert={certificate}"):
        encrypted = Database(Address(f"{postgres}?{options}"))
        assert encrypted.run(is_encrypted) == (True,)
        encrypted.close()
    said = refused(f"{postgres}?sslmode=verify-full&sslrootcert={certificate.parent / 'none.crt'}")
    assert "has no TLS certificate that this machine trusts. Set sslrootcert" in said
    other = postgres.replace("127.0.0.1", "localhost")
    assert "has no TLS certificate" in refused(f"{other}?sslmode=verify-full&sslrootcert={certificate}")


def test_a_server_that_is_too_old_is_refused(postgres, monkeypatch):
    monkeypatch.setattr("llmkit.core.postgres.OLDEST", 990000)
    assert "is too old. Use PostgreSQL 99 or later" in refused(postgres)


def test_a_server_without_a_free_connection_may_have_one_later(postgres):
    server().create_role("few", "CONNECTION LIMIT 1")
    first = Database(Address(with_user(postgres, "few")))
    first.run(one)
    assert "has no connection left" in refused(with_user(postgres, "few"), ServerUnavailableError)
    first.close()


def test_work_without_the_right_to_it_is_refused_in_our_words(postgres):
    server().create_role("guest")
    guest = Database(Address(with_user(postgres, "guest")))
    with pytest.raises(ConfigurationError, match="does not give its user the rights"):
        guest.run(lambda connection: connection.execute("SELECT * FROM pg_authid"))
    with pytest.raises(ConfigurationError, match=r"refuses the work: .*42601"):
        guest.run(lambda connection: connection.execute("SELEC"))
    guest.close()


def test_a_broken_connection_is_replaced(database):
    database.run(one)
    assert server().disconnect(database.name.rpartition("/")[2]) == 1
    assert database.run(one) == (1,)


def test_a_connection_that_breaks_within_its_work_has_it_done_again(database):
    tries = []

    def work(connection):
        tries.append(1)
        if len(tries) == 1:
            server().disconnect(database.name.rpartition("/")[2])
        return one(connection)

    assert database.run(work) == (1,)
    assert len(tries) == 2


def test_a_server_that_was_there_is_waited_for(database):
    database.run(one)
    server().kill()
    with pytest.raises(ServerUnavailableError):
        database.run(one)
    again = threading.Thread(target=server().start)
    again.start()
    assert database.run(one, patience=60) == (1,)
    again.join(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_has_a_connection_of_its_own_and_leaves_its_parents_alone(database):
    def own(connection):
        return connection.execute("SELECT pg_backend_pid()").fetchone()

    before = database.run(own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, from Python 3.12 on
        child = os.fork()
    if not child:
        different = database.run(own) != before
        database.close()
        os._exit(0 if different else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert database.run(own) == before


def test_tables_are_made_once_by_many_at_the_same_time(postgres):
    errors = []

    def make():
        made = Database(Address(postgres), prepare)
        try:
            made.run(lambda connection: connection.execute("INSERT INTO llmkit.things VALUES (1, 2)"))
        except ConfigurationError as error:
            errors.append(error)
        made.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert server().execute("SELECT count(*) FROM llmkit.things", database=postgres.rpartition("/")[2]) == [
        (8,)
    ]


def test_tables_of_a_former_version_get_what_they_lack_and_of_a_newer_one_are_refused(database):
    database.run(lambda connection: upgrade(connection, "things", TABLES[:1], "d"))
    database.run(lambda connection: upgrade(connection, "things", TABLES, "d"))
    database.run(lambda connection: connection.execute("SELECT m FROM llmkit.things"))
    with pytest.raises(ConfigurationError, match=r"of a newer llmkit \(version 2, this one knows 1"):
        database.run(lambda connection: upgrade(connection, "things", TABLES[:1], "d"))


def test_who_may_not_make_the_tables_is_told_who_may_and_uses_them_once_they_are_there(postgres):
    server().create_role("guest")
    guest = Database(Address(with_user(postgres, "guest")), prepare)
    said = r"lacks the tables of llmkit, and its user may not .*Let its administrator set a budget once"
    with pytest.raises(ConfigurationError, match=said):
        guest.run(one)
    administrator = Database(Address(postgres), prepare)
    administrator.run(one)
    administrator.close()
    assert guest.run(one) == (1,)
    guest.close()
