"""Hooks for `os.fork`: a child must not use its parent's threads, locks and SQLite connections.

A child that inherits an open SQLite connection also inherits the state that it holds the file's locks,
even for connections that it opens itself. Another process may then remove the write-ahead log,
and acknowledged rows are lost. Connections are therefore closed during a fork.
"""

from __future__ import annotations

import os
import weakref


class ForkAware:
    """An object that needs to act when its process forks."""

    def before_fork(self) -> None:
        """Pause: finish pending work and close all connections until the fork is over."""

    def after_fork(self) -> None:
        """Resume, in the parent."""

    def in_child(self) -> None:
        """Reset, in the child."""


_watched: list[weakref.ref[ForkAware]] = []  # copied, because other threads may append


def watch(thing: ForkAware) -> None:
    """Call an object's hooks at forks, as long as it lives."""
    _watched.append(weakref.ref(thing, _watched.remove))


_resting: list[list[ForkAware]] = []  # per fork in progress; another thread may add to `_watched`


def _alive() -> list[ForkAware]:
    return [thing for reference in _watched.copy() if (thing := reference()) is not None]


def _before() -> None:
    things: list[ForkAware] = []
    # Repeat until stable: before it pauses, an object may create another.
    while fresh := [thing for thing in _alive() if thing not in things]:
        for thing in fresh:
            thing.before_fork()
        things += fresh
    _resting.append(things)


def _after() -> None:
    # In reverse, so that an object resumes after those that it created.
    for thing in reversed(_resting.pop()):
        thing.after_fork()


def _in_child() -> None:
    _resting.clear()
    for thing in _alive():
        thing.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
