"""A deployment with two infra nodes, a cluster and a server that is only watched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pigsty import inventory, pillar, platform, topology
from pigsty.pillar.site import Site
from pigsty.topology import Topology

SITE = Site(key=b"k" * 32, ca="PEM")


@pytest.fixture
def deployment(tmp_path: Path) -> Callable[..., Topology]:
    """Return the function that makes a topology with variables of all nodes."""

    def write(**variables: Any) -> Topology:
        lines = "".join(f"    {key}: {value}\n" for key, value in variables.items())
        remote = "{ pg_cluster: rds, pg_seq: 1, pg_host: 192.0.2.9, pg_monitor_password: far }"
        file = tmp_path / "pigsty.yml"
        file.write_text(
            f"all:\n  vars:\n    admin_ip: 10.1.1.1\n{lines}  children:\n"
            "    infra:\n      hosts:\n"
            f"        10.1.1.1: {{ infra_seq: 1, pg_exporters: {{ 20001: {remote} }} }}\n"
            "        10.1.1.4: { infra_seq: 2 }\n"
            "    etcd: { hosts: { 10.1.1.1: { etcd_seq: 1 } }, vars: { etcd_cluster: etcd } }\n"
            "    pg-a: { hosts: { 10.1.1.2: { pg_seq: 1, pg_role: primary },\n"
            "      10.1.1.3: { pg_seq: 2, pg_role: replica } },\n"
            "      vars: { pg_cluster: pg-a } }\n"
        )
        return topology.build(inventory.load(file))

    return write


@pytest.fixture
def compiled() -> Callable[[Topology, str], dict[str, Any]]:
    """Return the function that compiles a minion's pillar."""
    return lambda made, ip: pillar.compile_pillar(made, ip, SITE, platform.load())
