"""Where the lake stands, by path: a folder, or a prefix of an object store by Delta's own options.

Paths are relative to the lake's root, with ``/``. What is written is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from tidegauge.errors import BadInput, Unavailable
from tidegauge.lake.courier import Courier

#: What a URL of a lake may begin with.
SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
#: Options that are set unless somebody sets them: a store that is away is found out in a minute.
PATIENCE = {
    "connect_timeout": "5s",
    "timeout": "30s",
    "max_retries": "8",
    "retry_timeout": "60s",
}
_IMPATIENCE = {
    "connect_timeout": "3s",
    "timeout": "5s",
    "max_retries": "2",
    "retry_timeout": "6s",
}
#: After this long a store that has not answered is said to be away.
CHECK_SECONDS = 10.0
_CHUNK = 16 << 20
_IN_MEMORY = 64 << 20
_ATTEMPTS = 3
_URL = re.compile(r"([a-z0-9]+)://[A-Za-z0-9._~@/-]+")
_ARROW = re.compile(r"\x1b\[[0-9;]*m|↳")


class StoreError(Unavailable, OSError):
    """The object store, or the way to it, fails; says so to a person."""

    code = "lake_unavailable"


class Store(Protocol):
    """Files by path, wherever they are."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes.

        Raises
        ------
        FileNotFoundError, OSError
        """

    def write(self, path: str, content: bytes) -> None:
        """Write a file; it is there whole or not at all.

        Raises
        ------
        OSError
        """

    def delete(self, path: str) -> None:
        """Delete a file; one that is not there is fine.

        Raises
        ------
        OSError
        """

    def check(self, *, writing: bool = False) -> None:
        """Try to reach it.

        Parameters
        ----------
        writing : bool
            Write and delete a small file too.

        Raises
        ------
        Unavailable
            If it is not there, does not let us in, or does not answer.
        """

    def close(self) -> None:
        """Let go of what reaching it needs."""


def open_store(root: str, options: Mapping[str, str]) -> LocalStore | RemoteStore:
    """Return the store of a lake.

    Raises
    ------
    BadInput
        On a URL of a kind that is not known.

    Examples
    --------
    >>> open_store("s3://bucket/lake", {}).url
    's3://bucket/lake'
    >>> open_store("ftp://host/lake", {})
    Traceback (most recent call last):
        ...
    tidegauge.errors.BadInput: the lake cannot be at 'ftp://host/lake'; it is a folder, or a URL ...
    """
    if "://" not in root:
        return LocalStore(Path(root))
    found = _URL.fullmatch(root)
    if found is None or found[1] not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise BadInput(
            f"the lake cannot be at {root!r}; it is a folder, or a URL of plain characters that "
            f"begins with one of {known}",
            code="bad_lake",
        )
    return RemoteStore(root, options)


class LocalStore:
    """A folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = LocalStore(Path(folder.name))
    >>> store.write("a/b", b"content")
    >>> store.read("a/b")
    b'content'
    >>> folder.cleanup()
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        return (self.root / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """Write a file beside its place, then put it there."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, lambda file: file.write(content))

    def delete(self, path: str) -> None:
        """Delete a file; one that is not there is fine."""
        (self.root / path).unlink(missing_ok=True)

    def check(self, *, writing: bool = False) -> None:
        """Try to use the folder."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            next(self.root.iterdir(), None)
            if writing:
                self.write(_probe(), b"")
        except OSError as error:
            raise Unavailable(
                f"the lake's folder {self.root} cannot be used: {error.strerror}",
                code="lake_unavailable",
            ) from None
        if writing:
            self.delete(_probe())

    def close(self) -> None:
        """Nothing is held."""


class RemoteStore:
    """A prefix of an object store.

    Parameters
    ----------
    url : str
    options : mapping
        Options of ``deltalake``; :data:`PATIENCE` stands where they say nothing.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self.url = url
        self.options = {**PATIENCE, **options}
        self._courier = Courier(url, self.options)
        self._filesystems: dict[str, fs.FileSystem] = {}

    def read(self, path: str) -> bytes:
        """Return an object's bytes."""
        return self.read_known(path, self.size(path))

    def read_known(self, path: str, size: int) -> bytes:
        """Return the bytes of an object of a known size.

        Raises
        ------
        FileNotFoundError, OSError
        """
        parts: list[bytes] = []
        for attempt in attempts(_ATTEMPTS):
            with attempt, in_words(self.url):
                parts = list(self._chunks(self._knowing({path: size}), path, size))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def size(self, path: str) -> int:
        """Return how many bytes an object has.

        Raises
        ------
        FileNotFoundError, OSError
        """
        handler: Any = DeltaStorageHandler(self.url, self.options)
        info: Any = None
        for attempt in attempts(_ATTEMPTS):
            with attempt, in_words(self.url):
                info = handler.get_file_info([path])[0]
        if info.type != fs.FileType.File:
            raise FileNotFoundError(f"{self.url}/{path} is not there")
        return int(info.size)

    def fetch(self, path: str, size: int, target: Path) -> None:
        """Copy an object of a known size to a file, which is there whole or not at all.

        Raises
        ------
        FileNotFoundError, OSError
        """
        self.fetcher({path: size})(path, target)

    def fetcher(self, sizes: Mapping[str, int]) -> Callable[[str, Path], None]:
        """Return what copies objects of known sizes to files, by connections that they share.

        Parameters
        ----------
        sizes : mapping of str to int
            Bytes, by path.

        Returns
        -------
        callable
            Takes a path and the file to make, which is there whole or not at all; may be called
            from several threads. Raises FileNotFoundError, OSError.
        """
        handler = self._knowing(sizes)

        def fetch(path: str, target: Path) -> None:
            def fill(file: Any) -> None:
                for chunk in self._chunks(handler, path, sizes[path]):
                    file.write(chunk)

            for attempt in attempts(_ATTEMPTS):
                with attempt, in_words(self.url):
                    write_whole(target, fill)

        return fetch

    def write(self, path: str, content: bytes) -> None:
        """Write an object."""
        with in_words(self.url):
            self._courier.write(path, content)

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is fine."""
        with in_words(self.url):
            self._courier.delete(path)

    def filesystem(self, below: str) -> fs.FileSystem:
        """Return the store for Arrow, with paths below one of its folders."""
        found = self._filesystems.get(below)
        if found is None:
            found = self._filesystems[below] = fs.PyFileSystem(_Handler(self, below))
        return found

    def check(self, *, writing: bool = False) -> None:
        """Try to list a table that is not there; and to write."""
        failed: list[Exception] = []

        def attempt() -> None:
            try:
                DeltaTable(f"{self.url}/{_probe()}", storage_options=self._impatient())
            except TableNotFoundError:
                pass
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=attempt, name="check", daemon=True)
        thread.start()
        thread.join(CHECK_SECONDS)
        if thread.is_alive():
            raise StoreError(
                f"the lake at {self.url} has not answered for {CHECK_SECONDS:.0f} s; see to its "
                "address (the endpoint in the lake's options) and the network"
            )
        if failed:
            raise refusal(self.url, failed[0])
        if writing:
            courier = Courier(self.url, self._impatient())
            try:
                courier.write(_probe(), b"")
                courier.delete(_probe())
            except OSError as error:
                raise refusal(self.url, error) from None
            finally:
                courier.close()

    def close(self) -> None:
        """End the process that writes."""
        self._courier.close()

    def _impatient(self) -> dict[str, str]:
        return {**self.options, **_IMPATIENCE}

    def _knowing(self, sizes: Mapping[str, int]) -> Any:
        """Return a handler that opens objects without asking the store for their sizes.

        Asking for them would hold up all other threads.
        """
        return DeltaStorageHandler(self.url, self.options, dict(sizes))

    def _chunks(self, handler: Any, path: str, size: int) -> Iterator[bytes]:
        with contextlib.closing(handler.open_input_file(path)) as file:
            left = size
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(f"{self.url}/{path} ends {left} bytes before its {size}")
                left -= len(chunk)
                yield chunk


class _Handler(DeltaStorageHandler):
    """Delta's own file system, but for opening files, while it holds up all other threads."""

    def __init__(self, store: RemoteStore, below: str) -> None:
        super().__init__(f"{store.url}/{below}", store.options)
        self._store = store
        self._below = below

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Return a file that is in memory, unless it is large."""
        whole = f"{self._below}/{path}"
        size = self._store.size(whole)
        if size <= _IN_MEMORY:
            return pa.BufferReader(self._store.read_known(whole, size))
        known = DeltaStorageHandler(self._store.url, self._store.options, {whole: size})
        return known.open_input_file(whole)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """Return the same."""
        return self.open_input_file(path)

    def open_output_stream(
        self, path: str, metadata: Mapping[str, str] | None = None
    ) -> pa.PythonFile:
        """Return a file that is written once it is closed."""
        return pa.PythonFile(_Upload(self._store, f"{self._below}/{path}"), "w")


class _Upload:
    """A file for writing, kept in memory until it is closed."""

    def __init__(self, store: RemoteStore, path: str) -> None:
        self._store = store
        self._path = path
        self._parts: list[bytes] = []
        self._length = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        self._parts.append(content)
        self._length += len(content)
        return len(content)

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        pass

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            content = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
            self._store.write(self._path, content)


def write_whole(target: Path, fill: Any) -> None:
    """Have a file filled beside its place, see it on the disk, then put it there.

    Parameters
    ----------
    target : Path
        In a folder that is there.
    fill : callable
        Takes the file to write to.
    """
    half = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with half.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def attempts(most: int, pause: float = 0.2) -> Iterator[contextlib.AbstractContextManager[None]]:
    """Have a block run until it does not fail with an OSError, some times at most.

    Examples
    --------
    >>> left = [OSError("once"), OSError("twice")]
    >>> for attempt in attempts(3, pause=0):
    ...     with attempt:
    ...         if left:
    ...             raise left.pop()
    ...         print("done")
    done
    """
    done: list[bool] = []

    @contextlib.contextmanager
    def one(last: bool) -> Iterator[None]:
        try:
            yield
            done.append(True)
        except FileNotFoundError:
            raise
        except OSError:
            if last:
                raise

    for turn in range(most):
        if turn:
            time.sleep(pause * 2.0 ** (turn - 1))
        yield one(turn == most - 1)
        if done:
            return


@contextlib.contextmanager
def in_words(url: str) -> Iterator[None]:
    """Have errors of a store be told as :class:`StoreError`; that a file is not there stays so."""
    try:
        yield
    except (StoreError, FileNotFoundError):
        raise
    except OSError as error:
        raise refusal(url, error) from error


def refusal(url: str, error: Exception) -> StoreError:
    """Return what a store's error means to a person.

    Examples
    --------
    >>> print(refusal("s3://b/lake", OSError("… 404 Not Found … <Code>NoSuchBucket</Code>")))
    the lake at s3://b/lake: there is no such bucket; make it, or set another lake
    """
    text = str(error)
    for words, meaning in _MEANINGS:
        if any(word in text for word in words):
            return StoreError(f"the lake at {url}: {meaning}")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StoreError(f"files of the lake at {url} cannot be copied: {error.strerror}")
    lines = [_ARROW.sub("", line).strip() for line in text.splitlines()]
    told = ": ".join(line for line in lines if line)[:500]
    return StoreError(f"the lake at {url} does not answer: {told}")


_MEANINGS = (
    (
        ("NoSuchBucket", "bucket does not exist", "ContainerNotFound"),
        "there is no such bucket; make it, or set another lake",
    ),
    (
        ("169.254.169.254", "metadata.google.internal", "CredentialsNotLoaded"),
        "no credentials were found; set them in the lake's options or the environment, such as "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        ("URL scheme is not allowed",),
        "its endpoint is plain http, which is not allowed unless the options say so: "
        'AWS_ALLOW_HTTP (or allow_http): "true"',
    ),
    (
        ("403 Forbidden", "401 Unauthorized", "AccessDenied", "InvalidAccessKeyId"),
        "access is denied; see to the credentials, and that they may list, read, write and delete",
    ),
    (
        ("301 Moved", "PermanentRedirect", "AuthorizationHeaderMalformed"),
        "the bucket is in another region; set AWS_REGION in the lake's options",
    ),
)


def _probe() -> str:
    return f"_tidegauge_check_{os.getpid()}"
