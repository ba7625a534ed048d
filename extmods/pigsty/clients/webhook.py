"""The small web server on the admin node's loopback to which Alertmanager tells its alerts."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from pigsty import alerting
from pigsty.alerting import AlertError, Told
from pigsty.deadlines import DEADLINES

log = logging.getLogger(__name__)


class Server(HTTPServer):
    """Takes messages of Alertmanager, one after the other, from who knows the token.

    Args:
        token: what shows that it is Alertmanager.
        take: is told the alerts of a message.
        beat: is called every few seconds.
        port: on the loopback; 0 for any.
    """

    def __init__(
        self,
        token: str,
        take: Callable[[Iterable[Told]], None],
        beat: Callable[[], None] = lambda: None,
        port: int = alerting.PORT,
    ) -> None:
        self.token, self.take, self._beat = token, take, beat
        super().__init__(("127.0.0.1", port), _Handler)

    def service_actions(self) -> None:
        """Show that it waits (called by the loop of `serve_forever`)."""
        self._beat()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in a line what a traceback would say in twenty."""
        log.warning("a message of Alertmanager was not taken", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    #: Of the connection: who stalls is let go.
    timeout = DEADLINES["alerts.message"]
    server: Server
    server_version, sys_version = "pigsty", ""

    def do_POST(self) -> None:
        status, text = self._taken()
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _taken(self) -> tuple[HTTPStatus, str]:
        given = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            return HTTPStatus.UNAUTHORIZED, "the token is another one"
        if self.path != alerting.PATH:
            return HTTPStatus.NOT_FOUND, f"there is only {alerting.PATH}"
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return HTTPStatus.LENGTH_REQUIRED, "how long is it?"
        if int(length) > alerting.LIMIT:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {alerting.LIMIT} bytes"
        try:
            self.server.take(alerting.read(self.rfile.read(int(length))))
        except AlertError as error:
            return HTTPStatus.BAD_REQUEST, str(error)
        return HTTPStatus.OK, "taken"

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the master's log to others."""
