"""The ceiling: the server's own loop, parser and protocol answering 202 without doing anything.

`python -m benchmarks.ceiling` prints its address, and serves until it is told to stop. What the
real server reaches of this is the share that storing leaves.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from tidegauge.server.connections import http_options
from tidegauge.server.serve import listen

_ANSWER = b'{"accepted":1,"repeated":0,"quarantined":0,"errors":[]}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_ANSWER)).encode()),
]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ANSWER})


def main() -> None:
    """Serve until a signal comes."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    listener = listen("127.0.0.1", port)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, lifespan="off", log_config=None, **http_options())
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
