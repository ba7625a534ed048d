"""A floating address of two nodes: it has one holder, and what watches is told which."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from edit import Inventory
from expect import eventually

from pigsty.render import keepalived

ADDRESS, HOSTS = "10.10.10.9", ("10.10.10.12", "10.10.10.13")
FILES = tuple(file.path for file in keepalived.gone())


@dataclass(frozen=True)
class Vip:
    """The address, while there is one."""

    sandbox: Any

    def run(self, host: str, *command: str) -> str:
        """Return what a command in a node says, whatever its exit code."""
        _code, out, _err = self.sandbox.node(host).run(list(command))
        return str(out).strip()

    def holders(self) -> list[str]:
        """Return the nodes that have the address."""
        show = ("ip", "-4", "-oneline", "address", "show", "to", ADDRESS)
        return [host for host in HOSTS if self.run(host, *show)]

    def told(self, host: str) -> dict[str, int]:
        """Return what a node's exporter is told, by the metric's name."""
        rows = self.run(host, "cat", keepalived.METRICS).splitlines()
        pairs = (row.rsplit(" ", 1) for row in rows if not row.startswith("#"))
        return {name.partition("{")[0].removeprefix("keepalived_"): int(v) for name, v in pairs}

    def settles(self, holder: str, other: str) -> None:
        """Wait until one node has the address, the other is ready, and both are told to be so."""
        wanted = {holder: (1, 2), other: (1, 1)}

        def settled() -> bool:
            seen = {host: self.told(host) for host in HOSTS}
            states = {host: (told.get("up"), told.get("vrrp_state")) for host, told in seen.items()}
            return self.holders() == [holder] and states == wanted

        eventually(f"{holder} holds {ADDRESS}, {other} waits", settled, "address moves")


def _declare(document: dict[str, Any]) -> None:
    hosts = document["all"]["children"]["pg-test"]["hosts"]
    for host, role in zip(HOSTS, ("master", "backup"), strict=True):
        hosts[host] |= {"vip_enabled": True, "vip_address": ADDRESS, "vip_vrid": 99}
        hosts[host]["vip_role"] = role


def _asked(admin: Any, expr: str) -> set[str]:
    """Return the machines of which Prometheus has a series."""
    url = f"http://127.0.0.1:9090/prometheus/api/v1/query?{urlencode({'query': expr})}"
    rows = json.loads(admin.run(["curl", "-sf", url])[1])["data"]["result"]
    return {row["metric"]["ip"] for row in rows}


def test_the_address_has_one_holder_whoever_ends_and_what_watches_is_told(
    sandbox: Any, admin: Any, report: Any
) -> None:
    vip, inventory = Vip(sandbox), Inventory(admin)
    inventory.edit(_declare)
    try:
        inventory.apply(*HOSTS, "-m", "node")
        # Nobody takes it from who has it: the one whose states were faster.
        eventually("one of them takes it", lambda: len(vip.holders()) == 1, "address moves")
        first, second = sorted(HOSTS, key=lambda host: host not in vip.holders())
        vip.settles(first, second)
        # All of its processes at once: nobody of them takes the address away or says anything, not
        # even in the moment between the end of the first and the second.
        vip.run(first, "systemctl", "kill", "--signal=SIGSTOP", keepalived.UNIT)
        vip.run(first, "systemctl", "kill", "--signal=SIGKILL", keepalived.UNIT)
        began = time.monotonic()
        vip.settles(second, first)
        report("a node's floating address: moved, after a kill", time.monotonic() - began, "s")
        assert vip.told(first)["release_master_total"] == 1
        vip.run(second, "systemctl", "stop", keepalived.UNIT)
        eventually("the other takes it", lambda: vip.holders() == [first], "address moves")
        assert vip.told(second) == {
            "up": 0, "vrrp_state": 0, "become_master_total": 1, "release_master_total": 1
        }  # fmt: skip
        eventually("it is told", lambda: vip.told(first)["vrrp_state"] == 2, "address moves")
        state = f'keepalived_vrrp_state{{ip_address="{ADDRESS}"}} == 2'
        seen = lambda: (_asked(admin, state), _asked(admin, "keepalived_up == 0"))  # noqa: E731
        eventually(
            "Prometheus knows", lambda: seen() == ({first}, {second}), "a target is looked at"
        )
    finally:
        inventory.restore()
    assert vip.holders() == []
    for host in HOSTS:
        assert vip.run(host, "systemctl", "is-active", keepalived.UNIT) == "inactive"
        assert vip.run(host, "ls", *FILES) == ""
