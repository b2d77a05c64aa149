"""What forks: a child process must not touch its parent's threads, locks and SQLite connections.

A child that inherits an open SQLite connection also inherits the belief that it holds the file's locks,
even for connections that it opens itself: then another process may remove the write-ahead log under it,
and rows that were acknowledged are gone. So the connections are closed while the process forks.
"""

from __future__ import annotations

import os
import weakref


class ForkAware:
    """An object that survives a fork of its process; it says how, where it needs to."""

    def before_fork(self) -> None:
        """Come to rest: nothing is half done and no connection is open until the fork is over."""

    def after_fork(self) -> None:
        """Go on, in the parent."""

    def in_child(self) -> None:
        """Start afresh, in the child."""


_watched: list[weakref.ref[ForkAware]] = []  # other threads may append while it is copied


def watch(thing: ForkAware) -> None:
    """Tell an object about the forks of its process, for as long as it lives."""
    _watched.append(weakref.ref(thing, _watched.remove))


_resting: list[list[ForkAware]] = []  # per fork that is under way; another thread may add to `_watched`


def _alive() -> list[ForkAware]:
    return [thing for reference in _watched.copy() if (thing := reference()) is not None]


def _before() -> None:
    things: list[ForkAware] = []
    # Again and again: until it rests, one of them may make another.
    while fresh := [thing for thing in _alive() if thing not in things]:
        for thing in fresh:
            thing.before_fork()
        things += fresh
    _resting.append(things)


def _after() -> None:
    for thing in reversed(_resting.pop()):
        thing.after_fork()


def _in_child() -> None:
    _resting.clear()
    for thing in _alive():
        thing.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
