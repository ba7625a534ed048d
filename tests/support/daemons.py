"""Real stores on loopback for tests and benchmarks: an agent of Consul, a cluster of etcd."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import debian

from pigsty import pki
from pigsty.clients.etcd import Etcd, encode
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.errors import ClientError

#: Seconds until a daemon on two busy cores answers.
START = 60.0
PASSWORD = "for-tests"
WATCHER = "pigsty_watch"


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that are free now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def until(what: str, look: Callable[[], Any], seconds: float = START) -> Any:
    """Return the first truthy value of ``look``, or fail; an answer that fails is "not yet"."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            if last := look():
                return last
        except (OSError, ClientError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:.0f} s; last: {last!r}")


@dataclass
class Daemon:
    """A program that runs in the background; what it says goes to a file."""

    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.tell(how)
        self.wait()

    def tell(self, how: signal.Signals) -> None:
        """Send a signal, also to one that is frozen."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)

    def wait(self, seconds: float = 30.0) -> None:
        """Wait for its end."""
        if self.process is not None:
            self.process.wait(seconds)
            self.process = None

    def freeze(self) -> None:
        """It hears and says nothing, and its connections stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Consul:
    """A server of Consul with access rules: who has no token reads nothing.

    Args:
        folder: where everything is.
        tls: it is reached by https alone, with a certificate of an authority of its own.
    """

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        http, lan, server = free_ports(3)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{http}"
        self.master = str(uuid.uuid4())
        self.ca = ""
        files: dict[str, str] = {}
        if tls:
            self.ca, cert, key = certificates(folder, pki.create_ca("consul-ca", 2))
            files = {"ca_file": self.ca, "cert_file": cert, "key_file": key}
        config: dict[str, Any] = {
            **files,
            "server": True,
            "bootstrap_expect": 1,
            "data_dir": str(folder / "data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "ports": {"https" if tls else "http": http, "http" if tls else "https": -1,
                      "serf_lan": lan, "serf_wan": -1, "server": server, "dns": -1, "grpc": -1},
            "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": self.master}},
            # Elections of a server that is alone need no patience.
            "performance": {"raft_multiplier": 1},
        }  # fmt: skip
        file = folder / "consul.json"
        file.write_text(json.dumps(config))
        program = debian.program("consul", "bullseye", "usr/bin/consul")
        self.daemon = Daemon([str(program), "agent", f"-config-file={file}"], folder / "consul.log")

    def start(self) -> None:
        self.daemon.start()
        until("Consul takes writes", lambda: self.put("pigsty-test", "up"))

    def call(self, verb: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self.url}/v1/{path}", data=body, method=verb)
        request.add_header("X-Consul-Token", self.master)
        trust = ssl.create_default_context(cafile=self.ca) if self.ca else None
        with closing(urllib.request.urlopen(request, timeout=5, context=trust)) as answer:
            return json.loads(answer.read())

    def put(self, key: str, value: str) -> bool:
        return bool(self.call("PUT", f"kv/{key}", value.encode()))

    def delete(self, key: str, recurse: bool = False) -> None:
        self.call("DELETE", f"kv/{key}{'?recurse=true' if recurse else ''}")

    def token(self, prefix: str) -> str:
        """Return a new token that may read below a prefix and nothing else."""
        return self.grant(f'key_prefix "{prefix}" {{ policy = "read" }}')

    def keys(self, prefix: str = "") -> set[str]:
        """Return the names of all keys below a prefix."""
        try:
            return set(self.call("GET", f"kv/{prefix}?keys"))
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return set()

    def grant(self, rules: str) -> str:
        """Return a new token with these rules."""
        name = f"test-{uuid.uuid4()}"
        self.call("PUT", "acl/policy", json.dumps({"Name": name, "Rules": rules}).encode())
        body = json.dumps({"Policies": [{"Name": name}]}).encode()
        return str(self.call("PUT", "acl/token", body)["SecretID"])


