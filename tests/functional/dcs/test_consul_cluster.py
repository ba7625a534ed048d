"""A whole cluster in a real Consul, over TLS and with tokens: from its start to its removal."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from daemons import Consul, Daemon, free_ports, until
from members import Members, programs

from pigsty import dcs, operations
from pigsty.clients import cluster_keys
from pigsty.clients.consul import Address, ConsulError, ConsulStore
from pigsty.operations import OperationRefused
from pigsty.topology import PgCluster
from pigsty_cli import access, deployment, following, keepers, operating
from pigsty_cli.access import Access
from pigsty_cli.errors import CliError

ENGINE = Path(__file__).resolve().parents[2] / "support/dcs_engine.py"
#: The cluster's token, as docs/consul.md says.
RULES = """
key_prefix "pg/pg-c/" { policy = "write" }
session_prefix "" { policy = "write" }
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
"""
ONE, TWO = "127.0.0.11", "127.0.0.12"
#: Seconds within which something is told, and in which a cluster of two comes to life.
TOLD, ALIVE = 15.0, 240.0


@dataclass
class World:
    """Consul, a cluster of two in it, and the engine that watches it."""

    consul: Consul
    members: Members
    engine: Daemon
    tokens: tuple[str, str]

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What the engine has told: tag and data."""
        file = self.members.folder / "events"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(tag, data) for tag, data in map(json.loads, lines)]

    def leaders(self) -> list[str]:
        return [data["leader"] for tag, data in self.events if tag == "pigsty/pgsql/pg-c/leader"]

    def leader(self) -> str:
        found = self.members.client("pg-c-1").cluster().leader
        return found.name if found else ""

    def declared(self) -> PgCluster:
        return self.members.topology.pg_clusters["pg-c"]

    def access(self) -> Access:
        """How the commands reach its members; their CA is the one of the test."""
        pki = self.members.folder / "pki"
        found = access.of(self.declared(), self.members.folder / "secret.key", pki / "ca.crt")
        return replace(found, ca=str(pki / "ca.crt"))

    def keeper(self) -> keepers.Keeper:
        """Who keeps the cluster's keys for `pigsty pgsql add|rm`."""
        return keepers.of(None, self.members.topology, "pg-c")

    def streams(self, name: str) -> bool:
        status = self.members.client(name).status()
        return status.running and status.replication == "streaming"


def _inventory(consul: Consul, writes: str, reads: str) -> dict[str, Any]:
    postgres, rest = free_ports(2)
    hosts = {
        ONE: {"pg_seq": 1, "pg_role": "primary"},
        TWO: {"pg_seq": 2, "pg_role": "replica"},
    }
    return {
        "all": {
            "vars": {
                "admin_ip": "127.0.0.1",
                "pigsty_profile": "sandbox",
                "pg_consul_url": consul.url,
                "pg_consul_ca": consul.ca,
                "pg_consul_watch_token": reads,
            },
            "children": {
                "infra": {"hosts": {"127.0.0.1": {"infra_seq": 1}}},
                "pg-c": {
                    "hosts": hosts,
                    "vars": {
                        "pg_cluster": "pg-c",
                        "pg_dcs_type": "consul",
                        "pg_consul_token": writes,
                        "pg_version": int(programs().parts[4]),
                        "pg_listen": "${ip}",
                        "pg_port": postgres,
                        "patroni_port": rest,
                        "pgbackrest_enabled": False,
                        # Looks every second, and waits for no disk: this is about who leads.
                        "pg_rto_plan": {"norm": [20, 1, 5, 15, 5, "1s", "1s", "1s", 2, 2]},
                        "pg_parameters": {"fsync": False},
                    },
                },
            },
        }
    }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # Not pytest's tmp_path: PostgreSQL's user may not enter that, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="consul-"))
    folder.chmod(0o755)
    with ExitStack() as last:
        last.callback(shutil.rmtree, folder)
        consul = Consul(folder, tls=True)
        last.callback(consul.daemon.stop)
        consul.start()
        tokens = (consul.grant(RULES), consul.token("pg/"))
        members = Members(folder, _inventory(consul, *tokens), "pg-c")
        last.callback(members.kill)
        engine = Daemon([sys.executable, str(ENGINE), str(folder)], folder / "engine.log")
        last.callback(engine.stop)
        engine.start()
        # Who is there when it looks for the first time didn't join, for it.
        until("the engine has read Consul", (folder / "alive/dcs").exists)
        for daemon in members.daemons.values():
            daemon.start()
        yield World(consul, members, engine, tokens)


