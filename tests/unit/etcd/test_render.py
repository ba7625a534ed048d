"""The configuration of a member, and what it takes to have the right users."""

from __future__ import annotations

import base64

import pytest
import yaml

from pigsty.render import etcd

MEMBERS = [
    {"ip": f"10.0.0.{n}", "name": f"etcd-{n}", "peer_port": 2380, "port": 2379} for n in (1, 2, 3)
]
PILLAR = {
    "cluster": "etcd",
    "data": "/data/etcd",
    "election": 1000,
    "heartbeat": 100,
    "init": "new",
    "ip": "10.0.0.2",
    "learner": False,
    "members": MEMBERS,
    "name": "etcd-2",
    "peer_port": 2380,
    "platform": {"conf": "/etc/etcd", "unit": "etcd.service", "user": "etcd"},
    "port": 2379,
    "root_password": "Root.Token",
    "users": [
        {"name": "pg-test", "password": "Pg.Token", "prefix": "/pg/pg-test/", "right": "READWRITE"}
    ],
}
USER = PILLAR["users"][0]
RIGHT = ("READWRITE", "/pg/pg-test/", "/pg/pg-test0")


def text_of(path, start=None):
    files = {f.path: f for f in etcd.files(PILLAR, start or etcd.initial(PILLAR))}
    return files[path].contents


def test_configuration_is_yaml_with_tls_everywhere():
    data = yaml.safe_load(text_of(etcd.CONF))
    assert data["name"] == "etcd-2"
    assert data["initial-cluster"] == (
        "etcd-1=https://10.0.0.1:2380,etcd-2=https://10.0.0.2:2380,etcd-3=https://10.0.0.3:2380"
    )
    assert data["initial-cluster-state"] == "new"
    for side in ("client-transport-security", "peer-transport-security"):
        assert data[side]["client-cert-auth"] is True
        assert data[side]["trusted-ca-file"] == etcd.CA
    urls = [value for key, value in data.items() if key.endswith("-urls")]
    assert urls
    assert all(url.startswith("https://") for value in urls for url in value.split(","))
    assert data["enable-grpc-gateway"] is True
    assert data["auto-compaction-mode"] == "periodic"
    assert data["quota-backend-bytes"] == 8 * 2**30


def test_no_file_but_the_password_file_holds_a_secret():
    for file in etcd.files(PILLAR, etcd.initial(PILLAR)):
        assert "Token" not in (getattr(file, "contents", "") or "")


def test_how_a_member_found_its_cluster_is_read_back():
    joined = etcd.joining(
        [("etcd-1", "https://10.0.0.1:2380"), ("etcd-2", "https://10.0.0.2:2380")]
    )
    for start in (etcd.initial(PILLAR), joined):
        assert etcd.kept(etcd.config(PILLAR, start)) == start


@pytest.mark.parametrize("text", [None, "", "initial-cluster: \n", "name: x\n"])
def test_a_file_that_does_not_say_is_none(text):
    assert etcd.kept(text) is None


def test_a_grown_cluster_is_no_change_for_a_member_that_has_data():
    small = {**PILLAR, "members": MEMBERS[:2]}
    before = etcd.config(small, etcd.initial(small))
    after = etcd.config(PILLAR, etcd.kept(before))
    assert after == before


def test_a_fingerprint_is_of_configuration_ca_and_unit():
    one = etcd.fingerprint("a", "ca")
    assert one == etcd.fingerprint("a", "ca")
    assert len({one, etcd.fingerprint("b", "ca"), etcd.fingerprint("a", "other")}) == 3


def test_the_unit_does_not_start_unconfigured():
    text = etcd.drop_in()
    assert f"ConditionPathExists={etcd.CONF}" in text
    # The packaged command line is taken out before ours is put in.
    assert text.index("ExecStart=\n") < text.index("ExecStart=/usr/bin/etcd --config-file")


