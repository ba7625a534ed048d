"""Asking the infra nodes: the first one whose Prometheus answers speaks for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pigsty.clients.prometheus import Prometheus, PrometheusError
from pigsty_cli.errors import CliError

if TYPE_CHECKING:
    from pigsty.topology import InfraNode, Topology

Answer = TypeVar("Answer")


def client(infra: InfraNode) -> Prometheus:
    """Return the client of an infra node's Prometheus."""
    values = infra.node.vars
    tls = values["nginx_sslmode"] != "disable"
    return Prometheus(infra.ip, values["nginx_ssl_port"] if tls else values["nginx_port"], tls)


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
