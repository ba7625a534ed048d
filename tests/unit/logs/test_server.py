"""The search over HTTP, with a journalctl that answers what a test lays before it."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pigsty import logs, logserver

NAMES = [{"module": "node", "cls": "nodes", "ins": "a"}]


class World:
    """A store with files of hosts, and a journalctl that prints what stands in each."""

    def __init__(self, root: Path) -> None:
        self.folder, self.hosts = root / "logs", root / "hosts.json"
        self.folder.mkdir()
        self.rows: list[dict[str, Any]] = []
        self.program = root / "bin" / "journalctl"
        self.program.parent.mkdir()
        self.says('for word in "$@"; do case $word in --file=*) cat "${word#--file=}";; esac; done')

    def says(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)

    def host(self, number: int, *texts: str) -> None:
        source = f"127.0.1.{number}"
        self.rows.append({"ip": f"10.0.1.{number}", "node": f"n{number}", "source": source,
                          "names": NAMES})  # fmt: skip
        self.hosts.write_text(json.dumps(self.rows))
        now = int(time.time() * 1e6)
        lines = [json.dumps({"__REALTIME_TIMESTAMP": str(now - at * 1000), "MESSAGE": text})
                 for at, text in enumerate(texts)]  # fmt: skip
        (self.folder / f"remote-{source}.journal").write_text("\n".join(lines) + "\n")

    def store(self, seconds: float = 5.0) -> logserver.Store:
        return logserver.Store(self.folder, self.hosts, seconds)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(tmp_path)
    monkeypatch.setenv("PATH", f"{found.program.parent}:{os.environ['PATH']}")
    return found


@pytest.fixture
def ask(world: World) -> Iterator[Any]:
    handler = type("Bound", (logserver.Handler,), {"store": world.store()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def question(path: str) -> tuple[int, Any]:
            url = f"http://127.0.0.1:{server.server_port}{path}"
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        yield question
        server.shutdown()
        thread.join()


def query(**given: str) -> logs.Query:
    from datetime import UTC, datetime

    return logs.query(given, datetime.now(UTC))


def test_entries_of_all_hosts_come_in_the_order_of_time(world, ask):
    world.host(1, "newest", "older")
    world.host(2, "between")
    status, found = ask("/logs/api/search?limit=2")
    assert status == 200
    assert found["problems"] == []
    assert len(found["entries"]) == 2
    stamps = [entry["stamp"] for entry in found["entries"]]
    assert stamps == sorted(stamps)
    assert {entry["ip"] for entry in found["entries"]} <= {"10.0.1.1", "10.0.1.2"}


def test_whose_an_entry_is_follows_from_the_file(world, ask):
    world.host(1, "mine")
    world.host(12, "theirs")
    _, found = ask("/logs/api/search?ip=10.0.1.1")
    assert [entry["text"] for entry in found["entries"]] == ["mine"]


def test_files_that_were_put_aside_are_searched_too(world, ask):
    world.host(1, "now")
    file = world.folder / "remote-127.0.1.1.journal"
    file.rename(world.folder / "remote-127.0.1.1@0005-aa.journal")
    _, found = ask("/logs/api/search")
    assert [entry["text"] for entry in found["entries"]] == ["now"]


def test_a_host_that_has_sent_nothing_is_told_of(world, ask):
    world.host(1, "x")
    (world.folder / "remote-127.0.1.1.journal").unlink()
    _, found = ask("/logs/api/search")
    assert found == {"entries": [], "problems": ["n1: nothing has come from it yet"]}


def test_the_hosts_can_be_listed(world, ask):
    world.host(1, "x")
    assert ask("/logs/api/hosts") == (200, [{"ip": "10.0.1.1", "node": "n1", "names": NAMES}])


@pytest.mark.parametrize("path", ["/logs/api/search?level=bad", "/logs/api/search?since=soon"])
def test_a_bad_question_is_answered_with_what_is_wrong(world, ask, path):
    world.host(1, "x")
    status, found = ask(path)
    assert status == 400
    assert "level" in found["error"] or "moment" in found["error"]


def test_there_is_nothing_else(ask):
    assert ask("/logs/api/../../etc/passwd")[0] == 404
    assert ask("/")[0] == 404


def test_a_pattern_that_journalctl_does_not_understand(world, ask):
    world.host(1, "x")
    world.says("echo 'Bad pattern \"(\": missing closing parenthesis' >&2; exit 1")
    status, found = ask("/logs/api/search?grep=(")
    assert status == 400
    assert "missing closing parenthesis" in found["error"]


def test_a_search_that_takes_too_long_says_what_it_left_out(world):
    world.host(1, "x")
    world.says("exec sleep 30")
    begin = time.monotonic()
    found = world.store(seconds=0.3).search(query())
    assert time.monotonic() - begin < 5
    assert found["problems"] == ["n1: not looked through within 0.3 s"]


def test_an_endless_answer_is_cut(world):
    world.host(1, "again")
    file = world.folder / "remote-127.0.1.1.journal"
    world.says(f"while :; do cat {file}; done")
    found = world.store().search(query(limit="5"))
    assert len(found["entries"]) == 1, "copies of one entry are one"
    assert found["problems"] == []


def test_without_the_list_of_hosts_it_says_so(world, ask):
    status, found = ask("/logs/api/search")
    assert status == 500
    assert "hosts.json" in found["error"]