@pytest.mark.parametrize(("place", "time"), [(0, "02:00:00"), (2, "02:20:00"), (7, "03:10:00")])
def test_members_defragment_one_after_the_other(place, time):
    members = [{**MEMBERS[0], "name": f"etcd-{n}"} for n in range(1, 10)]
    pillar = {**PILLAR, "members": members, "name": f"etcd-{place + 1}"}
    files = {f.path: f for f in etcd.files(pillar, etcd.initial(pillar))}
    assert f"OnCalendar=*-*-* {time}\n" in files[f"{etcd.DEFRAG}.timer"].contents


def test_the_shell_of_an_operator_knows_the_endpoints():
    text = text_of(etcd.PROFILE)
    assert (
        "ETCDCTL_ENDPOINTS=https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379"
        in text
    )


def test_a_prefix_ends_before_its_neighbours():
    assert etcd.range_end("/pg/a/") == "/pg/a0"
    low, high = "/pg/a/", etcd.range_end("/pg/a/")
    assert low <= "/pg/a/leader" < high
    for other in ("/pg/a-2/leader", "/pg/ab/leader", "/pg/b/leader", "/pg/a"):
        assert not low <= other < high


def what(steps):
    return [step.what for step in steps]


def test_a_new_store_gets_everything():
    assert what(etcd.steps([USER], {}, {})) == [
        "role pg-test: added",
        "role pg-test: /pg/pg-test/ granted",
        "user pg-test: added",
        "user pg-test: is pg-test",
    ]


def test_what_is_right_needs_no_step():
    assert etcd.steps([USER], {"pg-test": ("pg-test",)}, {"pg-test": (RIGHT,)}) == []


def test_a_step_never_shows_a_password():
    steps = etcd.steps([USER], {}, {}) + etcd.enabling("Root.Token")
    assert any("Token" in str(step.body) for step in steps)
    assert "Token" not in repr(steps)
    assert "Token" not in str(what(steps))


def test_a_permission_is_granted_as_bytes():
    step = next(s for s in etcd.steps([USER], {}, {}) if s.path == "auth/role/grant")
    perm = step.body["perm"]
    assert base64.b64decode(perm["key"]) == b"/pg/pg-test/"
    assert base64.b64decode(perm["range_end"]) == b"/pg/pg-test0"


def test_too_much_is_taken_back():
    wide = ("READWRITE", "/", "0")
    steps = etcd.steps([USER], {"pg-test": ("pg-test", "root")}, {"pg-test": (wide, RIGHT)})
    assert what(steps) == ["role pg-test: / revoked", "user pg-test: not root"]


def test_another_password_is_set():
    found = {"pg-test": ("pg-test",)}
    steps = etcd.steps([USER], found, {"pg-test": (RIGHT,)}, stale=["pg-test"])
    assert what(steps) == ["user pg-test: password"]


def test_a_cluster_that_is_gone_is_removed_with_its_user():
    old = etcd.permission("/pg/old/")
    steps = etcd.steps([], {"old": ("old",)}, {"old": (old,)}, gone=["old"])
    assert what(steps) == ["user old: removed", "role old: removed"]


def test_leftovers_are_only_roles_of_our_kind():
    roles = {
        "root": (),
        "pg-test": (RIGHT,),
        "old": (etcd.permission("/pg/old/"),),
        "watcher": (("READ", "/pg/", "/pg0"),),
        "backup": (("READWRITE", "/backup/", "/backup1"),),
        "two": (etcd.permission("/pg/two/"), ("READ", "/x", "/y")),
    }
    assert etcd.leftovers([USER], roles) == {"old": "/pg/old/"}


def test_the_digest_follows_passwords_and_names_alone():
    one = etcd.digest("r", [USER])
    assert one == etcd.digest("r", [dict(reversed(USER.items()))])
    assert one != etcd.digest("x", [USER])
    assert one != etcd.digest("r", [{**USER, "password": "y"}])
    assert "Pg.Token" not in one


def test_a_store_is_closed_last():
    assert what(etcd.enabling("x"))[-1] == "users: enabled"
