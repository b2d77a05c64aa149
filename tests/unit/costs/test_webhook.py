"""Alerts by HTTP: the address stays secret, and what fails is tried again where that may help."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
import threading
import traceback
from datetime import UTC, datetime

import pytest

from llmkit import Alert, RuleAlert, Webhook
from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import redact
from llmkit.costs.alerting import webhook
from llmkit.costs.alerting.announcer import targets_of
from llmkit.costs.alerting.webhook import WebhookError
from tests.support.certificates import self_signed
from tests.support.receiver import Receiver

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ALERT = Alert(kind="daily", threshold=0.8, spent=4.0, cap=5.0, notebook=None, time=NOW)


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    monkeypatch.setattr(webhook, "PAUSES", (0.0, 0.0))


def test_an_alert_is_json_with_a_text_for_chats():
    with Receiver() as receiver:
        Webhook(receiver.url)(ALERT)
        assert receiver.get() == {
            "text": "80% of the daily budget is used: $4.00 of $5.00.",
            "alert": {
                "kind": "daily", "threshold": 0.8, "spent": 4.0, "cap": 5.0, "notebook": None,
                "time": "2026-11-28T12:00:00+00:00",
            },
            "type": "application/json",
        }  # fmt: skip


def test_a_name_cannot_be_a_command_of_the_chat():
    alert = RuleAlert(kind="spent", value=2, limit=1, period="2026-11", calls="tag <!channel>&", time=NOW)
    with Receiver() as receiver:
        Webhook(receiver.url)(alert)
        found = receiver.get()
    assert "(tag &lt;!channel&gt;&amp;)" in found["text"]
    assert found["alert"]["calls"] == "tag <!channel>&"


@pytest.mark.parametrize("statuses", [(500, 200), (503, 429, 200), (408, 204)])
def test_what_may_pass_is_tried_again(statuses):
    with Receiver(*statuses) as receiver:
        Webhook(receiver.url)(ALERT)
        assert len(receiver.paths) == len(statuses)


def test_after_three_attempts_it_is_an_error():
    with Receiver(500) as receiver:
        with pytest.raises(WebhookError, match=r"http://127\.0\.0\.1:\d+ did not take .* HTTP 500\."):
            Webhook(receiver.url)(ALERT)
        assert len(receiver.paths) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_does_not_pass_is_not_tried_again(status):
    with Receiver(status) as receiver:
        with pytest.raises(WebhookError, match=f"HTTP {status}"):
            Webhook(receiver.url)(ALERT)
        assert len(receiver.paths) == 1


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed(status):
    with Receiver(status) as receiver:
        with pytest.raises(WebhookError, match=f"HTTP {status}"):
            Webhook(receiver.url)(ALERT)
        assert receiver.paths == ["POST /services/T0SECRET/B0SECRET"]


def test_a_proxy_does_not_get_what_is_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Receiver() as receiver:
        Webhook(receiver.url)(ALERT)
        assert len(receiver.paths) == 1


def test_over_tls_the_users_certificates_count(tmp_path, monkeypatch):
    authority, context = self_signed(tmp_path)
    with Receiver(tls=context) as receiver:
        with pytest.raises(WebhookError, match=r"no answer \(SSLCertVerificationError\)"):
            Webhook(receiver.url)(ALERT)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        Webhook(receiver.url)(ALERT)
        assert receiver.get()["text"] == str(ALERT)


def test_what_is_no_http_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            for _ in range(3):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"220 mail.example SMTP\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(WebhookError, match="no answer"):
            Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/x")(ALERT)
        thread.join(60)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_nothing_that_is_shown_has_the_address(caplog):
    caplog.set_level(logging.DEBUG)
    secret = f"http://127.0.0.1:{free_port()}/services/T0SECRET/B0SECRET?token=s3cr3t"
    hook = Webhook(secret)
    with pytest.raises(WebhookError) as caught:
        hook(ALERT)
    shown = [repr(hook), str(hook), str(vars(hook)), str(targets_of([secret])), caplog.text]
    shown += traceback.format_exception(caught.value)
    for text in shown:
        assert "SECRET" not in text
        assert "s3cr3t" not in text
    assert repr(hook).startswith("Webhook(http://127.0.0.1:")
    assert "SECRET" not in redact(f"posting to {secret} failed")
    assert "https://127.0.0.1/other" in redact("see https://127.0.0.1/other"), "the host is no secret"


def test_it_is_neither_pickled_nor_copied_into_a_text():
    hook = Webhook("https://hooks.example.com/services/T0SECRET")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(hook)
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.copy(hook)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hooks.example.com/x", "not a web address"),
        ("ftp://hooks.example.com/x", "not a web address"),
        ("https:///x", "not a web address"),
        ("https://[::1", "not a web address"),
        ("https://a b/SECRET", "not a web address"),
        ("https://user:SECRET@hooks.example.com/x", "user name or a password"),
        ("http://hooks.example.com/SECRET", "on hooks.example.com is not encrypted.*insecure=True"),
    ],
)
def test_an_address_that_does_not_do_is_refused_without_being_quoted(url, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Webhook(url)
    assert "SECRET" not in str(caught.value)


def test_another_machine_without_encryption_must_be_allowed():
    assert repr(Webhook("http://10.0.0.5:8080/x", insecure=True)) == "Webhook(http://10.0.0.5:8080/…)"
    assert repr(Webhook(" http://localhost/x ")) == "Webhook(http://localhost/…)"
    assert repr(Webhook("http://[::1]:80/x")) == "Webhook(http://[::1]:80/…)"


def test_a_target_is_a_function_an_address_or_several():
    assert targets_of(None) == ()
    assert targets_of(print) == (print,)
    assert [type(each) for each in targets_of(["https://a.example/x", print])] == [Webhook, type(print)]
    with pytest.raises(ConfigurationError, match="got int"):
        targets_of(5)
    with pytest.raises(ConfigurationError, match="got int"):
        targets_of([5])
