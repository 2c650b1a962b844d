"""Work done by several threads at the same moment, or by an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; in a thread, since tests of browsers leave a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def at_once(work: Callable[[int], Any], threads: int = 6) -> list[Any]:
    """Run work in several threads at the same moment; return what each returned, or raised."""
    start, results = threading.Barrier(threads), []

    def one(number: int) -> None:
        start.wait()
        try:
            results.append(work(number))
        except Exception as error:
            results.append(error)

    running = [threading.Thread(target=one, args=(i,)) for i in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return results
