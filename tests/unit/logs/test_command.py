"""`pigsty logs`: what it asks, and how it tells what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner, Result

from pigsty import topology
from pigsty.clients.logs import Logs, LogsError, Refused
from pigsty_cli import watching
from pigsty_cli.commands import logs
from pigsty_cli.errors import CliError

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"


def entry(stamp: int, text: str = "said", **other: str) -> dict[str, Any]:
    names = {"cls": "pg-test", "ins": "pg-test-1", "ip": "10.10.10.11", "node": "pg-test-1"}
    time = f"2026-05-01 12:00:{stamp:02d}.000"
    return {"stamp": stamp, "time": time, "unit": "postgres", "level": "err", "text": text,
            **names, **other}  # fmt: skip


class Answers:
    """Infra nodes that answer what a test lays before them; they remember what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.given: list[Any] = []

    def __call__(self, _topology: Any, question: dict[str, str]) -> dict[str, Any]:
        self.asked.append(dict(question))
        answer = self.given.pop(0) if self.given else []
        if isinstance(answer, BaseException):
            raise answer
        return {"entries": answer, "problems": []} if isinstance(answer, list) else answer


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    found = Answers()
    monkeypatch.setattr(watching, "ask_logs", found)
    return found


def run(*words: str) -> Result:
    return CliRunner().invoke(logs.command, [*words, "-i", str(SANDBOX)], catch_exceptions=False)


def test_an_entry_is_one_line(answers):
    answers.given = [[entry(7, "first\n  second\n\nthird")]]
    done = run()
    assert done.stdout == (
        "2026-05-01 12:00:07.000  pg-test-1  postgres  err  first ⏎ second ⏎ third\n"
    )


def test_what_is_asked(answers):
    run("pg-test", "-u", "patroni", "-g", "a|b", "-l", "err", "--since", "2h", "--until", "1h",
        "-n", "7")  # fmt: skip
    assert answers.asked == [
        {"target": "pg-test", "unit": "patroni", "grep": "a|b", "level": "err", "since": "2h",
         "until": "1h", "limit": "7"},
    ]  # fmt: skip


def test_several_targets_are_one_list_each_entry_once(answers):
    answers.given = [[entry(1), entry(3)], [entry(2), entry(3)]]
    done = run("pg-test", "10.10.10.11", "-o", "json")
    assert [found["stamp"] for found in json.loads(done.stdout)] == [1, 2, 3]
    assert [asked["target"] for asked in answers.asked] == ["pg-test", "10.10.10.11"]


def test_a_target_that_is_not_there_is_refused_before_anything_is_asked(answers):
    with pytest.raises(Exception, match="did you mean pg-test"):
        run("pg-tset")
    assert answers.asked == []


def test_what_may_lack_is_said_once(answers):
    said = {"entries": [], "problems": ["a: nothing has come from it yet"]}
    answers.given = [said, said]
    done = run("pg-test-1", "pg-test-2")
    assert done.stderr.count("warning: a: nothing has come") == 1
    assert "Nothing was found." in done.stderr
    assert done.stdout == ""


def test_follow_tells_each_entry_once_and_goes_on_when_the_infra_node_is_away(answers, monkeypatch):
    monkeypatch.setattr(logs, "PAUSE", 0.0)
    answers.given = [
        [entry(1)], [entry(1), entry(2)], LogsError("away"), [entry(2), entry(3)],
        KeyboardInterrupt(),
    ]  # fmt: skip
    done = CliRunner().invoke(logs.command, ["--follow", "-o", "json", "-i", str(SANDBOX)])
    assert [json.loads(line)["stamp"] for line in done.stdout.splitlines()] == [1, 2, 3]
    assert "away; trying again" in done.stderr
    assert answers.asked[1]["since"] == f"{logs.OVERLAP}s"


def test_follow_has_no_end(answers):
    done = run("--follow", "--until", "1h")
    assert done.exit_code == 2
    assert answers.asked == []


@pytest.fixture
def portal() -> Iterator[Callable[[int, str], Logs]]:
    """A portal that answers with a status and a text; it remembers the address that was asked."""
    servers: list[HTTPServer] = []

    def make(status: int, text: str) -> Logs:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = {"path": url.path, **dict(parse_qsl(url.query))}
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if "<" in text else "application/json")
                self.end_headers()
                self.wfile.write(text.replace("ASKED", json.dumps(asked)).encode())

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return Logs("127.0.0.1", server.server_port, tls=False, timeout=5)

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_portal_is_asked_below_its_path(portal):
    found = portal(200, '{"entries": [ASKED], "problems": []}').search(target="a", grep="x y&z")
    assert found["entries"] == [{"path": "/logs/api/search", "target": "a", "grep": "x y&z"}]


@pytest.mark.parametrize(
    ("status", "text", "error", "word"),
    [
        (400, '{"error": "grep: no"}', Refused, "grep: no"),
        (503, '{"error": "too many"}', LogsError, "too many"),
        (502, "<html>Bad Gateway</html>", LogsError, "502 Bad Gateway"),
        (401, "<html>", LogsError, "401"),
        (200, "{", LogsError, "127.0.0.1"),
    ],
)
def test_what_the_portal_says_otherwise_is_told(portal, status, text, error, word):
    with pytest.raises(error, match=word):
        portal(status, text).search()


def test_the_first_infra_node_that_answers_speaks(monkeypatch):
    monkeypatch.setattr(Logs, "search", lambda self, **_: {"entries": [self.host], "problems": []})
    found = watching.ask_logs(topology.load(SANDBOX), {})
    assert found["entries"] == ["10.10.10.10"]


@pytest.mark.parametrize(
    ("failure", "error"), [(LogsError("silent"), LogsError), (Refused("grep: no"), CliError)]
)
def test_when_none_answers_it_says_why(monkeypatch, failure, error):
    def search(_self: Logs, **_: str) -> Any:
        raise failure

    monkeypatch.setattr(Logs, "search", search)
    with pytest.raises(error, match=str(failure)):
        watching.ask_logs(topology.load(SANDBOX), {})
