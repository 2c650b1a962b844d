"""What the process does to its senders: it forks, and it exits.

- While it forks, every outbox and spool is held still. The child then begins with empty ones, no
  thread and no connection, and the parent goes on as if nothing had happened: so nothing is sent
  twice.
- When it exits, every sender gets a bounded time to send what is left.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegauge_client.sender import Sender

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_held: list[Sender] = []
_forking = threading.Lock()


def watch(sender: Sender) -> None:
    """See `sender` through forks and the exit, as long as it lives."""
    _senders.add(sender)


def finish_all() -> None:
    """Close every sender, each within its own ``exit_timeout`` from now."""
    begin = time.monotonic()
    for sender in list(_senders):
        sender.close(max(0.0, begin + sender.options.exit_timeout - time.monotonic()))


def finish_with_multiprocessing() -> None:
    """Have a `multiprocessing` child finish, too: a forked one ends without its exit handlers."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, finish_all, exitpriority=0)


def _hold_all() -> None:
    _forking.acquire()  # two threads may fork at once
    _held.extend(_senders)
    for lock in _locks():
        lock.acquire()


def _release_all() -> None:
    for lock in _locks():
        lock.release()
    _held.clear()
    _forking.release()


def _locks() -> list[threading.RLock]:
    """Return the locks of those held, in the order in which any thread takes them."""
    spools = [sender.courier.spool.lock for sender in _held if sender.courier is not None]
    return [*spools, *(sender.outbox.lock for sender in _held)]


def _begin_all_anew() -> None:
    global _forking
    _forking = threading.Lock()
    while _held:
        _held.pop().begin_anew_after_fork()


atexit.register(finish_all)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_hold_all, after_in_parent=_release_all, after_in_child=_begin_all_anew
    )
