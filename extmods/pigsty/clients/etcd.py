"""A member of etcd over its JSON gateway, with TLS and a client certificate: no library, no shell.

Numbers of 64 bits arrive as strings and keys as base64; both are turned into what they mean here.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

#: Parts of etcd's messages that callers tell apart; its numeric codes are shared by too many.
NO_AUTH = "authentication is not enabled"
BAD_PASSWORD = "authentication failed"  # noqa: S105
_UNKNOWN = "Not Found"
_EXISTS = "already exists"
_GRANTED = "already granted"
#: Probes of a silent connection that go unanswered before its peer counts as gone.
PROBES = 3


class EtcdError(ClientError):
    """etcd answered with an error.

    Args:
        message: its text.
        path: what was asked.
    """

    def __init__(self, message: str, path: str) -> None:
        super().__init__(f"etcd: {path}: {message}")
        self.message = message


class Unreachable(ClientError):
    """etcd didn't answer: down, starting, or cut off."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the cluster knows it.

    Attributes:
        id: its number.
        name: its name; empty while it was added but never ran.
        peers: addresses for other members.
        clients: addresses for clients; empty until it ran once.
        learner: whether it only listens.
    """

    id: str
    name: str
    peers: tuple[str, ...]
    clients: tuple[str, ...]
    learner: bool


class Stream:
    """An answer that goes on: iterating yields its lines as JSON objects.

    It ends after a silence that was agreed on, and raises :class:`Unreachable` when the peer is
    gone.
    """

    def __init__(
        self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, peer: str
    ) -> None:
        self._connection, self._answer, self._peer = connection, answer, peer

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            while line := self._answer.readline():
                data = json.loads(line)
                if not isinstance(data, dict):
                    raise Unreachable(f"{self._peer} says something that is no object")
                yield data
        except TimeoutError:
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unreachable(f"{self._peer} broke off: {error}") from error
        raise Unreachable(f"{self._peer} closed the connection")

    def close(self) -> None:
        """End it."""
        self._connection.close()


class Etcd:
    """One member, spoken to over one connection after the other.

    Args:
        host: its address.
        port: for clients.
        ca: path of the CA's certificate.
        cert: path of the client certificate.
        key: path of its private key.
    """

    def __init__(self, host: str, port: int, ca: str, cert: str, key: str) -> None:
        self.host, self.port = host, port
        self._files = (ca, cert, key)
        self._token: str | None = None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        ca, cert, key = self._files
        try:
            context = ssl.create_default_context(cafile=ca)
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"etcd: no certificate to ask with: {error}") from error
        return context

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call the API.

        Args:
            path: for example ``auth/user/list``; its ``/v3/`` is added.
            body: the request.

        Raises:
            EtcdError: etcd refused.
            Unreachable: there was no answer within the deadline ``etcd.request``.
        """
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = self._token
        status, data = self._request("POST", f"/v3/{path}", json.dumps(body or {}), headers)
        if status != http.HTTPStatus.OK or "code" in data:
            raise EtcdError(str(data.get("message") or data.get("error") or status), path)
        return data

    def stream(self, path: str, body: Mapping[str, Any], patience: float) -> Stream:
        """Call the API for an answer that goes on, one JSON object a line.

        Args:
            path: for example ``watch``; its ``/v3/`` is added.
            body: the request.
            patience: seconds of silence after which the answer counts as ended. A peer that is gone
                is noticed sooner, within ``etcd.silence``.

        Raises:
            EtcdError: etcd refused.
            Unreachable: there was no answer within the deadline ``etcd.request``.
        """
        connection = self._connect()
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = self._token
        try:
            connection.connect()
            keep_alive(connection.sock, DEADLINES["etcd.silence"])
            connection.request("POST", f"/v3/{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise EtcdError(answer.read().decode("utf-8", "replace").strip(), path)
            connection.sock.settimeout(patience)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(f"etcd {self.host}:{self.port} doesn't answer: {error}") from error
        except EtcdError:
            connection.close()
            raise
        return Stream(connection, answer, f"etcd {self.host}:{self.port}")

    def healthy(self) -> bool:
        """Return whether the member serves and has a leader; False when it is silent."""
        try:
            status, data = self._request("GET", "/health", None, {})
        except Unreachable:
            return False
        return status == http.HTTPStatus.OK and data.get("health") in ("true", True)

    def authenticate(self, user: str, password: str) -> None:
        """Act as a user from now on.

        Raises:
            EtcdError: wrong password, or users aren't enabled.
        """
        self._token = None
        answer = self.call("auth/authenticate", {"name": user, "password": password})
        self._token = str(answer["token"])

    def knows(self, user: str, password: str) -> bool:
        """Return whether a user has this password; who this client acts as stays the same."""
        try:
            self.call("auth/authenticate", {"name": user, "password": password})
        except EtcdError as error:
            if BAD_PASSWORD in error.message:
                return False
            raise
        return True

    def do(self, path: str, body: Mapping[str, Any]) -> None:
        """Call the API for something that may be there already: another member may act as well."""
        try:
            self.call(path, body)
        except EtcdError as error:
            if _EXISTS not in error.message and _GRANTED not in error.message:
                raise

    def auth_revision(self) -> int | None:
        """Return the number that grows with each change of users, roles and passwords.

        It is None with etcd before 3.5, which doesn't tell.
        """
        try:
            return int(self.call("auth/status").get("authRevision", 0))
        except EtcdError as error:
            if _UNKNOWN in error.message:
                return None
            raise

    def users(self) -> dict[str, tuple[str, ...]]:
        """Return the roles of every user."""
        names = self.call("auth/user/list").get("users", [])
        return {
            name: tuple(self.call("auth/user/get", {"name": name}).get("roles", []))
            for name in names
        }

    def roles(self) -> dict[str, tuple[tuple[str, str, str], ...]]:
        """Return the permissions of every role, each as kind, first key and end of its range."""
        found = {}
        for name in self.call("auth/role/list").get("roles", []):
            perms = self.call("auth/role/get", {"role": name}).get("perm", [])
            found[name] = tuple(
                (
                    str(perm.get("permType", "READ")),
                    decode(perm.get("key", "")),
                    decode(perm.get("range_end", "")),
                )
                for perm in perms
            )
        return found

    def members(self) -> list[Member]:
        """Return the members, as the cluster (a majority of it) knows them."""
        return [
            Member(
                id=str(row["ID"]),
                name=str(row.get("name", "")),
                peers=tuple(row.get("peerURLs", [])),
                clients=tuple(row.get("clientURLs", [])),
                learner=bool(row.get("isLearner", False)),
            )
            for row in self.call("cluster/member/list").get("members", [])
        ]

    def led(self, prefix: str, end: str) -> bool:
        """Return whether a PostgreSQL cluster, or one of a sharded one's groups, has a leader.

        Args:
            prefix: where its keys are.
            end: of their range.
        """
        body = {"key": encode(prefix), "range_end": encode(end), "keys_only": True}
        rows = self.call("kv/range", body).get("kvs", [])
        names = (decode(row["key"]).removeprefix(prefix).split("/") for row in rows)
        return any(
            name[-1] == "leader" and (len(name) == 1 or (len(name) == 2 and name[0].isdigit()))
            for name in names
        )

    def add(self, peer: str, learner: bool = False) -> None:
        """Announce a new member by its address for peers, before it starts."""
        self.call("cluster/member/add", {"peerURLs": [peer], "isLearner": learner})

    def promote(self, member: str) -> None:
        """Give a learner its vote.

        Raises:
            EtcdError: it is none, or it hasn't the leader's data yet.
        """
        self.call("cluster/member/promote", {"ID": member})

    def lock(self, key: str, owner: str, seconds: int) -> str | None:
        """Take a lock that frees itself when its owner dies.

        Returns:
            The lease to give to :meth:`unlock`, or None while somebody else holds it.
        """
        lease = str(self.call("lease/grant", {"TTL": seconds})["ID"])
        put = {"key": encode(key), "value": encode(owner), "lease": lease}
        free = {"key": encode(key), "target": "CREATE", "result": "EQUAL", "create_revision": 0}
        answer = self.call("kv/txn", {"compare": [free], "success": [{"request_put": put}]})
        if answer.get("succeeded"):
            return lease
        self.unlock(lease)
        return None

    def unlock(self, lease: str) -> None:
        """Give a lock back."""
        self.call("lease/revoke", {"ID": lease})

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=DEADLINES["etcd.request"], context=self._tls
        )

    def _request(
        self, verb: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        connection = self._connect()
        try:
            connection.request(verb, path, body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"etcd {self.host}:{self.port} doesn't answer: {error}") from error
        finally:
            connection.close()
        try:
            data = json.loads(text)
        except ValueError:
            data = {"message": text.decode("utf-8", "replace").strip()}
        return answer.status, data if isinstance(data, dict) else {"message": str(data)}


def keep_alive(sock: socket.socket, silence: float) -> None:
    """Have the kernel probe a silent connection and give up after so many seconds."""
    interval = max(1, int(silence) // (PROBES + 1))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)


def encode(text: str) -> str:
    """Return a key or value as the API takes it."""
    return b64encode(text.encode()).decode()


def decode(text: str) -> str:
    """Return a key or value of the API as text."""
    return b64decode(text).decode("utf-8", "replace")
