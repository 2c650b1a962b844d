"""``tidegauge serve``: one process with API, pages, flusher and scheduler, until told to stop."""

from __future__ import annotations

import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from tidegauge.errors import Conflict
from tidegauge.keeping.installation import refuse_unfinished
from tidegauge.server import logs, tracing
from tidegauge.server.app import create_app
from tidegauge.server.connections import cut_off_late, http_options, take_descriptors
from tidegauge.server.origins import is_loopback
from tidegauge.server.settings import Settings, shown_host
from tidegauge.server.stopping import GentleServer

_BACKLOG = 2048
#: New objects before a collection, then collections of each generation before one of the next.
_COLLECT_EVERY = (2_000, 10, 10)
#: For how many seconds a thread may keep the interpreter while another waits for it. The event loop
#: waits for it several times a request: Python's own 5 ms each are most of what a request takes.
_TURN = 0.0005


def serve(settings: Settings, say: Callable[[str], None] | None = None) -> None:
    """Run the server until SIGINT or SIGTERM, then end what runs, flush and return.

    It answers as soon as it listens: alive, but not ready until everything is open.

    Parameters
    ----------
    settings : Settings
    say : callable, optional
        Takes the lines for a person; prints them by default.

    Raises
    ------
    Conflict
        If the port is taken (``port_taken``), another process holds the data folder, or a restore
        into it was cut off.
    """
    say = say or _say
    refuse_unfinished(settings.data)
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    with contextlib.ExitStack() as stack:
        stack.callback(logs.set_up(settings))
        stack.callback(gc.unfreeze)
        take_descriptors()
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_TURN)
        stack.callback(tracing.set_up(settings.traces, settings.trace_ratio))
        listener = stack.enter_context(contextlib.closing(listen(settings.host, settings.port)))
        port = listener.getsockname()[1]
        address = f"http://{shown_host(settings.host)}:{port}"

        def started() -> None:
            _spare_collector()
            say(f"Tidegauge listens on {address}  (data in {settings.data.absolute()})")
            if not is_loopback(settings.host):
                say("Nothing is authenticated: whoever reaches this address may read and write.")

        app = create_app(settings, on_start=started, on_failure=failed)
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=max(1, int(settings.drain.total_seconds())),
                **http_options(),
            ),
            settings.request_timeout.total_seconds(),
        )
        server.life, server.delay = app.state.life, settings.stop_delay.total_seconds()
        try:
            server.run(sockets=[listener])
        finally:
            if app.state.runtime is not None:
                app.state.runtime.stop()  # where the server was made to end at once
        if failures:
            raise failures[0]
        say("Tidegauge has stopped.")


def _spare_collector() -> None:
    """Have the collector of cycles look no more at what was imported and opened until now.

    It would go through all of it again and again while requests come, 100 ms each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)


class _Server(GentleServer):
    """Ends on a signal as on any other reason: uvicorn's own would raise the signal once more.

    Cuts off the clients that take too long to send what they owe.
    """

    def __init__(self, config: uvicorn.Config, request_timeout: float) -> None:
        super().__init__(config)
        self._request_timeout = request_timeout

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections, once a second."""
        if counter % 10 == 0:
            cut_off_late(self.server_state.connections, self._request_timeout)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Have signals end the server for as long as it runs."""
        before = {
            sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises
    ------
    Conflict
        With the code ``port_taken`` or ``bad_address``.

    Examples
    --------
    >>> listener = listen("127.0.0.1", 0)
    >>> try:
    ...     listen("127.0.0.1", listener.getsockname()[1])
    ... except Conflict as error:
    ...     print(error.code)
    port_taken
    >>> listener.close()
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Named as TCP: only then does asyncio send small answers at once (TCP_NODELAY), rather
        # than after the 40 ms that the other side may take to acknowledge the part before.
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _no_address(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.set_inheritable(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} of {host} is taken; stop what listens there, or give another with "
                "--port (0 takes a free one)",
                code="port_taken",
            ) from None
        raise _no_address(host, port, error) from None
    return listener


def _no_address(host: str, port: int, error: OSError) -> Conflict:
    return Conflict(
        f"cannot listen on {host}, port {port}: {error.strerror or error}", code="bad_address"
    )


def _say(line: str) -> None:
    print(line, flush=True)