@pytest.fixture
def alive(world: World) -> World:
    """Both members live: one leads, the other follows it."""
    for daemon in world.members.daemons.values():
        if daemon.process is None:
            daemon.start()
    leader = until("somebody leads", world.leader, ALIVE)
    (other,) = world.members.daemons.keys() - {leader}
    until("the other follows", lambda: world.streams(other), ALIVE)
    return world


def test_the_declared_primary_makes_the_cluster_and_all_of_it_is_told(alive: World) -> None:
    assert alive.leader() == "pg-c-1"
    until("the leader is told", lambda: alive.leaders() == ["pg-c-1"], TOLD)
    member = "pigsty/pgsql/pg-c/member"
    joined = {d["member"] for tag, d in alive.events if tag == member and d["change"] == "join"}
    assert joined == {"pg-c-1", "pg-c-2"}


def test_it_writes_below_its_own_prefix_alone(alive: World) -> None:
    keys = alive.consul.keys("pg/")
    assert {"pg/pg-c/leader", "pg/pg-c/members/pg-c-1", "pg/pg-c/members/pg-c-2"} <= keys
    assert all(key.startswith("pg/pg-c/") for key in keys)


def test_no_token_is_seen_by_others(alive: World) -> None:
    folder = alive.members.folder
    logs = [*folder.glob("*.log"), *folder.glob("127.*/*.log"), folder / "events"]
    assert len(logs) >= 6, "of Consul, the engine, both Patronis and what each started"
    for secret in alive.tokens:
        for log in logs:
            assert secret not in log.read_text(errors="replace"), log
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            assert secret not in _read(command), command
    for ip in (ONE, TWO):
        file = alive.members.config(ip)
        assert alive.tokens[0] in file.read_text(), "Patroni has it from its file"
        assert file.stat().st_mode & 0o077 == 0


def test_the_commands_see_it_as_they_see_any_cluster(
    alive: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "CA", str(alive.members.folder / "pki/ca.crt"))
    one, two = deployment.live_members([alive.declared()])["pg-c"]
    assert (one.member, one.role, one.state) == ("pg-c-1", "primary", "running")
    assert (two.member, two.role, two.state) == ("pg-c-2", "replica", "streaming")


def test_a_switchover_is_told(alive: World) -> None:
    _switch(alive)


def test_a_restart_of_the_agent_changes_no_leader_and_the_next_change_is_told(
    alive: World,
) -> None:
    leader = alive.leader()
    before = alive.members.client(leader).status().timeline
    told = len(alive.leaders())
    alive.consul.daemon.stop()
    alive.consul.start()
    _switch(alive)
    now = alive.leader()
    # Each promotion begins a timeline: nobody was promoted but by the switchover.
    assert before is not None and alive.members.client(now).status().timeline == before + 1
    assert len(alive.leaders()) == told + 1


def test_who_keeps_the_keys_sees_what_patroni_sees(alive: World) -> None:
    found = alive.keeper().look()
    assert (found.name, found.prefix, found.leader) == ("pg-c", "/pg/pg-c/", alive.leader())
    assert [(m.name, m.host, m.api_tls) for m in found.members] == [
        ("pg-c-1", ONE, True),
        ("pg-c-2", TWO, True),
    ]


