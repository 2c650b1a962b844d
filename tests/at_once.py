"""Work done by several threads at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


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
