"""How often a growing output is drawn, and how much that may send."""

from __future__ import annotations

import pytest

from llmkit.notebook.display.throttle import Throttle


class Clock:
    """A time that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def test_updates_come_at_most_so_often():
    clock = Clock()
    throttle = Throttle(10, max_hz=4, clock=clock)
    assert throttle.due(clock())
    throttle.drew(clock())
    assert [throttle.due(now) for now in (0.2, 0.25)] == [False, True]


def test_a_slow_drawing_takes_at_most_a_fifth_of_the_time():
    clock = Clock()
    throttle = Throttle(10, clock=clock)
    clock.now = 1.0
    throttle.drew(0.0)
    assert [throttle.due(now) for now in (4.9, 5.0)] == [False, True]


def test_one_drawing_may_follow_sooner():
    clock = Clock()
    throttle = Throttle(10, max_hz=1, clock=clock)
    throttle.drew(0.0, 0.25)
    assert throttle.due(0.25)


@pytest.mark.parametrize("text", ["abcd", "éé", "\ud800a"])
def test_text_earns_its_bytes_and_messages_spend_them(text):
    throttle = Throttle(5, first_bytes=0, message_bytes=10)
    assert not throttle.affords(0)
    throttle.earn(text)
    assert throttle.affords(10)
    throttle.spend("12345", "12345")
    assert not throttle.affords(0)