class EtcdCluster:
    """Members of etcd with TLS, users and the watching user, as a deployment has them."""

    def __init__(
        self,
        folder: Path,
        members: int = 1,
        *,
        ca: tuple[bytes, bytes] | None = None,
        password: str = PASSWORD,
    ) -> None:
        self.folder, self.password = folder, password
        self.ca, self.cert, self.key = certificates(folder, ca or pki.create_ca("test-ca", 2))
        ports = free_ports(2 * members)
        self.ports = ports[:members]
        peers = {f"m{n}": ports[members + n] for n in range(members)}
        program = debian.program("etcd-server", "trixie", "usr/bin/etcd")
        self.members: list[Daemon] = []
        for number, (name, peer) in enumerate(peers.items()):
            client = f"https://127.0.0.1:{self.ports[number]}"
            options = {
                "name": name,
                "data-dir": str(folder / name),
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": f"http://127.0.0.1:{peer}",
                "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
                "initial-cluster": ",".join(f"{n}=http://127.0.0.1:{p}" for n, p in peers.items()),
                "cert-file": self.cert,
                "key-file": self.key,
                "trusted-ca-file": self.ca,
                "log-level": "warn",
                "unsafe-no-fsync": "true",
                # Each login costs a hash, on purpose; here it need not cost 100 ms of a busy core.
                "bcrypt-cost": "4",
            }
            words = [f"--{key}={value}" for key, value in options.items()]
            command = [str(program), "--client-cert-auth", *words]
            self.members.append(Daemon(command, folder / f"{name}.log"))

    def start(self) -> None:
        for member in self.members:
            member.start()
        until("etcd has a leader", lambda: self.client().healthy())
        self._users()

    def stop(self) -> None:
        for member in self.members:
            member.stop()

    def client(self, number: int = 0) -> Etcd:
        return Etcd("127.0.0.1", self.ports[number], self.ca, self.cert, self.key)

    def root(self, number: int = 0) -> Etcd:
        found = self.client(number)
        found.authenticate("root", PASSWORD)
        return found

    def store(self) -> EtcdStore:
        clients = [self.client(number) for number in range(len(self.members))]
        return EtcdStore(clients, WATCHER, self.password)

    def put(self, client: Etcd, key: str, value: str) -> int:
        """Write a key; return its revision."""
        answer = client.call("kv/put", {"key": encode(key), "value": encode(value)})
        return int(answer["header"]["revision"])

    def delete(self, client: Etcd, key: str) -> None:
        client.call("kv/deleterange", {"key": encode(key)})

    def _users(self) -> None:
        client = self.client()
        client.call("auth/user/add", {"name": "root", "password": PASSWORD})
        client.call("auth/role/add", {"name": "root"})
        client.call("auth/user/grant", {"user": "root", "role": "root"})
        client.call("auth/user/add", {"name": WATCHER, "password": self.password})
        client.call("auth/role/add", {"name": WATCHER})
        perm = {"permType": "READ", "key": encode("/pg/"), "range_end": encode("/pg0")}
        client.call("auth/role/grant", {"name": WATCHER, "perm": perm})
        client.call("auth/user/grant", {"user": WATCHER, "role": WATCHER})
        client.call("auth/enable")


def certificates(
    folder: Path, authority: tuple[bytes, bytes], addresses: Sequence[str] = ("127.0.0.1",)
) -> tuple[str, str, str]:
    """Write a server's certificate into a folder; return the files of CA, certificate and key.

    Args:
        folder: where to.
        authority: key and certificate of who signs.
        addresses: where the server is reached.
    """
    ca_key, ca = authority
    key = pki.make_key()
    leaf = pki.Leaf("server.test", ("localhost",), tuple(addresses), 1)
    cert = pki.sign(ca_key, ca, pki.make_csr(key), leaf, datetime.now(UTC))
    files = (folder / "ca.crt", folder / "server.crt", folder / "server.key")
    for file, content in zip(files, (ca, cert, key), strict=True):
        file.write_bytes(content)
    return tuple(map(str, files))  # type: ignore[return-value]
