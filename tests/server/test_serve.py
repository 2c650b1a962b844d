from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from harness import Api, Process, records

from tidegauge.errors import BadInput
from tidegauge.server.serve import listen
from tidegauge.server.settings import Settings, variable


def test_the_start_line_names_the_real_port_and_a_signal_ends_it_cleanly(
    start_process: Callable[..., Process],
) -> None:
    server = start_process(TIDEGAUGE_FLUSH_INTERVAL="60")
    assert httpx.get(f"{server.address}/readyz").json()["status"] == "ready"
    path = f"{server.address}/v1/projects/default/models/m/predictions"
    assert httpx.post(path, json=records(5)).status_code == 202
    code, out, err = server.stop(signal.SIGTERM)
    # On a busy machine it may say, rightly, that its event loop ran late.
    said = [line for line in err.splitlines() if "event_loop" not in line]
    assert (code, said) == (0, [])
    assert out.splitlines()[-1] == "Tidegauge has stopped."
    again = start_process()
    with httpx.Client(base_url=again.address) as http:
        assert Api(http, "m").record("p4", patience=0.5)
    assert again.stop(signal.SIGINT)[0] == 0


def test_a_data_folder_has_one_server(start_process: Callable[..., Process]) -> None:
    start_process()
    code, _, err = start_process().end()
    assert code == 2
    assert "another process holds" in err and "Traceback" not in err


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    import subprocess
    import sys

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "tidegauge.cli", "serve", "--port", str(port)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=30,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"tidegauge: error: port {port} of 127.0.0.1 is taken")


def test_settings_come_from_arguments_then_variables_then_defaults() -> None:
    environment = {"TIDEGAUGE_PORT": "9000", "TIDEGAUGE_WINDOW": "6h", "TIDEGAUGE_ELSE": "x"}
    settings = Settings.load(environment, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "127.0.0.1")
    assert settings.window.total_seconds() == 6 * 3600
    assert settings.flush_interval.total_seconds() == 2


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "99999"), ("WINDOW", "soon"), ("WINDOW", "0"), ("MAX_BODY", "-1")]
)
def test_a_wrong_setting_is_named_as_it_was_given(name: str, value: str) -> None:
    with pytest.raises(BadInput, match=f"^TIDEGAUGE_{name}: "):
        Settings.load({f"TIDEGAUGE_{name}": value})


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    description = Settings.model_fields[name].description or ""
    assert description.endswith(".") and len(description) > 20
    assert variable(name) == f"TIDEGAUGE_{name.upper()}"


def test_small_answers_are_sent_at_once() -> None:
    listener = listen("127.0.0.1", 0)
    assert listener.proto == socket.IPPROTO_TCP, "asyncio would leave Nagle's delay on"
    listener.close()
