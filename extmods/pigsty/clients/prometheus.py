"""Prometheus of an infra node, asked through the portal: what it looks at, and what it found."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pigsty import alerting
from pigsty.alerting import Firing
from pigsty.clients import portal
from pigsty.clients.portal import CA
from pigsty.deadlines import DEADLINES
from pigsty.errors import PigstyError
from pigsty.render.targets import PORTAL, PROMETHEUS_PORT


class PrometheusError(PigstyError):
    """Prometheus can't be reached, or refuses the question; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Prometheus behind a portal.

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
    timeout: float = DEADLINES["monitoring.request"]

    def targets(self) -> list[dict[str, Any]]:
        """Return what it looks at, as its API gives it: labels, health, last error …"""
        found: list[dict[str, Any]] = self._data("targets", state="active")["activeTargets"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing."""
        found: list[dict[str, Any]] = self._data("alerts")["alerts"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return its rule groups."""
        found: list[dict[str, Any]] = self._data("rules")["groups"]
        return found

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression now: ``metric`` and ``value`` each."""
        found: list[dict[str, Any]] = self._data("query", query=expression)["result"]
        return found

    def _data(self, what: str, **parameters: str) -> Any:
        path = f"{PORTAL['prometheus']}/api/v1/{what}?{urlencode(parameters)}"
        ca = self.ca if self.tls else None
        connection = portal.connection(self.host, self.port, self.timeout, ca, PrometheusError)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
            body = json.loads(text) if answer.status < 500 else {}
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise PrometheusError(f"Prometheus of {self.host}: {error or type(error)}") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            said = body.get("error") or f"{answer.status} {answer.reason}"
            raise PrometheusError(f"Prometheus of {self.host}: {said}")
        return body["data"]


def firing() -> tuple[Firing, ...]:
    """Return what fires by the Prometheus of this machine, asked behind the portal.

    Raises:
        PrometheusError: it doesn't answer.
    """
    return alerting.firing(Prometheus("127.0.0.1", PROMETHEUS_PORT, tls=False).alerts())
