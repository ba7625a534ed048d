"""The CA's replacement: which phase comes next, and files that survive a cut at any point."""

from __future__ import annotations

import pytest

from pigsty import pki
from pigsty.authority import Authorities, Node, phase, steps
from pigsty_cli import replacing
from pigsty_cli.errors import Refused

A, B = "a" * 40, "b" * 40


def node(issuer=A, *trusted):
    return Node({"/pg/cert/server.crt": issuer}, {"/etc/pki/ca.crt": trusted or (A,)})


@pytest.mark.parametrize(
    ("files", "nodes", "expected"),
    [
        (Authorities(A), {"1": node(), "2": node()}, ("begin", ())),
        (Authorities(A, next=B), {"1": node(A, A, B), "2": node(A, A)}, ("trust", ("2",))),
        (Authorities(A, next=B), {"1": node(A, A, B)}, ("sign", ())),
        (Authorities(A, old=A, next=B), {"1": node(A, A, B)}, ("sign", ())),
        (Authorities(B, old=A, next=B), {"1": node(B, A, B)}, ("sign", ())),
        (Authorities(B, old=A), {"1": node(A, A, B), "2": node(B, A, B)}, ("reissue", ("1",))),
        (Authorities(B, old=A), {"1": node(B, A, B)}, ("drop", ())),
        (Authorities(B), {"1": node(B, A, B), "2": node(B, B)}, ("settle", ("1",))),
        (Authorities(B), {"1": node(B, B)}, ("begin", ())),
    ],
)
def test_the_phase_is_read_from_what_the_machines_hold(files, nodes, expected):
    found = phase(files, nodes)
    assert (found.name, found.hosts) == expected


def test_a_bundle_that_lacks_the_next_ca_holds_the_phase_back():
    held = Node({}, {"/etc/pki/ca.crt": (A, B), "/etc/etcd/ca.crt": (A,)})
    assert phase(Authorities(A, next=B), {"1": held}).name == "trust"


def test_a_run_goes_from_its_phase_to_the_end():
    assert steps("begin") == ("begin", "trust", "sign", "reissue", "drop")
    assert steps("reissue") == ("reissue", "drop")
    assert steps("settle") == ("settle",)


@pytest.fixture
def folder(tmp_path):
    key, certificate = pki.create_ca("pigsty-ca", 100)
    (tmp_path / "ca.key").write_bytes(key)
    (tmp_path / "ca.crt").write_bytes(certificate)
    replacing.begin("pigsty-ca", tmp_path)
    return tmp_path


def test_the_next_ca_has_a_key_that_root_alone_reads(folder):
    assert (folder / "ca.next.key").stat().st_mode & 0o777 == 0o600
    files = replacing.files(folder)
    assert files.current
    assert files.next not in ("", files.current)
    assert files.old == ""


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_the_change_of_the_signing_ca_is_finished_wherever_it_was_cut_off(folder, moves):
    before = replacing.files(folder)
    (folder / "ca.old.crt").write_bytes((folder / "ca.crt").read_bytes())
    for new, place in (("ca.next.key", "ca.key"), ("ca.next.crt", "ca.crt"))[:moves]:
        (folder / new).rename(folder / place)
    if moves < 2:
        assert phase(replacing.files(folder), {}).name == "sign"
        replacing.sign(folder)
    now = replacing.files(folder)
    assert (now.current, now.old, now.next) == (before.next, before.current, "")
    assert pki.belong((folder / "ca.key").read_bytes(), (folder / "ca.crt").read_bytes())
    replacing.drop(folder)
    assert replacing.files(folder).old == ""


def test_half_a_pair_of_ones_own_is_refused(folder):
    (folder / "ca.next.key").unlink()
    with pytest.raises(Refused, match="only one is there"):
        replacing.files(folder)


def test_a_pair_that_does_not_fit_is_refused(folder):
    (folder / "ca.next.key").write_bytes((folder / "ca.key").read_bytes())
    with pytest.raises(Refused, match="belong together"):
        replacing.files(folder)


def test_a_leaf_names_the_ca_it_is_of(folder):
    from datetime import UTC, datetime

    key, ca = (folder / "ca.key").read_bytes(), (folder / "ca.crt").read_bytes()
    leaf = pki.Leaf("x", ("x",), (), 10)
    cert = pki.sign(key, ca, pki.make_csr(pki.make_key()), leaf, datetime.now(UTC))
    assert pki.issuer(cert) == pki.identity(ca) == replacing.files(folder).current
    assert pki.issuer(cert) != replacing.files(folder).next


class Hands:
    """Nodes in memory, which do what an apply does: take the bundle, and leaves of the CA."""

    def __init__(self, folder, hosts=("10.10.10.10", "10.10.10.11")):
        self.folder, self.said, self.log = folder, [], []
        self.topology = type("T", (), {"nodes": dict.fromkeys(hosts)})
        self.say = self.said.append
        self.trusted, self.leaf = {}, {}
        self.deaf = ()
        self.apply(hosts)
        self.reissue(hosts, ())
        self.log.clear()

    def apply(self, hosts, modules=()):
        names = ("ca.old.crt", "ca.crt", "ca.next.crt")
        present = [(self.folder / n) for n in names if (self.folder / n).exists()]
        known = [pki.identity(path.read_bytes()) for path in present]
        self.trusted |= {host: known for host in hosts if host not in self.deaf}
        self.log.append("apply")

    def reissue(self, hosts, modules):
        key, ca = (self.folder / "ca.key").read_bytes(), (self.folder / "ca.crt").read_bytes()
        from datetime import UTC, datetime

        leaf = pki.Leaf("x", ("x",), (), 10)
        for host in hosts:
            request = pki.make_csr(pki.make_key())
            self.leaf[host] = pki.sign(key, ca, request, leaf, datetime.now(UTC)).decode()
        self.log.append("reissue")

    def certificates(self, hosts, wait=False):
        return {
            host: {
                "leaves": [{"role": "pgsql", "path": "/pg", "pem": self.leaf[host]}],
                "trusted": {"/etc/pki/ca.crt": self.trusted[host]},
            }
            for host in hosts
        }


def test_a_whole_run_trusts_before_it_signs_and_drops_at_the_end(folder):
    hands = Hands(folder)
    old = replacing.files(folder).current
    done = replacing.run(hands, "pigsty-ca", "trust", folder)
    assert done == ["trust", "sign", "reissue", "drop"]
    assert hands.log == ["apply", "reissue", "apply"]
    now = replacing.files(folder)
    assert now.current != old
    assert set(map(tuple, hands.trusted.values())) == {(now.current,)}
    assert {pki.issuer(pem.encode()) for pem in hands.leaf.values()} == {now.current}
    assert phase(now, replacing.nodes(hands.certificates(hands.topology.nodes))).name == "begin"


def test_a_node_that_did_not_take_the_bundle_ends_the_run_before_the_new_ca_signs(folder):
    hands = Hands(folder)
    (folder / "ca.next.key").unlink()
    (folder / "ca.next.crt").unlink()
    hands.apply(hands.topology.nodes)
    replacing.begin("pigsty-ca", folder)
    hands.deaf = ("10.10.10.11",)
    old = replacing.files(folder).current
    with pytest.raises(Refused, match=r"trust was carried out, but not on 10\.10\.10\.11"):
        replacing.run(hands, "pigsty-ca", "trust", folder)
    assert replacing.files(folder).current == old
    hands.deaf = ()
    assert replacing.run(hands, "pigsty-ca", "trust", folder)[-1] == "drop"
