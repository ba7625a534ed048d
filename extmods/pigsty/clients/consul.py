"""Reading, watching and deleting keys of Consul's key-value store.

A watch is one blocking query after the other. Such a query answers once something below the prefix
is another than at an index, and then with everything below it. So what has changed is found by
comparing with what was known, and a key that came and went between two answers is not seen.

The client is py-consul: Patroni uses it too, and it is kept; python-consul, whose import name it
has, had its last release in 2018. It is imported when a store is first asked, because most
deployments are on etcd and need not pay for it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pigsty.clients.etcd import PROBES
from pigsty.clients.store import Gap, Snapshot, Update
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

#: Seconds between two answers of a watch. Each brings all keys, and with many clusters one of them
#: changes all the time; a change of the leader is still told well within 0.3 s.
PACE = 0.1


@dataclass(frozen=True, slots=True)
class Address:
    """How Consul is reached.

    Attributes:
        url: ``http://127.0.0.1:8500`` and the like.
        token: ACL token, "" for none.
        ca: CA certificate file for https; "": the operating system's.
    """

    url: str
    token: str = field(default="", repr=False)
    ca: str = ""


class ConsulError(ClientError):
    """Consul refused or didn't answer; says where and why."""


class ConsulStore:
    """An agent of Consul as a store.

    Args:
        address: how it is reached.
        pause: waits between two answers of a watch; a test passes its own.
    """

    def __init__(self, address: Address, pause: Callable[[float], None] = time.sleep) -> None:
        self._address, self._pause = address, pause
        self._client: Any = None
        self._known: dict[str, dict[str, str]] = {}

    def read(self, prefix: str) -> Snapshot:
        """Return everything below a prefix, as the majority of Consul's servers has it.

        Raises:
            ClientError: Consul didn't answer, or refused.
        """
        index, pairs = self._get(prefix, consistency="consistent")
        self._known[prefix] = pairs
        return Snapshot(index, list(pairs.items()))

    def watch(self, prefix: str, revision: int) -> Iterator[Update]:
        """Yield what changes below a prefix after the read that gave a revision.

        An update comes at least every ``dcs.resync`` seconds, without pairs when nothing changed.

        Raises:
            Gap: Consul's index went back: it was restored or set up anew.
            ClientError: Consul didn't answer, or refused.
        """
        wait = f"{DEADLINES['dcs.resync']:.0f}s"
        while True:
            index, pairs = self._get(prefix, index=revision, wait=wait)
            if index < revision:
                raise Gap(f"Consul {self._address.url}: its index went from {revision} to {index}")
            yield Update(index, differences(self._known.get(prefix, {}), pairs))
            self._known[prefix], revision = pairs, index
            self._pause(PACE)

    def delete(self, key: str) -> None:
        """Delete a key, or all below one that ends with a slash; none is no error.

        Raises:
            ClientError: Consul didn't answer, or refused.
        """
        name = key.strip("/")
        if not name:
            raise ConsulError(f"Consul {self._address.url}: all of its keys are nobody's to delete")
        below = key.endswith("/")
        # Below a name is below its slash: Consul takes any beginning of a key for a prefix.
        self._ask("delete", f"{name}/" if below else name, key, recurse=below or None)

    def prove(self, prefix: str) -> None:
        """See that the token may write below a prefix.

        One that may not even read sees nothing, and Consul says nothing about it: a cluster that
        lives would seem to be gone.

        Raises:
            ClientError: it may not, or Consul didn't answer.
        """
        # Nothing has this index: it is the right that is asked for, and no key is touched.
        probe = f"{prefix.strip('/')}/pigsty-may-write"
        self._ask("delete", probe, prefix, cas=1)

    def _get(self, prefix: str, **options: Any) -> tuple[int, dict[str, str]]:
        index, rows = self._ask("get", prefix.lstrip("/"), prefix, recurse=True, **options)
        return int(index), {f"/{row['Key']}": _text(row["Value"]) for row in rows or ()}

    def _ask(self, verb: str, key: str, what: str, **options: Any) -> Any:
        """Call the library; ``what`` is the key as it is said to a person."""
        if self._client is None:
            self._client = _client(self._address)
        import consul
        import requests

        try:
            # The token goes with each request: the library prefers one of its environment.
            token = self._address.token or None
            return getattr(self._client.kv, verb)(key, token=token, **options)
        except consul.ACLPermissionDenied as error:
            right = {"get": "read"}.get(verb, "write")
            raise ConsulError(
                f"Consul {self._address.url} refuses the token to {right} {what}: {_short(error)}"
            ) from error
        except (consul.ConsulException, requests.RequestException) as error:
            raise ConsulError(
                f"Consul {self._address.url} doesn't answer: {_short(_root(error))}"
            ) from error


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Return keys with their new values, None for those that are gone."""
    gone: list[tuple[str, str | None]] = [(key, None) for key in sorted(old.keys() - new.keys())]
    return gone + [(key, new[key]) for key in sorted(new) if new[key] != old.get(key)]


def parse_url(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address of Consul.

    Raises:
        ConsulError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 8500
    except ValueError as error:
        raise ConsulError(f"pg_consul_url {url}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ConsulError(f"pg_consul_url {url}: expected http://HOST:PORT or https://HOST:PORT")
    return parts.scheme, parts.hostname, port


def _client(address: Address) -> Any:
    try:
        import consul
        from requests.adapters import HTTPAdapter
    except ImportError as error:
        raise ConsulError(
            "a cluster uses Consul, and the Python package py-consul is missing on this machine, "
            "which was installed before it was needed: install it into the environment that Salt "
            "runs in (docs/consul.md)"
        ) from error
    scheme, host, port = parse_url(address.url)
    client = consul.Consul(
        host=host,
        port=port,
        scheme=scheme,
        verify=address.ca or True,
        connections_timeout=DEADLINES["consul.request"],
    )
    adapter = HTTPAdapter()
    # A blocking query is silent for a minute: TCP's own probes find an agent that is gone.
    interval = max(1, int(DEADLINES["etcd.silence"]) // (PROBES + 1))
    adapter.init_poolmanager(
        1,
        1,
        socket_options=[
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES),
        ],
    )
    client.http.session.mount(f"{scheme}://", adapter)
    # The operating system's proxies are not for an agent in the same network.
    client.http.session.trust_env = False
    return client


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _root(error: BaseException) -> BaseException:
    """Return what an error began with: the libraries wrap a refused connection three times."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:199]}…"
