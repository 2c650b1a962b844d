"""``python -m tidegauge_client spool FOLDER``: what waits in a spool, and sending it by hand."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from tidegauge_client.batch import Answer
from tidegauge_client.delivery import Backoff, deliver
from tidegauge_client.errors import DamagedError, RefusedError, UnreachableError
from tidegauge_client.set_aside import WHY, SetAside
from tidegauge_client.spool_file import Parcel, decode
from tidegauge_client.spool_folder import (
    DAMAGED,
    REFUSED,
    SUFFIX,
    Folder,
    batch_name,
    can_lock,
    process_folders,
)

MIB = 1024 * 1024


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 1 if something could not be sent."""
    parser = argparse.ArgumentParser("python -m tidegauge_client", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    spool = commands.add_parser("spool", help="look at a spool folder, or send what is in it")
    spool.add_argument("folder", type=Path)
    spool.add_argument("action", nargs="?", choices=["list", "send"], default="list")
    spool.add_argument("--url", help="send there, not to the address that each batch names")
    spool.add_argument(
        "--key",
        default=os.environ.get("TIDEGAUGE_KEY"),
        help="the project's key (else TIDEGAUGE_KEY)",
    )
    spool.add_argument("--refused", action="store_true", help="send those once refused, too")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}")
    if not can_lock():
        parser.error("a spool needs the file locks of Linux or macOS")
    if options.action == "list":
        _list(folder)
        return 0
    try:
        return _send_all(folder, options.url, options.key, options.refused)
    except (ValueError, OSError) as error:  # an address that can't be, a disk that refuses
        parser.error(str(error))


def _list(root: Path) -> None:
    print(f"spool {root}")
    for path in process_folders(root):
        folder = Folder.adopt(path)
        if folder is not None:
            folder.forget()
        state = "in use" if folder is None else "left by a process that ended"
        print(f"  {path.name}: {_described(path)}, {state}")
    for kind in (DAMAGED, REFUSED):
        for file in _set_aside(root, kind):
            print(f"  {kind}/{file.name}: {_why(file)}")


def _described(path: Path) -> str:
    found = list(Folder.batches(path))
    if not found:
        return "empty"
    records, size = sum(f[2] for f in found), sum(f[3] for f in found)
    age = max(0.0, time.time() - min(found)[0] / 1000)
    return f"{len(found)} batches, {records} records, {size / MIB:.1f} MiB, oldest {age:.0f} s ago"


def _send_all(root: Path, url: str | None, key: str | None, refused: bool) -> int:
    post = _poster(url, key)
    aside = SetAside(root)
    sent = records = kept_back = in_use = 0
    unreachable = ""
    for path, done in _files(root, refused):
        if done is None:
            in_use += 1
            continue
        try:
            parcel = decode(path.read_bytes())
            post(parcel)
        except DamagedError as error:
            aside.put(DAMAGED, path, {"why": str(error)})
            print(f"set aside in {DAMAGED}/: {path.name}: {error}", file=sys.stderr)
            kept_back += 1
        except RefusedError as error:
            why = {"status": error.status, "code": error.code, "message": error.message}
            if path.parent.name != REFUSED:
                aside.put(REFUSED, path, why)
            print(f"set aside in {REFUSED}/: {path.name}: {error}", file=sys.stderr)
            kept_back += 1
        except UnreachableError as error:
            unreachable = str(error)
            break
        else:
            sent, records = sent + 1, records + parcel.batch.records
            done()
    print(f"sent {sent} batches ({records} records); set aside {kept_back}")
    if in_use:
        print(f"left {in_use} folders alone: their processes live, and send them")
    if unreachable:
        print(f"stopped: {unreachable}", file=sys.stderr)
    return 1 if unreachable or kept_back else 0


def _files(root: Path, refused: bool) -> Iterator[tuple[Path, Callable[[], None] | None]]:
    """Yield each file to send, oldest first, and what to call when it is sent; None: in use."""
    for path in process_folders(root):
        folder = Folder.adopt(path)
        if folder is None:
            yield path, None
            continue
        try:
            for created, sequence, records, _ in sorted(folder.contents()):
                file = path / batch_name(created, sequence, records)
                yield file, file.unlink
        finally:
            folder.leave()
    if refused:
        for file in _set_aside(root, REFUSED):
            yield file, partial(_forget, file)


def _forget(file: Path) -> None:
    file.unlink()
    with suppress(OSError):
        file.with_name(file.name + WHY).unlink()


def _poster(url: str | None, key: str | None) -> Callable[[Parcel], Answer]:
    """Return what sends a parcel, trying a few times; one connection for each server."""
    from tidegauge_client.transport import Transport

    transports: dict[str, Transport] = {}
    patience = Backoff(first=0.2, longest=2.0, max_retries=5)

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    def post(parcel: Parcel) -> Answer:
        where = url or parcel.url
        if where not in transports:
            transports[where] = Transport(where, "-", "-", None, key, 30.0)
        return deliver(
            lambda: transports[where].post_batch(parcel.batch, path=parcel.path), patience, pause
        )

    return post


def _set_aside(root: Path, kind: str) -> list[Path]:
    return sorted((root / kind).glob(f"*{SUFFIX}"))


def _why(file: Path) -> str:
    try:
        why = json.loads(file.with_name(file.name + WHY).read_text())
    except (OSError, ValueError):
        return "no reason kept"
    if "status" in why:
        return f"{why['status']} ({why.get('code')}): {why.get('message')}"
    return str(why.get("why"))
