"""Disks that are full, read only, or give back something else than what was written."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture.senders import Account, Senders
from tests.torture.world import Outcome, ServerRefused, World, counted, wait_for

from tidegauge.lake.frames import Frame, FrameKind
from tidegauge.lake.segments import Segment, frames_of, read_segments
from tidegauge.lake.waiting import entries_of


def can_mount() -> bool:
    """Whether small file systems can be made here, which takes root."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextlib.contextmanager
def small_disk(where: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of this size in memory."""
    where.mkdir(parents=True, exist_ok=True)
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def full_disk(folder: Path, times: int, *, min_free: int = 0) -> Outcome:
    """Fill a server's disk to the last byte under load, and make room again, so many times.

    Parameters
    ----------
    min_free : int
        The setting; 0 lets the server run into the end of the disk itself.
    """
    account = Account()
    with small_disk(folder / "disk", 96) as disk:
        world = World(disk / "data", log=folder / "log", TIDEGAUGE_MIN_FREE=str(min_free))
        load = Senders(world.where, account, 3, pause=0.01)
        try:
            world.start()
            load.start()
            assert wait_for(world.watch, 60, 0.1)
            for _ in range(times):
                assert load.go_on(5)
                refused = len(account.refused)
                ballast = disk / "ballast"
                _fill(ballast)
                assert _refused(account, refused + 1)
                time.sleep(1.0)
                ballast.unlink()
            went_on = load.go_on(5)
            load.finish()
            world.settled()
            world.stop()
            note = f"{len(account.refused)} refusals, such as: {_told(account.refused)}"
            if not went_on:
                note = "it did not go on by itself; " + note
            outcome = counted(
                f"disk full (min_free {min_free >> 20} MiB)", times, world, account, note
            )
            outcome.lost += not went_on
            return outcome
        finally:
            world.close()


def refusing_disk(data: Path, times: int) -> Outcome:
    """Have the system refuse every growth of a file for a while, as a disk gone read only does."""
    world, account = World(data), Account()
    load = Senders(world.where, account, 3, pause=0.01)
    try:
        world.start()
        load.start()
        assert wait_for(world.watch, 60, 0.1)
        for _ in range(times):
            assert load.go_on(5)
            assert world.process is not None
            limits = resource.prlimit(world.process.pid, resource.RLIMIT_FSIZE)
            refused = len(account.refused)
            resource.prlimit(world.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
            assert _refused(account, refused + 1)
            time.sleep(1.0)
            resource.prlimit(world.process.pid, resource.RLIMIT_FSIZE, limits)
        load.finish()
        world.settled()
        world.stop()
        note = f"{len(account.refused)} refusals, such as: {_told(account.refused)}"
        return counted("disk refuses to write", times, world, account, note)
    finally:
        world.close()


def read_only_disk(folder: Path) -> Outcome:
    """Start on a disk that is read only; then on the same disk once it can be written again."""
    account = Account()
    with small_disk(folder / "disk", 96) as disk:
        world = World(disk / "data", log=folder / "log")
        load = Senders(world.where, account, 1)
        try:
            world.start()
            load.start()
            assert load.go_on(10)
            world.kill()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            try:
                world.start()
                note = "it started on a disk that is read only"
                world.close()
            except ServerRefused as refusal:
                note = "it said: " + str(refusal).strip().splitlines()[-1]
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            world.start()
            load.finish()
            world.settled()
            world.stop()
            return counted("read-only disk", 1, world, account, note)
        finally:
            world.close()


def damaged_journal(data: Path, times: int, *, cut: bool, seed: int = 0) -> Outcome:
    """Kill a server with a full journal, and flip a bit of it, or cut its end off.

    What stood in the damaged place cannot come back; it must be just that, and named.
    """
    chance = random.Random(f"{cut}{seed}")
    world, account = World(data), Account()
    lost_with_it: set[str] = set()
    aside = 0
    try:
        for turn in range(times):
            world.start(TIDEGAUGE_FLUSH_INTERVAL="60")
            options = {"name": f"t{turn}-", "pause": 0.001, "labels": False}
            load = Senders(world.where, account, 1, **options).start()
            assert load.go_on(12)
            world.kill()
            segment, requests = _requests(data)
            before = len(list((data / "journal").glob("damaged/*")))
            if cut:
                victims = requests[-3:]
                first = victims[0][0]
                os.truncate(segment, chance.randrange(first.start + 1, first.end))
            else:
                victims = [chance.choice(requests)]
                first = victims[0][0]
                _flip(segment, chance.randrange(first.start, first.end), chance)
            lost_with_it.update(*(ids for _, ids in victims))
            world.start()
            aside += len(list((data / "journal").glob("damaged/*"))) - before
            load.finish()
            world.settled()
            assert world.stop() == 0
        name = "journal cut off" if cut else "bit of the journal flipped"
        lost = (account.acknowledged & lost_with_it) - world.stored().keys()
        note = (
            f"{len(lost)} records stood in the damaged places; {aside} pieces set aside and named"
        )
        return counted(name, times, world, account, note, expected_lost=frozenset(lost))
    finally:
        world.close()


def _requests(data: Path) -> tuple[Path, list[tuple[Frame, set[str]]]]:
    """Return the newest segment, and its requests with the prediction ids that stand in them."""
    path = read_segments(data / "journal")[-1]
    found = [one for one in frames_of(path) if isinstance(one, Frame)]
    segment = Segment.at(path.parent, int(path.stem), "")
    whole = segment.whole()
    layouts: dict[int, bytes] = {}
    requests = []
    for one in found:
        if one.kind is FrameKind.LAYOUT:
            part = one.parts[0]
            layouts[one.about["layout"]] = whole.slice(part.start, part.length).to_pybytes()
        elif one.kind is FrameKind.REQUEST:
            ids: set[str] = set()
            names = [layouts[number] for _, _, number, _ in one.about["entries"]]
            for held in entries_of(one, segment, names):
                ids.update(held.read(whole).batch["prediction_id"].to_pylist())
            requests.append((one, ids))
    return path, requests


def _flip(path: Path, at: int, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << chance.randrange(8)]))


def _fill(path: Path) -> None:
    """Write until there is no room for one more byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def _refused(account: Account, times: int) -> bool:
    """Wait until so many requests were refused."""
    return wait_for(lambda: len(account.refused) >= times, 30)


def _told(refusals: list[str]) -> str:
    return max(set(refusals), key=refusals.count)[:160] if refusals else "none"
