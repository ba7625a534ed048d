"""A node: HAProxy goes on serving, packages heal, the admin user gets around."""

from __future__ import annotations

import json
from typing import Any

import pytest

HOST = "10.10.10.13"


def _services(node: Any, text: str | None) -> dict[str, Any]:
    """Apply a service file of our own; None for none. Return what the state says."""
    files = {} if text is None else {"zz-test.cfg": text}
    command = ["salt-call", "--out=json", "state.single", "pigsty_haproxy.services"]
    command += ["name=test", "prefix=zz-", "owner=test", f"files={json.dumps(files)}"]
    _code, out, err = node.run(command)
    assert out.strip(), err
    (state,) = json.loads(out)["local"].values()
    return dict(state)


def _workers(node: Any) -> str:
    """When HAProxy was started: a restart shows as another time, a reload doesn't."""
    command = ["systemctl", "show", "-p", "ExecMainStartTimestampMonotonic", "--value", "haproxy"]
    return str(node.run(command)[1]).strip()


def _listens(node: Any, port: int) -> bool:
    return node.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"])[0] == 0


@pytest.fixture
def node(sandbox: Any) -> Any:
    """A node whose HAProxy serves one more port while a scenario runs."""
    machine = sandbox.node(HOST)
    assert _services(machine, "listen zz-test\n    bind *:2299\n")["result"] is True
    yield machine
    assert _services(machine, None)["result"] is True
    assert not _listens(machine, 2299)


def test_a_service_is_there_at_once_and_the_second_time_nothing_happens(node: Any) -> None:
    assert _listens(node, 2299)
    again = _services(node, "listen zz-test\n    bind *:2299\n")
    assert (again["result"], again["changes"]) == (True, {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lsten zz-test\n    bind *:2300\n", "unknown keyword 'lsten'"),
        # That a port is taken shows only when a new worker binds it.
        ("listen zz-test\n    bind *:22\n", "Address already in use"),
    ],
)
def test_a_service_that_haproxy_refuses_leaves_the_old_ones_serving(
    node: Any, text: str, why: str
) -> None:
    started = _workers(node)
    state = _services(node, text)
    assert state["result"] is False
    assert why in state["comment"]
    assert _listens(node, 2299) and _listens(node, 5433)
    assert "bind *:2299" in node.run(["cat", "/etc/haproxy/conf.d/zz-test.cfg"])[1]
    assert _workers(node) == started


def test_packages_that_were_left_half_installed_are_finished(sandbox: Any) -> None:
    node = sandbox.node(HOST)
    script = "cd /run && apt-get -q download ncdu && dpkg --unpack ncdu_*.deb && rm ncdu_*.deb"
    code, _out, err = node.run(["sh", "-c", script])
    assert code == 0, err
    node.run(["touch", "/var/lib/dpkg/updates/0001"])
    code, out, err = node.run(
        ["salt-call", "--retcode-passthrough", "state.apply", "node.packages"]
    )
    assert code == 0, out + err
    code, out, _ = node.run(["dpkg-query", "-W", "-f=${db:Status-Status}", "ncdu"])
    assert out == "installed"


def test_the_admin_user_reaches_its_cluster_and_the_admin_node_reaches_all(sandbox: Any) -> None:
    ssh = "ssh -o BatchMode=yes -o ConnectTimeout=5"
    for origin, target in (
        ("10.10.10.11", "pg-test-2"),
        ("10.10.10.12", "10.10.10.13"),
        ("10.10.10.10", "10.10.10.11"),
    ):
        command = ["su", "-", "dba", "-c", f"{ssh} {target} sudo -n id -un"]
        code, out, err = sandbox.node(origin).run(command)
        assert (code, out.strip()) == (0, "root"), f"{origin} to {target}: {err}"
    command = ["su", "-", "dba", "-c", f"{ssh} 10.10.10.10 true"]
    assert sandbox.node("10.10.10.11").run(command)[0] != 0


def test_a_members_haproxy_shows_its_metrics_to_all_and_its_page_to_nobody(sandbox: Any) -> None:
    node = sandbox.node(HOST)
    page = "curl -s -o /dev/null -w %{http_code} http://10.10.10.11:9101"
    assert node.run(["sh", "-c", f"{page}/metrics"])[1] == "200"
    assert node.run(["sh", "-c", f"{page}/"])[1] == "401"
