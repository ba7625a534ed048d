"""The search in the logs of an infra node, asked through its portal."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pigsty.clients import portal
from pigsty.clients.portal import CA
from pigsty.deadlines import DEADLINES
from pigsty.errors import PigstyError
from pigsty.logserver import PREFIX


class LogsError(PigstyError):
    """The search can't be reached; the text says where and why."""


class Refused(PigstyError):
    """The search doesn't understand the question; the text says what in it."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The search behind a portal.

    Attributes:
        host: address of the infra node.
        port: of its portal.
        tls: whether the portal speaks TLS.
        ca: file of the CA's certificate.
        timeout: seconds for one question.
    """

    host: str
    port: int = 443
    tls: bool = True
    ca: Path = CA
    timeout: float = DEADLINES["logs.search"]

    def search(self, **parameters: str) -> dict[str, Any]:
        """Return ``entries``, the newest last, and ``problems``: why some may lack.

        Args:
            parameters: see :func:`pigsty.logs.query`.

        Raises:
            LogsError: the search can't be reached.
            Refused: a parameter says what can't be.
        """
        ca = self.ca if self.tls else None
        connection = portal.connection(self.host, self.port, self.timeout, ca, LogsError)
        try:
            connection.request("GET", f"{PREFIX}/search?{urlencode(parameters)}")
            answer = connection.getresponse()
            text = answer.read()
            body = json.loads(text) if answer.headers.get_content_subtype() == "json" else {}
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise LogsError(f"the logs of {self.host}: {error or type(error)}") from error
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.BAD_REQUEST and "error" in body:
            raise Refused(body["error"])
        if answer.status != http.HTTPStatus.OK:
            said = body.get("error") or f"{answer.status} {answer.reason}"
            raise LogsError(f"the logs of {self.host}: {said}")
        return dict(body)
