"""What takes seconds to learn of a baseline is learnt beside the scheduler, one model at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from weakref import WeakSet

from tidegauge.monitor.closing import Yardstick

_log = logging.getLogger(__name__)


class Learning:
    """Learns in threads, so that a model whose baseline is new holds up no other.

    Parameters
    ----------
    done : callable
        Called whenever something was learnt.
    """

    def __init__(self, done: Callable[[], object]) -> None:
        self._done = done
        self._one = threading.Lock()
        self._begun: WeakSet[Yardstick] = WeakSet()
        self._failed: WeakSet[Yardstick] = WeakSet()

    def ready(self, yardstick: Yardstick) -> bool:
        """Whether everything is learnt; begins to, where that was not begun.

        Also where learning failed: who asks for what was not learnt gets the reason.
        """
        if yardstick.learnt or yardstick in self._failed:
            return True
        if yardstick not in self._begun:
            self._begun.add(yardstick)
            name = f"learning-{yardstick.baseline.id[:8]}"
            threading.Thread(target=self._learn, args=(yardstick,), name=name, daemon=True).start()
        return False

    def _learn(self, yardstick: Yardstick) -> None:
        with self._one:
            try:
                yardstick.learn()
            except Exception:
                _log.exception("what a baseline teaches could not be learnt")
                self._failed.add(yardstick)
        self._done()
