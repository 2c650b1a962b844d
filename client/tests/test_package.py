"""The package as others meet it: what it exports, what it costs to import, what it needs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import tidegauge_client

HEAVY = {"httpx", "pyarrow", "pandas", "numpy", "duckdb", "scipy", "tidegauge"}


def test_the_exported_names_are_these():
    assert tidegauge_client.__all__ == [
        "Client",
        "ClientError",
        "ClosedError",
        "RefusedError",
        "Stats",
        "UnreachableError",
        "__version__",
    ]


def test_importing_it_brings_nothing_heavy_along():
    script = "import sys, tidegauge_client; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert not HEAVY & set(result.stdout.split())


def test_the_first_record_imports_nothing(server):
    script = """
import sys, tidegauge_client
client = tidegauge_client.Client(sys.argv[1], model="m", key="k", flush_interval=0)
before = set(sys.modules)
client.log_one("a", {"age": float("nan")})
assert client.flush(10)
print(*set(sys.modules) - before)
"""
    command = [sys.executable, "-c", script, server.url]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert server.ids() == ["a"]
    assert result.stdout.split() == []


def test_importing_it_takes_under_a_fifth_of_a_second():
    script = "import os, tidegauge_client; print(sum(os.times()[:2]))"
    seconds = [
        float(
            subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout
        )
        for _ in range(3)
    ]
    assert min(seconds) < 0.2, "processor time of the whole process, which neighbours don't change"


def test_it_needs_httpx_and_nothing_else():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert [need.split(">")[0] for need in project["dependencies"]] == ["httpx"]
    assert list(project["optional-dependencies"]) == ["arrow"]


def test_it_is_typed():
    assert os.path.exists(os.path.join(os.path.dirname(tidegauge_client.__file__), "py.typed"))
