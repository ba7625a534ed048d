"""A small client of Patroni's REST API: who leads, who follows, and what waits for a restart.

Standard library only, because it runs on the master, in the command line and on every member.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

#: CA certificate of the deployment, at the same path on every node.
CA = "/etc/pki/ca.crt"
#: Patroni before 4.0 calls the leader so.
_OLD_NAMES = {"master": "primary"}
#: States of a member whose PostgreSQL answers queries.
RUNNING = frozenset({"running", "streaming", "in archive recovery"})


@dataclass(frozen=True, slots=True)
class Member:
    """A member as Patroni sees it in the DCS.

    Attributes:
        name: instance name.
        host: address of its PostgreSQL.
        port: port of its PostgreSQL.
        role: ``leader``, ``standby_leader``, ``replica``, ``sync_standby`` or ``quorum_standby``.
        state: ``running``, ``streaming``, ``stopped``, ``starting``, ``creating replica`` …
        timeline: timeline of its WAL, None if unknown.
        lag: bytes of WAL behind the leader; None for a leader and where unknown.
        pending_restart: settings wait for a restart of PostgreSQL.
        tags: Patroni tags (``nofailover`` and the like).
    """

    name: str
    host: str
    port: int
    role: str
    state: str
    timeline: int | None
    lag: int | None
    pending_restart: bool
    tags: Mapping[str, Any]

    @property
    def leader(self) -> bool:
        """Whether this member holds the leader key."""
        return self.role in ("leader", "standby_leader")

    @property
    def running(self) -> bool:
        """Whether its PostgreSQL answers queries."""
        return self.state in RUNNING


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as one of its members sees it: ``members`` by name, ``paused`` in maintenance."""

    members: tuple[Member, ...]
    paused: bool

    @property
    def leader(self) -> Member | None:
        """The leader, or None while there is none."""
        return next((member for member in self.members if member.leader), None)


@dataclass(frozen=True, slots=True)
class Status:
    """What a Patroni says of itself.

    Attributes:
        name: instance name.
        scope: cluster name.
        state: as in :class:`Member`.
        role: ``primary``, ``standby_leader``, ``replica`` or ``uninitialized``.
        timeline: timeline, None while PostgreSQL doesn't run.
        replication: ``streaming`` and the like on a replica, else "".
        pending_restart: names of the settings that wait for a restart; ``("?",)`` if Patroni
            doesn't name them.
        paused: the cluster is in maintenance mode.
        unlocked: the cluster has no leader.
        version: version of Patroni.
        looked: when Patroni last saw the DCS, in seconds since 1970; 0 if it doesn't say.
        system: PostgreSQL's system identifier, the same for all that come from one server; "" if it
            doesn't say.
    """

    name: str
    scope: str
    state: str
    role: str
    timeline: int | None
    replication: str
    pending_restart: tuple[str, ...]
    paused: bool
    unlocked: bool
    version: str
    looked: int = 0
    system: str = ""

    @property
    def running(self) -> bool:
        """Whether its PostgreSQL answers queries."""
        return self.state in RUNNING

    @property
    def leader(self) -> bool:
        """Whether this member leads its cluster."""
        return self.role in ("primary", "standby_leader")


