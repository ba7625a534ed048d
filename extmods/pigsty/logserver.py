"""The search in the logs of an infra node: a small HTTP service on the loopback, behind the portal.

It only reads: it runs journalctl over the files that nodes have sent, a process for each host, so
that whose entry it is follows from the file, and not from what the entry says.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pigsty import logs

#: Where the portal passes questions on to.
PREFIX = "/logs/api"
#: Seconds for one search; what was found until then is answered, and said to be incomplete.
SECONDS = 10.0
#: How many searches go on at once, and how many hosts of one are looked at side by side.
SEARCHES, HOSTS = 4, 4
#: How many bytes of journalctl's answer are read for one host.
BYTES = 64 * 1024 * 1024
#: A line that is longer is read up to here, and isn't an entry that can be shown.
LINE = 4 * 1024 * 1024


class Store:
    """The logs of an infra node.

    Args:
        folder: where the journal files are.
        hosts: the file that says whose they are.
        seconds: how long a search may take.
    """

    def __init__(self, folder: Path, hosts: Path, seconds: float = SECONDS) -> None:
        self._folder, self._file, self._seconds = folder, hosts, seconds

    def hosts(self) -> list[logs.Host]:
        """Return the hosts that the inventory has now."""
        return logs.hosts(self._file.read_text("utf-8"))

    def search(self, query: logs.Query) -> dict[str, Any]:
        """Return ``entries``, the newest of them last, and ``problems``: why some may lack.

        Raises:
            logs.QueryError: journalctl doesn't understand the pattern.
        """
        asked = [(host, modules) for host in self.hosts() if (modules := logs.wanted(query, host))]
        end = time.monotonic() + self._seconds
        problems: list[str] = []
        found: list[logs.Entry] = []

        def look(one: tuple[logs.Host, set[str]]) -> tuple[list[logs.Entry], str]:
            return self._host(query, one[0], one[1], end)

        with ThreadPoolExecutor(HOSTS) as pool:
            for entries, problem in pool.map(look, asked):
                found = logs.newest([*found, *entries], query.limit)
                problems += [problem] if problem else []
        return {"entries": [entry.to_dict() for entry in found], "problems": problems}

    def _host(
        self, query: logs.Query, host: logs.Host, modules: set[str], end: float
    ) -> tuple[list[logs.Entry], str]:
        """Return the newest entries of one host, and what was in the way."""
        files = sorted(str(file) for file in self._folder.glob(f"remote-{host.source}[.@]*"))
        left = end - time.monotonic()
        late = f"{host.node or host.ip}: not looked through within {self._seconds:g} s"
        if not files:
            return [], f"{host.node or host.ip}: nothing has come from it yet"
        if left <= 0:
            return [], late
        process = subprocess.Popen(
            logs.command(query, modules, files), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        timer = threading.Timer(left, process.kill)
        timer.start()
        found: list[logs.Entry] = []
        size = 0
        try:
            assert process.stdout is not None and process.stderr is not None
            while len(found) < query.limit and size < BYTES:
                line = process.stdout.readline(LINE)
                if not line:
                    break
                size += len(line)
                entry = logs.entry(line, host)
                if entry is not None and logs.accepts(query, modules, host, entry):
                    found.append(entry)
            else:
                process.kill()
            complaint = process.stderr.read(2000).decode(errors="replace").strip()
            code = process.wait()
        finally:
            timer.cancel()
            process.kill()
        if time.monotonic() >= end:
            return found, late
        if code == 1 and complaint:
            if "pattern" in complaint:
                raise logs.QueryError(f"grep: {complaint.splitlines()[-1]}")
            return found, f"{host.node or host.ip}: {complaint.splitlines()[-1]}"
        return found, ""


class Handler(BaseHTTPRequestHandler):
    """Answers ``search`` and ``hosts`` below :data:`PREFIX`, in JSON."""

    store: Store
    searches = threading.BoundedSemaphore(SEARCHES)
    timeout = 30
    server_version = "pigsty-logs"

    def do_GET(self) -> None:
        """Answer a question."""
        url = urlsplit(self.path)
        try:
            if url.path == f"{PREFIX}/hosts":
                self._answer(200, [self._host(host) for host in self.store.hosts()])
            elif url.path == f"{PREFIX}/search":
                self._search(dict(parse_qsl(url.query, max_num_fields=20)))
            else:
                self._answer(404, {"error": f"there is nothing at {url.path}"})
        except ValueError as error:
            self._answer(400, {"error": str(error)})
        except OSError as error:
            self._answer(500, {"error": f"{error.filename or 'the logs'}: {error.strerror}"})

    def _search(self, given: dict[str, str]) -> None:
        query = logs.query(given, datetime.now(UTC))
        if not self.searches.acquire(timeout=SECONDS):
            self._answer(503, {"error": "too many searches go on: try again"})
            return
        try:
            self._answer(200, self.store.search(query))
        finally:
            self.searches.release()

    def _answer(self, status: int, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def _host(host: logs.Host) -> dict[str, Any]:
        names = [{"module": n.module, "cls": n.cls, "ins": n.ins} for n in host.names]
        return {"ip": host.ip, "node": host.node, "names": names}

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the portal has its own log of requests, and ours would be searched too."""


def main(arguments: list[str]) -> None:
    """Serve until the process ends.

    Args:
        arguments: the port, the folder of the journal files, the file of the hosts.
    """
    port, folder, hosts = arguments
    handler = type("Bound", (Handler,), {"store": Store(Path(folder), Path(hosts))})
    with ThreadingHTTPServer(("127.0.0.1", int(port)), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