def test_keys_of_who_lives_are_not_deleted(alive: World) -> None:
    leader, keys = alive.leader(), alive.consul.keys("pg/")
    (other,) = alive.members.daemons.keys() - {leader}
    with pytest.raises(CliError, match=f"{other} of pg-c lives: its keys stay"):
        alive.keeper().forget([leader], whole=True)
    with pytest.raises(CliError, match="led by a member that was to be removed"):
        alive.keeper().forget([leader], whole=False)
    assert alive.consul.keys("pg/") >= keys


def test_a_token_of_another_cluster_sees_no_cluster_that_is_gone_but_is_refused(
    alive: World,
) -> None:
    other = alive.consul.grant(RULES.replace("pg-c", "pg-d"))
    store = ConsulStore(Address(alive.consul.url, other, alive.consul.ca))
    assert store.read("/pg/pg-c/").pairs == [], "Consul says nothing of what it hides"
    with pytest.raises(ConsulError, match="refuses the token to write /pg/pg-c/") as error:
        store.prove("/pg/pg-c/")
    assert other not in str(error.value)
    store.prove("/pg/pg-d/")
    with pytest.raises(ConsulError, match="all of its keys"):
        store.delete("/")


def test_another_authority_is_one_clear_error(alive: World) -> None:
    with pytest.raises(ConsulError, match=r"doesn't answer: .*certificate verify failed"):
        ConsulStore(Address(alive.consul.url, alive.tokens[1])).read("/pg/")


def test_a_removed_members_key_goes_and_nothing_else(alive: World) -> None:
    leader = alive.leader()
    (other,) = alive.members.daemons.keys() - {leader}
    alive.members.daemons[other].stop(signal.SIGTERM)
    # As one leaves it that was cut off: with a key that nobody takes away.
    alive.consul.put(f"pg/pg-c/members/{other}", "{}")
    alive.keeper().forget([other], whole=False)
    keys = alive.consul.keys("pg/pg-c/")
    assert f"pg/pg-c/members/{other}" not in keys
    assert {"pg/pg-c/leader", "pg/pg-c/config", f"pg/pg-c/members/{leader}"} <= keys


def test_after_a_restore_the_last_leader_is_forgotten_and_the_member_leads(world: World) -> None:
    leader = world.leader()
    world.members.stop()
    (host,) = (m.ip for m in world.declared().members if m.name == leader)
    store, prefix = cluster_keys.own(world.members.spec(host))
    cluster_keys.forget_leader(store, prefix)
    keys = world.consul.keys("pg/pg-c/")
    assert not keys & {f"pg/pg-c/{key}" for key in dcs.LEADERSHIP}
    assert {"pg/pg-c/config", "pg/pg-c/initialize"} <= keys
    world.members.daemons[leader].start()
    client = world.members.client(leader)
    until("it leads again", lambda: client.status().leader, ALIVE)


def test_a_cluster_that_is_down_goes_with_its_keys_and_its_neighbour_stays(world: World) -> None:
    world.members.stop()
    # A name that begins with the cluster's own, which Consul would take for a part of it.
    world.consul.put("pg/pg-c2/leader", "pg-c2-1")
    world.keeper().forget(["pg-c-1", "pg-c-2"], whole=True)
    assert world.consul.keys("pg/") == {"pg/pg-c2/leader"}
    assert not world.keeper().look().exists


def _switch(world: World) -> None:
    """Hand the lead over as `pigsty pgsql switchover` does, and see it told."""
    said: list[str] = []

    def ordered() -> str:
        to = world.access()
        seen = operating.look(to)
        try:
            order = operations.switchover(seen)
        except OperationRefused:
            return ""
        # HAProxy and the minions that watch it for the command are not here.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(following, "services", lambda *_: nullcontext())
            operating.carry_out(to, seen, order, said.append)
        return order.members[0]

    # After Consul was away nobody takes an order until the members have seen it again.
    leader = until("the switchover is done", ordered, ALIVE)
    until("it is told", lambda: world.leaders()[-1:] == [leader], TOLD)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
