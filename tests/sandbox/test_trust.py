"""Who trusts whom on real nodes: certificates and their renewal, etcd's users, local packages."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from expect import eventually

ADMIN, MEMBER, OTHER = "10.10.10.10", "10.10.10.11", "10.10.10.12"
NODES = (ADMIN, MEMBER, OTHER, "10.10.10.13")
PYTHON = "/opt/pigsty/venv/bin/python"
#: The core package as the minion has it.
CORE = "import sys; sys.path.insert(0, '/var/cache/salt/minion/extmods/utils')\n"

#: As a member's Patroni asks etcd: its certificate, its user. Prints what each request came to.
AS_PATRONI = (
    CORE
    + """
import json, yaml
from pigsty.clients.etcd import Etcd, EtcdError
conf = yaml.safe_load(open('/etc/patroni/config.yml'))['etcd3']
files = ('/pg/cert/ca.crt', '/pg/cert/server.crt', '/pg/cert/server.key')
def ask(what, user=True):
    etcd = Etcd('10.10.10.10', 2379, *files)
    try:
        if user:
            etcd.authenticate(conf['username'], conf['password'])
        return what(etcd)
    except EtcdError as error:
        return error.message
print(json.dumps({
    'health': ask(Etcd.healthy, False),
    'own': ask(lambda e: e.led('/pg/pg-test/', '/pg/pg-test0')),
    'other': ask(lambda e: e.led('/pg/pg-meta/', '/pg/pg-meta0')),
    'users': ask(Etcd.users),
    'nobody': ask(lambda e: e.led('/pg/pg-test/', '/pg/pg-test0'), False),
}))
"""
)

#: Puts a certificate of other names in the place of the infra node's, as an older inventory had it.
OUTDATE = (
    CORE
    + """
