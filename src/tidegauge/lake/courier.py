"""Writing to an object store by path, from a process of its own.

Reading and committing by ``deltalake`` let other threads run; opening an object for writing does
not: it holds the interpreter's lock until the store has answered, and with a store that is slow or
away nothing else of the server would move. So one small process does that, fed through a pipe. It
ends with the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from typing import Any, BinaryIO

import orjson
from deltalake._internal import DeltaFileSystemHandler

_LENGTHS = struct.Struct(">IQ")
_THREADS = 8
_ATTEMPTS = 4
_FIRST_PAUSE = 0.2
#: No call takes longer, its repetitions included, or the process is ended.
_PATIENCE = 180.0


class Courier:
    """Writes and deletes objects under a URL; the process starts with the first of them.

    Parameters
    ----------
    url : str
    options : mapping
        Options of ``deltalake`` for the store.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._greeting = orjson.dumps({"url": url, "options": dict(options)})
        self._guard = threading.Lock()
        self._channel: _Channel | None = None
        self._closed = False

    def write(self, path: str, content: Any) -> None:
        """Write an object; it is there whole or not at all.

        Parameters
        ----------
        path : str
            Below the URL.
        content : buffer

        Raises
        ------
        OSError
            If the store did not take it, or it is not known whether it did.
        """
        self._ask("write", path, content)

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is fine.

        Raises
        ------
        OSError
        """
        self._ask("delete", path, b"")

    def close(self) -> None:
        """End the process; what still runs fails."""
        with self._guard:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _ask(self, what: str, path: str, content: Any) -> None:
        with self._guard:
            if self._closed:
                raise OSError("the store is closed")
            if self._channel is None or self._channel.ended:
                self._channel = _Channel(self._greeting)
            channel = self._channel
        try:
            channel.ask(what, path, memoryview(content).cast("B")).result(_PATIENCE)
        except Late:
            channel.kill()
            raise OSError(f"{path}: the store did not answer for {_PATIENCE:.0f} s") from None


class _Channel:
    """One process, and who waits for what it does."""

    def __init__(self, greeting: bytes) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tidegauge.lake.courier"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[None]] = {}
        self._guard = threading.Lock()
        self._sending = threading.Lock()
        self.ended = False
        self._send(greeting, memoryview(b""))
        self._thread = threading.Thread(target=self._listen, name="courier", daemon=True)
        self._thread.start()

    def ask(self, what: str, path: str, content: memoryview) -> Future[None]:
        """Have something done."""
        future: Future[None] = Future()
        with self._guard:
            number = next(self._numbers)
            if self.ended:
                future.set_exception(_gone())
                return future
            self._waiting[number] = future
        # If the process is gone, whoever listens to it says so to the future.
        with contextlib.suppress(OSError):
            self._send(orjson.dumps({"id": number, "do": what, "path": path}), content)
        return future

    def kill(self) -> None:
        """End it at once; whoever waits is told."""
        self._process.kill()

    def close(self) -> None:
        """Have it end; at once, if it does not within 5 s."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._thread.join(5)
        self._process.kill()
        self._thread.join()

    def _send(self, header: bytes, content: memoryview) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with self._sending:
            pipe.write(_LENGTHS.pack(len(header), len(content)) + header)
            pipe.write(content)
            pipe.flush()

    def _listen(self) -> None:
        """Hand answers to those who wait, until the process has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = orjson.loads(line)
            with self._guard:
                future = self._waiting.pop(answer["id"])
            if answer["error"] is None:
                future.set_result(None)
            else:
                future.set_exception(OSError(answer["error"]))
        self._process.wait()
        self._process.stdout.close()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with self._guard:
            self.ended = True
            lost, self._waiting = self._waiting, {}
        for future in lost.values():
            future.set_exception(_gone())


def _gone() -> OSError:
    return OSError("the process that writes to the object store has ended")


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Do what is asked for on ``source`` until it ends; answer on ``sink``, a line for each."""
    greeting, _ = _frame(source) or (b"{}", b"")
    told = orjson.loads(greeting)
    if not told:
        return
    # Not its dress for Arrow, `DeltaStorageHandler`, whose files do not take Arrow's buffers.
    handler = DeltaFileSystemHandler(told["url"], told["options"])
    guard = threading.Lock()

    def work(header: bytes, content: bytes) -> None:
        asked = orjson.loads(header)
        error = _done(handler, asked["do"], asked["path"], content)
        with guard, contextlib.suppress(OSError):
            sink.write(orjson.dumps({"id": asked["id"], "error": error}) + b"\n")
            sink.flush()

    pool = ThreadPoolExecutor(_THREADS)
    while (frame := _frame(source)) is not None:
        pool.submit(work, *frame)


def _done(handler: Any, what: str, path: str, content: bytes) -> str | None:
    """Do one thing, some times if need be: each is the same however often it is done."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_FIRST_PAUSE * 2.0 ** (attempt - 1))
        try:
            if what == "delete":
                with contextlib.suppress(FileNotFoundError):
                    handler.delete_file(path)
                return None
            file = handler.open_output_stream(path)
            file.write(content)
            file.close()
            return None
        except Exception as error:
            found = str(error) or repr(error)
    return found


def _frame(source: BinaryIO) -> tuple[bytes, bytes] | None:
    lengths = source.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header, body = _LENGTHS.unpack(lengths)
    return source.read(header), source.read(body)


if __name__ == "__main__":
    # What stops the server stops this process too, once the server has let go of the pipe.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # Nobody waits for what is still being done.
