"""``kill -9``, again and again, in the middle of each of the things that a server does."""

from __future__ import annotations

import random
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

from tests.torture.senders import Account, Senders
from tests.torture.world import Outcome, World, counted, wait_for

#: What a server is killed in the middle of, and how it is seen that this begins.
MOMENTS: dict[str, Callable[[World, random.Random], None]] = {}


def moment(
    function: Callable[[World, random.Random], None],
) -> Callable[[World, random.Random], None]:
    MOMENTS[function.__name__.replace("_", " ")] = function
    return function


@moment
def journal(world: World, chance: random.Random) -> None:
    """At any time while requests are acknowledged."""
    time.sleep(chance.uniform(0.05, 0.4))


@moment
def flusher(world: World, chance: random.Random) -> None:
    """Just after a file of records was written, before or after its commit."""
    _after_change(world, "records", chance, 0.02)


@moment
def compaction(world: World, chance: random.Random) -> None:
    """When a date has come to have so many small files that they are joined."""
    records = world.data / "lake" / "default" / "rides" / "records"

    def crowded() -> bool:
        return any(len(list(day.glob("*.parquet"))) >= 11 for day in records.glob("_date=*"))

    wait_for(crowded, 4.0, 0.02)
    time.sleep(chance.uniform(0.0, 0.5))


@moment
def window_closing(world: World, chance: random.Random) -> None:
    """Just after the profiles, or the points, of a window were written."""
    _after_change(world, chance.choice(("profiles", "points")), chance, 0.1)


def _after_change(world: World, kind: str, chance: random.Random, longest: float) -> None:
    folder = world.data / "lake" / "default" / "rides" / kind
    before = _files(folder)
    wait_for(lambda: _files(folder) != before, 2.0)
    time.sleep(chance.uniform(0.0, longest))


def _files(folder: Path) -> int:
    return sum(1 for _ in folder.glob("_date=*/*"))


def killed_while(
    name: str, data: Path, times: int, *, senders: int = 3, seed: int = 0, say: bool = False
) -> Outcome:
    """Kill a server in the middle of one of `MOMENTS`, so many times, under load.

    Parameters
    ----------
    name : str
        Of `MOMENTS`.
    data : Path
        The server's folder.
    times : int
    """
    world, account, chance = World(data), Account(), random.Random(f"{name}{seed}")
    load = Senders(world.where, account, senders, pause=0.01, seed=seed)
    try:
        world.start()
        load.start()
        for turn in range(times):
            if turn:
                world.start()
            load.go_on(0)
            world.watch()
            MOMENTS[name](world, chance)
            world.kill()
            if say:
                print(f"\r{name}: {turn + 1} of {times}", end="", flush=True)
        world.start()
        load.finish()
        world.settled()
        code = world.stop()
        return counted(f"kill -9: {name}", times, world, account, _ended(code))
    finally:
        world.close()


def killed_while_erasing(data: Path, times: int, *, seed: int = 0, say: bool = False) -> Outcome:
    """Kill a server while it erases records, so many times, under load."""
    world, account, chance = World(data), Account(), random.Random(f"erasing{seed}")
    load = Senders(world.where, account, 1, pause=0.01, labels=False, seed=seed)
    erased: set[str] = set()
    path = "/v1/projects/default/models/rides/erasures"
    asked: list[str] = []
    try:
        world.start()
        load.start()
        assert wait_for(world.watch, 60, 0.1)
        for turn in range(times):
            if turn:
                world.start()
            load.go_on(3)
            with account.guard:
                ids = chance.sample(sorted(account.acknowledged - erased), 5)
            try:
                told = world.post(path, {"prediction_ids": ids})
            except urllib.error.HTTPError as error:
                raise AssertionError(error.read().decode()) from error
            asked.append(told["id"])
            erased.update(ids)
            time.sleep(chance.uniform(0.0, 1.0))
            world.kill()
            if say:
                print(f"\rerasure: {turn + 1} of {times}", end="", flush=True)
        world.start()
        load.finish()
        done = wait_for(lambda: all(_is_erased(world, path, one) for one in asked), 90, 0.2)
        world.settled()
        world.stop()
        note = f"{len(erased)} records erased" if done else "an erasure did not come to its end"
        outcome = counted("kill -9: erasure", times, world, account, note, erased=frozenset(erased))
        if not done:
            outcome.lost += 1
        return outcome
    finally:
        world.close()


def ended_by_sigterm(data: Path, times: int, *, seed: int = 0) -> Outcome:
    """Ask a server to end, under load: it ends what it began, and nothing is left to replay."""
    world, account = World(data), Account()
    load = Senders(world.where, account, 4, seed=seed)
    left = slow = 0
    try:
        world.start()
        load.start()
        assert wait_for(world.watch, 60, 0.1)
        for turn in range(times):
            if turn:
                world.start()
            load.go_on(5)
            began = time.monotonic()
            code = world.stop()
            slow = max(slow, int(time.monotonic() - began))
            assert code == 0, f"it ended with {code}: {world.log.read_text()[-2000:]}"
            left += len(list((data / "journal").glob("*.segment")))
        world.start()
        load.finish()
        world.settled()
        world.stop()
        note = f"{left} segments left to replay, the slowest end took {slow} s"
        return counted("SIGTERM under load", times, world, account, note)
    finally:
        world.close()


def _is_erased(world: World, path: str, number: str) -> bool:
    return str(world.get(f"{path}/{number}")["state"]) == "done"


def _ended(code: int) -> str:
    return "" if code == 0 else f"the last server ended with {code}"