class Patroni:
    """The REST API of one member.

    Args:
        host: address of the member.
        port: ``patroni_port``.
        ca: CA certificate file that signed the API's certificate; None: plain http.
        username: for calls that change something.
        password: for calls that change something.
        timeout: seconds for one call.
    """

    def __init__(
        self,
        host: str,
        port: int = 8008,
        *,
        ca: str | None = CA,
        username: str = "",
        password: str = "",
        timeout: float = DEADLINES["patroni.request"],
    ) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self._ca = ca
        self._headers = {"Connection": "close"}
        if username:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    @classmethod
    def of_pillar(cls, pgsql: Mapping[str, Any]) -> Patroni:
        """Return the client of a member's own API, by the ``pigsty:pgsql`` pillar of its minion."""
        params = pgsql["params"]
        return cls(
            pgsql["ip"],
            int(params["patroni_port"]),
            ca=f"{pgsql['certificates']}/ca.crt" if params["patroni_ssl_enabled"] else None,
            username=params["patroni_username"],
            password=pgsql["patroni"]["password"],
        )

    @property
    def url(self) -> str:
        """Address of the API, as errors name it."""
        return f"{'https' if self._ca else 'http'}://{self.host}:{self.port}"

    def status(self) -> Status:
        """Return what this member says of itself.

        Raises:
            ClientError: it didn't answer in time, or not as Patroni does.
        """
        return _status(self._json("GET", "/patroni"))

    def cluster(self) -> Cluster:
        """Return the cluster as this member sees it in the DCS.

        Raises:
            ClientError: it didn't answer in time, or not as Patroni does.
        """
        data = self._json("GET", "/cluster")
        members = tuple(
            sorted(map(_member, data.get("members", [])), key=lambda member: member.name)
        )
        return Cluster(members=members, paused=bool(data.get("pause")))

    def config(self) -> dict[str, Any]:
        """Return the dynamic configuration that stands in the DCS.

        Raises:
            ClientError: it didn't answer in time, or there is none yet.
        """
        return self._json("GET", "/config")

    def patch_config(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Merge changes into the dynamic configuration (None removes a key); return the result.

        Raises:
            ClientError: refused, or no answer in time.
        """
        return self._json("PATCH", "/config", changes)

    def reload(self) -> str:
        """Make Patroni read its file again; return what it says ("reload scheduled").

        Raises:
            ClientError: refused, or no answer in time.
        """
        return self._expect("POST", "/reload").decode("utf-8", "replace").strip()

    def healthy(self, path: str) -> bool:
        """Tell whether a health check such as ``/primary`` answers 200, as HAProxy asks it.

        Raises:
            ClientError: no answer in time.
        """
        return self._request("OPTIONS", path, None)[0] == http.HTTPStatus.OK

    def _json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        raw = self._expect(method, path, body)
        try:
            data = json.loads(raw)
        except ValueError as error:
            raise ClientError(f"{self.url}{path} sent no JSON: is that Patroni?") from error
        if not isinstance(data, dict):
            raise ClientError(f"{self.url}{path} sent {type(data).__name__}, not an object")
        return data

    def _expect(self, method: str, path: str, body: Any = None) -> bytes:
        status, raw = self._request(method, path, body)
        if not 200 <= status < 300:
            text = raw.decode("utf-8", "replace").strip()[:200]
            raise ClientError(f"{method} {self.url}{path}: {status} {text}".rstrip())
        return raw

    def _request(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        headers = dict(self._headers)
        payload = None
        if body is not None:
            payload = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            connection = self._connect()
            try:
                connection.request(method, path, payload, headers)
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ClientError(f"{method} {self.url}{path}: {reason}") from error

    def _connect(self) -> http.client.HTTPConnection:
        if self._ca is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        context = ssl.create_default_context(cafile=self._ca)
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=self.timeout, context=context
        )


def _member(data: Mapping[str, Any]) -> Member:
    lag = data.get("lag")
    return Member(
        name=str(data.get("name", "")),
        host=str(data.get("host", "")),
        port=int(data.get("port") or 0),
        role=str(data.get("role", "")),
        state=str(data.get("state", "unknown")),
        timeline=_int(data.get("timeline")),
        lag=lag if isinstance(lag, int) else None,
        pending_restart=bool(data.get("pending_restart")),
        tags=dict(data.get("tags") or {}),
    )


def _status(data: Mapping[str, Any]) -> Status:
    patroni = data.get("patroni") or {}
    role = str(data.get("role", "uninitialized"))
    reasons = data.get("pending_restart_reason") or {}
    pending = tuple(sorted(reasons)) or (("?",) if data.get("pending_restart") else ())
    return Status(
        name=str(patroni.get("name", "")),
        scope=str(patroni.get("scope", "")),
        state=str(data.get("state", "unknown")),
        role=_OLD_NAMES.get(role, role),
        timeline=_int(data.get("timeline")),
        replication=str(data.get("replication_state") or ""),
        pending_restart=pending,
        paused=bool(data.get("pause")),
        unlocked=bool(data.get("cluster_unlocked")),
        version=str(patroni.get("version", "")),
        looked=_int(data.get("dcs_last_seen")) or 0,
        system=str(data.get("database_system_identifier") or ""),
    )


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) else None
