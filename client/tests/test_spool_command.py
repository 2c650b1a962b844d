"""``python -m tidegauge_client spool``: looking at a spool, and sending it by hand."""

import subprocess
import sys

import pytest


@pytest.fixture
def command(tmp_path):
    def command(*arguments, code=0):
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "tidegauge_client",
                "spool",
                str(tmp_path / "spool"),
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr

    return command


def leave(server, spooling, *names, **options):
    server.vanish()
    client = spooling(batch_records=1, **options)
    for name in names:
        client.log_one(name)
    client.close(timeout=0)
    server.appear()


def test_a_list_shows_what_waits_for_whom(server, spooling, command):
    leave(server, spooling, "a", "b")
    living = spooling(model="other")
    server.vanish()
    living.log_one("c")
    while not living.stats.spooled:
        pass
    out = command()
    assert "2 batches, 2 records, 0.0 MiB, oldest" in out
    assert "left by a process that ended" in out
    assert "1 batches, 1 records" in out
    assert "in use" in out


def test_sending_by_hand_empties_the_folders_that_no_process_holds(
    server, spooling, command, tmp_path
):
    leave(server, spooling, "a", "b", version="3", key="k")
    leave(server, spooling, "c", model="other")
    assert "sent 3 batches (3 records); set aside 0" in command("send", "--key", "k")
    assert sorted(server.ids()) == ["a", "b", "c"]
    assert {r.path.split("/")[-2] for r in server.requests} == {"m", "other"}
    assert server.requests[0].query == {"version": ["3"]}
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert list((tmp_path / "spool").iterdir()) == []


def test_sending_by_hand_leaves_a_living_process_alone(server, spooling, command):
    server.vanish()
    client = spooling()
    client.log_one("a")
    while not client.stats.spooled:
        pass
    assert "left 1 folders alone: their processes live" in command("send")
    server.appear()
    assert client.flush(10)
    assert server.ids() == ["a"]


def test_a_moved_server_gets_what_waited_for_the_old_address(server, spooling, command):
    leave(server, spooling, "a")
    old = server.url
    server.vanish()
    server.port = 0
    server.appear()
    assert server.url != old
    assert "sent 1 batches" in command("send", "--url", server.url)
    assert server.ids() == ["a"]


def test_refused_and_damaged_ones_are_shown_and_the_refused_can_be_sent_again(
    server, spooling, command, tmp_path
):
    leave(server, spooling, "a", "b")
    bad = sorted((tmp_path / "spool").glob("*/*.batch"))[1]
    bad.write_bytes(bad.read_bytes()[:-1])
    server.then_reply(401, b'{"code": "no_key", "message": "a key is needed"}')
    out = command("send", code=1)
    assert "set aside in refused/" in out
    assert "set aside in damaged/" in out
    out = command()
    assert "401 (no_key): a key is needed" in out
    assert "its first line says" in out
    assert "sent 1 batches (1 records)" in command("send", "--refused")
    assert server.ids() == ["a"]
    assert not list((tmp_path / "spool" / "refused").iterdir())


def test_without_a_server_it_says_so_and_keeps_all(server, spooling, command, tmp_path):
    leave(server, spooling, "a")
    server.vanish()
    assert "stopped: gave up after" in command("send", code=1)
    assert len(list((tmp_path / "spool").glob("*/*.batch"))) == 1


def test_a_folder_that_is_not_there_is_named(command):
    assert "there is no folder" in command(code=2)