from datetime import UTC, datetime
from pathlib import Path
from pigsty import pki
ca = [Path('/etc/pigsty/pki', name).read_bytes() for name in ('ca.key', 'ca.crt')]
request = pki.make_csr(Path('/etc/pki/infra.key').read_bytes())
leaf = pki.Leaf('infra-1.infra', ('old.example',), ('10.10.10.10',), 365)
Path('/etc/pki/infra.crt').write_bytes(pki.sign(*ca, request, leaf, datetime.now(UTC)))
"""
)


def ok(node: Any, *command: str) -> str:
    """Run a command that has to succeed; return its output."""
    code, out, err = node.run(list(command))
    assert code == 0, f"{' '.join(command)}: {out}{err}"
    return str(out)


def applied(node: Any, sls: str) -> dict[str, Any]:
    """Apply one SLS on one node, after whatever runs there; return its states by their ids."""
    command = ["salt-call", "--out=json", "--retcode-passthrough", "state.apply", sls]
    done: list[tuple[int, str, str]] = []

    def ran() -> bool:
        done.append(node.run(command))
        return "is running as PID" not in done[-1][1]

    eventually("no other states run", ran, "reactions end")
    code, out, err = done[-1]
    assert code == 0, f"{out}{err}"
    return {state["__id__"]: state for state in json.loads(out)["local"].values()}


@pytest.mark.parametrize("host", NODES)
def test_the_key_of_the_ca_is_on_the_admin_node_alone(sandbox: Any, host: str) -> None:
    code, _out, _err = sandbox.node(host).run(["test", "-e", "/etc/pigsty/pki/ca.key"])
    assert (code == 0) is (host == ADMIN)


def test_every_member_has_a_key_of_its_own_that_nobody_else_may_read(sandbox: Any) -> None:
    keys = set()
    for host in NODES:
        mode, owner, total = ok(
            sandbox.node(host),
            "sh",
            "-c",
            "stat -c '%a %U' /pg/cert/server.key; sha256sum < /pg/cert/server.key",
        ).split()[:3]
        assert (mode, owner) == ("600", "postgres")
        keys.add(total)
    assert len(keys) == len(NODES)


def test_a_members_user_reaches_its_own_prefix_and_nothing_else(sandbox: Any) -> None:
    found = json.loads(ok(sandbox.node(MEMBER), PYTHON, "-c", AS_PATRONI))
    assert found["health"] is True
    assert found["own"] is True
    for refused in ("other", "users"):
        assert "permission denied" in found[refused]
    # A certificate opens the connection and gives no right.
    assert "permission denied" in found["nobody"] or "user name is empty" in found["nobody"]


@pytest.mark.parametrize("port", [2379, 2380])
def test_etcd_speaks_to_nobody_without_a_certificate(sandbox: Any, port: int) -> None:
    script = (
        "import socket, ssl\n"
        "c = ssl.create_default_context()\n"
        "c.check_hostname, c.verify_mode = False, ssl.CERT_NONE\n"
        f"p = socket.create_connection(('{ADMIN}', {port}), 5)\n"
        "s = c.wrap_socket(p); s.sendall(b'GET /health HTTP/1.0\\r\\n\\r\\n'); print(s.recv(100))\n"
    )
    code, out, _err = sandbox.node(OTHER).run([PYTHON, "-c", script])
    assert code != 0 or "200" not in out
    code, out, _err = sandbox.node(OTHER).run(
        ["curl", "-s", "-m", "5", f"http://{ADMIN}:{port}/health"]
    )
    assert "health" not in out


def test_nodes_install_from_the_admin_node_and_have_no_other_source(sandbox: Any) -> None:
    for host in NODES[1:]:
        node = sandbox.node(host)
        sources = ok(
            node,
            "sh",
            "-c",
            "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true",
        )
        assert [line for line in sources.splitlines() if line.startswith(("URIs", "deb"))] == [
            f"URIs: https://{ADMIN}/pigsty"
        ]
        ok(node, "apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")
    # Something that no state installs, with what it depends on.
    ok(sandbox.node(OTHER), "apt-get", "-qq", "install", "--simulate", "nginx")


def test_the_repository_is_not_taken_from_a_server_of_another_ca(sandbox: Any) -> None:
    script = (
        "apt-get -qq -o APT::Update::Error-Mode=any"
        f" -o Acquire::https::{ADMIN}::CAInfo=/etc/ssl/certs/ca-none.pem update"
    )
    code, _out, _err = sandbox.node(OTHER).run(["sh", "-c", script])
    assert code != 0


def test_a_certificate_that_no_longer_fits_is_replaced_and_served(
    sandbox: Any, report: Any
) -> None:
    node = sandbox.node(ADMIN)
    ok(node, PYTHON, "-c", OUTDATE)
    started = time.monotonic()
    states = applied(node, "infra.repo")
    report("replacement of a certificate", time.monotonic() - started, "s")
    change = states["infra-web-certificate"]["changes"]["/etc/pki/infra.crt"]
    assert change["old"] == "alternative names changed"
    assert list(states["infra-web"]["changes"]) == ["certificate"]
    # The one that is served now is good for 300 days more.
    shown = f"openssl s_client -connect {ADMIN}:443 </dev/null 2>/dev/null"
    ok(node, "sh", "-c", f"{shown} | openssl x509 -noout -checkend {300 * 86400}")
    again = applied(node, "infra.repo")
    assert [name for name, state in again.items() if state["changes"]] == []


def test_a_right_that_somebody_gave_by_hand_is_taken_back(sandbox: Any) -> None:
    node = sandbox.node(ADMIN)
    script = (
        ". /etc/profile.d/etcdctl.sh; "
        "export ETCDCTL_USER=root ETCDCTL_PASSWORD=$(cat /etc/etcd/etcd.pass); "
        "etcdctl role grant-permission pg-test read /pg/pg-meta/leader"
    )
    ok(node, "sh", "-c", script)
    states = applied(node, "etcd")
    assert states["etcd-users"]["changes"]["users"]["new"] == [
        "role pg-test: /pg/pg-meta/leader revoked"
    ]
    again = applied(node, "etcd")
    assert [name for name, state in again.items() if state["changes"]] == []


def test_a_members_space_is_given_back_at_night(sandbox: Any) -> None:
    node = sandbox.node(ADMIN)
    assert ok(node, "systemctl", "is-enabled", "pigsty-etcd-defrag.timer").strip() == "enabled"
    ok(node, "systemctl", "start", "pigsty-etcd-defrag.service")
