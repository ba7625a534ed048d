"""`pigsty pgsql show`: one page, with Patronis and minions made of data, or down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_salt import META, ONE, THREE, TWO

from pigsty.clients.patroni import Cluster, Member, Status
from pigsty.errors import ClientError
from pigsty_cli import deployment, exitcodes, inventories, overviews, saltapi
from pigsty_cli.commands import pgsql_show
from pigsty_cli.main import run
from pigsty_cli.saltapi import Published, SaltError

SANDBOX = Path(__file__).resolve().parents[3] / "pillar/inventory/sandbox.yml"
HOSTS = (ONE, TWO, THREE)
NAMES = {ONE: "pg-test-1", TWO: "pg-test-2", THREE: "pg-test-3"}
STOP = 1772366400
ENTRY = {
    "label": "20260301-120000F",
    "type": "full",
    "timestamp": {"start": STOP - 9, "stop": STOP},
    "archive": {"start": "0001", "stop": "0002"},
    "info": {"size": 100, "repository": {"delta": 10}},
}


class Life:
    """How pg-test lives: the second member leads. Its Patronis and its minions are one object."""

    def __init__(self) -> None:
        self.leader = TWO
        self.down: set[str] = set()
        self.paused = False
        self.config: dict[str, Any] = {"ttl": 30, "synchronous_mode": "quorum"}
        self.waiting: dict[str, tuple[str, ...]] = {}
        self.stranger = ""
        self.deaf: set[str] = set()
        self.drained: set[tuple[str, str]] = set()
        self.holders: set[str] = {TWO}
        self.backups: Any = [ENTRY]
        self.published: list[tuple[tuple[str, ...], str]] = []
        self.limits: dict[str, float] = {}
        self.timeouts: set[float] = set()

    # -- Patroni

    def patroni(self, host: str, _port: int, **options: Any) -> _Patroni:
        self.timeouts.add(options["timeout"])
        return _Patroni(self, host)

    def members(self) -> tuple[Member, ...]:
        hosts = {**NAMES, **({self.stranger: "pg-test-9"} if self.stranger else {})}
        return tuple(
            Member(
                name=name,
                host=host,
                port=5432,
                role="leader" if host == self.leader else "replica",
                state="running" if host == self.leader else "streaming",
                timeline=3,
                lag=None if host == self.leader else 16,
                pending_restart=False,
                tags={"nofailover": True, "weight": 3, "clonefrom": False} if host == THREE else {},
            )
            for host, name in hosts.items()
        )

    # -- Salt

    def __enter__(self) -> Life:
        return self

    def __exit__(self, *_exc: object) -> None: ...

    def publish(
        self, hosts: Sequence[str], function: str, arguments: Sequence[Any] = ()
    ) -> Published:
        self.published.append((tuple(hosts), function))
        return Published(str(len(self.published) - 1), frozenset(hosts))

    def connected(self) -> frozenset[str]:
        return frozenset(HOSTS) - self.deaf

    def collect_all(
        self, jobs: Sequence[Published], deadline: Callable[[str], float]
    ) -> list[dict[str, Any]]:
        self.limits = {host: deadline(host) for job in jobs for host in job.minions}
        return [self._answers(self.published[int(job.jid)][1], job.minions) for job in jobs]

    def _answers(self, function: str, hosts: frozenset[str]) -> dict[str, Any]:
        answer = {
            "pigsty_haproxy.servers": lambda host: self._servers(host),
            "network.ip_addrs": lambda host: [host, *(["10.10.10.3"] * (host in self.holders))],
            "pigsty_pgbackrest.look": lambda _host: self._look(),
        }[function]
        return {host: answer(host) for host in sorted(hosts - self.deaf)}

    def _look(self) -> Any:
        if isinstance(self.backups, str):
            return self.backups
        status = {"code": 0, "message": "ok"} if self.backups else {"code": 2, "message": "none"}
        info = {"name": "pg-test", "status": status, "backup": self.backups,
                "archive": [{"max": "0007"}]}  # fmt: skip
        return {"info": [info], "now": STOP + 3 * 3600, "role": "primary"}

    def _servers(self, host: str) -> list[dict[str, Any]]:
        behind = {
            "pg-test-primary": {ONE, TWO, THREE} & {self.leader},
            "pg-test-default": {ONE, TWO, THREE} & {self.leader},
            "pg-test-replica": {ONE, TWO} - {self.leader},
            "pg-test-replica.backup": {self.leader},
            "pg-test-offline": {THREE},
            "pg-test-offline.backup": {ONE, TWO},
        }
        return [
            {
                "part": part,
                "member": NAMES[member],
                "up": member in up and member not in self.down,
                "state": "drain" if (host, NAMES[member]) in self.drained else "ready",
                "weight": 100,
                "sessions": 0,
                "check": "",
            }
            for part, up in behind.items()
            for member in HOSTS
        ]


class _Patroni:
    def __init__(self, life: Life, host: str) -> None:
        self.life, self.host = life, host

    def _up(self) -> None:
        if self.host in self.life.down:
            raise ClientError("refused")

    def cluster(self) -> Cluster:
        self._up()
        return Cluster(self.life.members(), self.life.paused)

    def status(self) -> Status:
        self._up()
        return Status(
            name=NAMES[self.host],
            scope="pg-test",
            state="running",
            role="primary" if self.host == self.life.leader else "replica",
            timeline=3,
            replication="",
            pending_restart=self.life.waiting.get(self.host, ()),
            paused=self.life.paused,
            unlocked=False,
            version="4",
        )

    def config(self) -> dict[str, Any]:
        self._up()
        # Who doesn't lead may be cut off, and then has an old one.
        return self.life.config if self.host == self.life.leader else {"ttl": 99}


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    found = Life()
    file = tmp_path / "pigsty.yml"
    file.write_text(SANDBOX.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(inventories, "PLACES", (file,))
    monkeypatch.setattr(deployment, "Patroni", found.patroni)
    monkeypatch.setattr(saltapi, "Master", lambda: found)
    return found


@pytest.fixture
def vip(life: Life) -> None:
    """The cluster has a floating address."""
    declare(pg_vip_enabled=True, pg_vip_address="10.10.10.3/24")


def declare(**values: Any) -> None:
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    document["all"]["children"]["pg-test"]["vars"].update(values)
    file.write_text(yaml.safe_dump(document), "utf-8")


@pytest.fixture
def page(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[dict[str, Any], list[str]]]:
    """Return the page as data, and what is said beside it."""

    def ask() -> tuple[dict[str, Any], list[str]]:
        assert run(["pgsql", "show", "pg-test", "-o", "json"]) == exitcodes.OK
        out, err = capsys.readouterr()
        found = json.loads(out)
        assert found["notes"] == err.splitlines()
        return found, found["notes"]

    return ask


def test_one_page_has_it_all(life: Life, vip: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pgsql", "show", "pg-test"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert err == "", "all is well"
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "pg-test-1 10.10.10.11 primary replica streaming 3 16",
        "pg-test-2 10.10.10.12 replica primary running 3",
        "pg-test-3 10.10.10.13 replica replica streaming 3 16 nofailover weight=3",
        "pg-test-primary 5433 pgbouncer:6432 pg-test-2",
        "pg-test-replica 5434 pgbouncer:6432 pg-test-1",
        "pg-test-default 5436 postgres:5432 pg-test-2",
        "pg-test-offline 5438 postgres:5432 pg-test-3",
        "test yes dbrole_admin yes Owns the database test",
        "test test yes A place to try things",
        "ttl 30 the DCS",
        "synchronous_mode quorum the DCS",
        "loop_wait 10 Patroni's default",
        "libraries pg_stat_statements, auto_explain",
        "backups 1 on 10.10.10.12",
        "newest backup 20260301-120000F, ended 2026-03-01 12:00:00+00, 3 h ago",
        "window any point after 2026-03-01 12:00:00+00, up to the end of 0007",
        "floating address 10.10.10.3/24, held by pg-test-2",
    ):
        assert line in lines, line


def test_few_questions_each_with_its_deadline(life: Life, vip: None, page: Any) -> None:
    life.deaf = {THREE}
    page()
    assert life.published == [
        (HOSTS, "pigsty_haproxy.servers"),
        (HOSTS, "network.ip_addrs"),
        ((TWO,), "pigsty_pgbackrest.look"),
    ]
    limits = overviews.DEADLINES
    assert life.limits == {
        ONE: limits["show.minion"],
        TWO: limits["show.minion"],
        THREE: limits["apply.stranger"],
    }
    assert life.timeouts == {limits["status.request"]}


def test_nobody_is_asked_what_isnt_there(life: Life, page: Any) -> None:
    declare(pgbackrest_enabled=False)
    data, notes = page()
    assert life.published == [(HOSTS, "pigsty_haproxy.servers")] and notes == []
    assert data["backup"] == {"enabled": False} and data["vip"] is None


def test_no_password_is_on_the_page(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    declare(pg_users=[{"name": "app", "password": "Canary.1", "roles": ["dbrole_readwrite"]}],
            pg_databases=[])  # fmt: skip
    for form in ("table", "json", "yaml"):
        assert run(["pgsql", "show", "pg-test", "-o", form]) == exitcodes.OK
        out, err = capsys.readouterr()
        assert "app" in out and "Canary" not in out + err
        assert not any(f"{key}:" in out or f'{key}"' in out for key in ("password", "verifier"))


def test_what_is_to_be_absent_isnt_shown_and_a_plain_pool_is(life: Life, page: Any) -> None:
    declare(
        pg_users=[{"name": "app"}, {"name": "old", "state": "absent"}],
        pg_databases=[
            {"name": "app", "pgbouncer": False, "extensions": ["vector", {"name": "x",
             "state": "absent"}], "schemas": ["s"]},
            {"name": "old", "state": "absent"},
        ],
    )  # fmt: skip
    data, _ = page()
    assert [u["name"] for u in data["users"] if not u["system"]] == ["app"]
    assert "dbuser_dba" in [u["name"] for u in data["users"] if u["system"]]
    [database] = data["databases"]
    assert database == {
        "name": "app",
        "owner": "postgres",
        "extensions": ["vector"],
        "schemas": ["s"],
        "pool": False,
        "comment": "business database app",
    }


def test_everything_down_still_shows_what_is_declared(
    life: Life, vip: None, page: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    life.down, life.deaf = set(HOSTS), set(HOSTS)
    data, notes = page()
    assert {row["state"] for row in data["members"]} == {"unreachable"}
    assert data["leader"] == "" and data["settings"] == []
    assert [s["now"] for s in data["services"]] == [{}] * 4
    assert data["services"][0]["members"] == ["pg-test-1", "pg-test-2", "pg-test-3"]
    assert data["databases"][0]["name"] == "test"
    assert data["backup"] == {"enabled": True, "unknown": "nobody tells who leads"}
    assert notes == [
        "no member of pg-test can be reached: only what is declared is shown",
        *(f"HAProxy on {host}: its minion doesn't answer" for host in HOSTS),
        "the state of the backups is unknown: nobody tells who leads",
        "who holds 10.10.10.3/24 is unknown: no minion answers",
    ]
    assert (*HOSTS,) not in [hosts for hosts, what in life.published if "backrest" in what]
    assert run(["pgsql", "show", "pg-test"]) == exitcodes.OK
    out = capsys.readouterr().out
    assert "unknown: nobody tells who leads" in out and "unknown: no minion answers" in out
    assert "SETTING" not in out, "an empty section is left out"


def test_a_dead_leader_leaves_the_rest_of_the_page(life: Life, page: Any) -> None:
    life.down = life.deaf = {TWO}
    data, notes = page()
    states = {row["member"]: row["state"] for row in data["members"]}
    assert states["pg-test-2"] == "unreachable" and states["pg-test-1"] == "streaming"
    assert data["settings"][0]["value"] == 99, "another member tells what it has"
    assert "minion of 10.10.10.12 doesn't answer within 8 s" in data["backup"]["unknown"]
    assert "pg-test has no leader right now" in notes
    assert f"pg-test-primary leads to nobody on {ONE}, {THREE}" in notes


def test_without_a_salt_master_patroni_still_answers(
    life: Life, vip: None, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise SaltError("no Salt master on this machine")

    monkeypatch.setattr(saltapi, "Master", none)
    data, notes = page()
    assert data["leader"] == "pg-test-2" and data["settings"][0]["value"] == 30
    for part in (data["backup"], data["vip"]):
        assert part["unknown"] == "no Salt master on this machine"
    assert notes[0] == "where the services lead to is unknown: no Salt master on this machine"


def test_what_a_person_should_know(life: Life, page: Any) -> None:
    life.paused = True
    life.waiting = {ONE: ("max_connections",)}
    life.stranger = "10.10.10.19"
    life.backups = []
    data, notes = page()
    assert data["members"][0]["waiting"] == ["max_connections"]
    assert data["members"][0]["pending_restart"] is True
    assert data["members"][-1]["member"] == "pg-test-9"
    assert notes == [
        "pg-test is paused: nobody takes over from a leader that fails, until "
        "`pigsty pgsql resume pg-test`",
        "pg-test-1: settings wait for a restart of PostgreSQL "
        "(pigsty pgsql restart pg-test --pending)",
        "pg-test-9 lives, but the inventory doesn't have it",
        "pg-test has no backup: none",
    ]


def test_backups_have_their_turn_when_nobody_else_serves(life: Life, page: Any) -> None:
    life.drained = {(ONE, "pg-test-1")}
    data, _ = page()
    now = {service["service"]: service["now"] for service in data["services"]}
    assert now["pg-test-replica"] == {
        ONE: ["pg-test-2"],
        TWO: ["pg-test-1"],
        THREE: ["pg-test-1"],
    }


def test_haproxies_that_disagree_are_told_apart(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    life.drained = {(ONE, "pg-test-1")}
    assert run(["pgsql", "show", "pg-test"]) == exitcodes.OK
    told = f"pg-test-2 on {ONE}; pg-test-1 on {TWO}; pg-test-1 on {THREE}"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("holders", "note"),
    [
        (set(), "no member that answers holds 10.10.10.3/24"),
        ({ONE}, "pg-test-1 holds 10.10.10.3/24, but doesn't lead"),
        ({ONE, TWO}, "pg-test-1, pg-test-2 hold 10.10.10.3/24 at once"),
    ],
)
def test_an_address_that_isnt_where_it_should_be(
    life: Life, vip: None, page: Any, holders: set[str], note: str
) -> None:
    life.holders = holders
    assert page()[1] == [note]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ERROR: pgbackrest: unable to open", "10.10.10.12: pgbackrest: unable to open"),
        ("", "10.10.10.12: no answer"),
    ],
)
def test_the_leaders_own_words_about_its_repository(
    life: Life, page: Any, said: str, why: str
) -> None:
    life.backups = said
    data, notes = page()
    assert data["backup"]["unknown"] == why and why in notes[-1]


def test_a_leader_of_another_master(life: Life, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = life.publish

    def publish(hosts: Any, function: str, arguments: Any = ()) -> Published:
        job = plain(hosts, function, arguments)
        return Published(job.jid, job.minions - {TWO})

    monkeypatch.setattr(life, "publish", publish)
    assert page()[0]["backup"]["unknown"] == "10.10.10.12 is no minion of this master"


def test_a_standby_cluster_says_whom_it_follows(life: Life, page: Any) -> None:
    life.config = {"standby_cluster": {"host": META, "port": 5433}}
    data, _ = page()
    assert data["settings"][-1] == {
        "setting": "standby_cluster",
        "value": f"{META}:5433",
        "by": "the DCS",
    }


def test_a_name_that_nobody_has(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pgsql", "show", "pg-tset"]) == exitcodes.USAGE
    assert "did you mean pg-test" in capsys.readouterr().err and life.published == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_how_long_ago(seconds: int, text: str) -> None:
    assert pgsql_show.age(seconds) == text
