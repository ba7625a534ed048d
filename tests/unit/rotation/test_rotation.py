"""What was rotated: generations, moments, their file, and whose turn it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigsty.errors import PillarError
from pigsty.pillar.site import Site
from pigsty.rotation import Rotation, fixed, waves

NOW = datetime(2026, 11, 21, 6, 40, 12, 345678, tzinfo=UTC)
ONE = ("pg-test", "pg_replication_password")


def test_a_password_that_was_never_rotated_stays_what_it_was():
    site = Site(key=bytes(32), ca="")
    # Of older deployments too: HMAC-SHA-256 of scope and name under a key of zeros.
    assert site.secret("pg-test", "patroni_password") == "nOD3Rx4GMXGniO-1BTiLs-NF"
    rotated = Site(key=bytes(32), ca="", rotation=Rotation().next_passwords([ONE]))
    assert rotated.secret(*ONE) != site.secret(*ONE)
    assert rotated.secret("pg-meta", ONE[1]) == site.secret("pg-meta", ONE[1])


def test_each_generation_is_another_password():
    rotation, seen = Rotation(), set()
    for _ in range(4):
        seen.add(Site(key=bytes(32), ca="", rotation=rotation).secret(*ONE))
        rotation = rotation.next_passwords([ONE])
    assert len(seen) == 4
    assert rotation.generation(*ONE) == 5


def test_the_file_says_all_and_no_secret():
    rotation = Rotation().next_passwords([ONE, ("all", "etcd_root_password")])
    rotation = rotation.new_certificates([("10.10.10.11", "pgsql")], NOW)
    text = rotation.text()
    assert Rotation.parse(text) == rotation
    assert "2026-11-21T06:40:12Z" in text
    site = Site(key=bytes(32), ca="", rotation=rotation)
    assert site.secret(*ONE) not in text


def test_no_file_is_the_first_generation_of_everything():
    assert Rotation.parse("") == Rotation()
    assert Rotation().generation(*ONE) == 1
    assert Rotation().since("10.10.10.11", "pgsql") == ""


@pytest.mark.parametrize(
    "text",
    [
        "passwords: {nonsense: 2}",
        "passwords: {a/b: x}",
        "certificates: {10.10.10.11/pgsql: yesterday}",
        "- a list",
        "passwords: [",
    ],
)
def test_a_broken_file_stops_the_pillar_instead_of_going_back_to_old_passwords(text):
    with pytest.raises(PillarError, match="restore it"):
        Rotation.parse(text)


def test_a_site_reads_what_was_rotated_and_all_cas_beside_its_key(tmp_path):
    (tmp_path / "secret.key").write_text("00" * 32)
    (tmp_path / "ca.crt").write_text("CURRENT")
    read = lambda: Site.read(tmp_path / "secret.key", tmp_path / "ca.crt", tmp_path)  # noqa: E731
    assert (read().trusted, read().rotation) == ("CURRENT", Rotation())
    (tmp_path / "rotation.yml").write_text(Rotation().next_passwords([ONE]).text())
    (tmp_path / "ca.next.crt").write_text("NEXT\n")
    assert read().rotation.generation(*ONE) == 2
    assert read().trusted == "CURRENT\nNEXT\n"
    # The change of the signing CA changes nothing in what is trusted: etcd restarts for neither.
    (tmp_path / "ca.old.crt").write_text("CURRENT")
    assert read().trusted == "CURRENT\nNEXT\n"
    (tmp_path / "ca.next.crt").rename(tmp_path / "ca.crt")
    assert (read().trusted, read().ca) == ("CURRENT\nNEXT\n", "NEXT\n")


def test_what_would_lose_data_or_an_address_is_not_rotated():
    assert "backups" in fixed("pgbackrest_cipher_pass")
    assert fixed("vip_auth_pass:10.10.10.3")
    assert fixed("patroni_password") == ""


def test_members_have_their_turn_one_by_one_and_the_leader_last():
    groups = [["b", "c", "a"], ["x", "y"]]
    assert waves(groups, ["a", "b", "c", "x", "y", "lone"]) == [
        ("b", "x", "lone"),
        ("c", "y"),
        ("a",),
    ]


def test_only_who_is_wanted_has_a_turn():
    assert waves([["b", "c", "a"]], ["a"]) == [("a",)]
    assert waves([["b", "c", "a"]], []) == []


HOST = st.sampled_from("abcdefg")


@given(
    groups=st.lists(st.lists(HOST, unique=True, min_size=1), max_size=4),
    hosts=st.lists(HOST, unique=True),
)
def test_no_two_members_of_a_cluster_at_once_whatever_the_clusters_are(groups, hosts):
    found = waves(groups, hosts)
    assert sorted(host for wave in found for host in wave) == sorted(hosts)
    for wave in found:
        assert wave
        for group in groups:
            assert len(set(group) & set(wave)) <= 1
