"""Asking the infra nodes: the first one whose Prometheus answers speaks for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pigsty.clients.logs import Logs, LogsError, Refused
from pigsty.clients.prometheus import Prometheus, PrometheusError
from pigsty.pillar.logs import kept
from pigsty_cli.errors import CliError

if TYPE_CHECKING:
    from pigsty.topology import InfraNode, Topology

Answer = TypeVar("Answer")


def client(infra: InfraNode) -> Prometheus:
    """Return the client of an infra node's Prometheus."""
    tls, port = _portal(infra)
    return Prometheus(infra.ip, port, tls)


def _portal(infra: InfraNode) -> tuple[bool, int]:
    """Return whether an infra node's portal speaks TLS, and its port."""
    values = infra.node.vars
    tls = values["nginx_sslmode"] != "disable"
    return tls, int(values["nginx_ssl_port"] if tls else values["nginx_port"])


def ask(
    topology: Topology, question: Callable[[InfraNode, Prometheus], Answer]
) -> tuple[InfraNode, Answer]:
    """Return the first infra node that answers, with its answer.

    Raises:
        CliError: none does; the text says why each doesn't.
    """
    reasons = []
    for infra in topology.infra:
        if not infra.node.vars["prometheus_enabled"]:
            continue
        try:
            return infra, question(infra, client(infra))
        except PrometheusError as error:
            reasons.append(str(error))
    raise CliError("; ".join(reasons) or "no infra node of the inventory has prometheus_enabled")


def ask_logs(topology: Topology, question: Mapping[str, str]) -> dict[str, Any]:
    """Return the answer of the first infra node whose search in the logs answers.

    Args:
        topology: the deployment.
        question: see :func:`pigsty.logs.query`.

    Raises:
        CliError: a part of the question can't be answered.
        LogsError: no infra node answers; the text says why each doesn't.
    """
    reasons = []
    for infra in topology.infra:
        if not kept(infra.node):
            continue
        tls, port = _portal(infra)
        try:
            return Logs(infra.ip, port, tls).search(**question)
        except Refused as error:
            raise CliError(str(error)) from error
        except LogsError as error:
            reasons.append(str(error))
    raise LogsError("; ".join(reasons) or "no infra node of the inventory keeps logs: loki_enabled")
