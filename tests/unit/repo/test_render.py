"""What apt says, the index that is served, and the sources of a node."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from pigsty.render import repo

URIS = """\
'http://x.example/a.deb' libc6_2.41-12+deb13u4_amd64.deb 2846580 MD5Sum:55
'http://x.example/b.deb' libllvm19_1%3a19.1.7-3+b1_amd64.deb 25978316 MD5Sum:1
'http://x.example/pool/adduser_3.152_all.deb' adduser_3.152_all.deb 100 SHA256:1
Some other line that apt printed
"""

SHOWN = """\
Package: libllvm19
Source: llvm-toolchain-19
Version: 1:19.1.7-3+b1
Architecture: amd64
Description-en: Modular compiler
 of several
 .
 lines
Filename: pool/main/l/libllvm19_19.1.7-3+b1_amd64.deb
Size: 25978316
SHA256: aa

Package: adduser
Status: install ok installed
Version: 3.152
Architecture: all

Package: adduser
Version: 3.152
Architecture: all
Filename: pool/main/a/adduser_3.152_all.deb
SHA256: bb

Package: adduser
Version: 3.152
Architecture: all
Filename: other/adduser_3.152_all.deb
SHA256: cc
"""


def test_downloads_are_read_and_named_for_apt_cache():
    found = repo.downloads(URIS)
    assert [d.file for d in found] == sorted(d.file for d in found)
    assert [d.package for d in found] == [
        "adduser=3.152",
        "libc6:amd64=2.41-12+deb13u4",
        "libllvm19:amd64=1:19.1.7-3+b1",
    ]
    assert found[0].size == 100


@pytest.mark.parametrize(
    "text",
    [
        "E: Unable to locate package grafana",
        "W: noise\nE: Package 'grafana' has no installation candidate",
        "E: Version '9' for 'grafana' was not found",
    ],
)
def test_unknown_packages_are_read_off_the_error(text):
    assert repo.missing(text) == ["grafana"]


def test_another_error_names_no_package():
    assert repo.missing("E: Unable to correct problems, you have held broken packages.") == []


def test_entries_are_known_by_the_name_that_apt_stores():
    found = repo.stanzas(SHOWN)
    assert list(found) == ["libllvm19_1%3a19.1.7-3+b1_amd64.deb", "adduser_3.152_all.deb"]
    assert repo.field(found["adduser_3.152_all.deb"], "SHA256") == "bb"
    llvm = found["libllvm19_1%3a19.1.7-3+b1_amd64.deb"]
    assert repo.published(llvm) == "libllvm19_19.1.7-3+b1_amd64.deb"


def test_the_index_points_into_the_folder_and_keeps_the_rest():
    entries = {repo.published(stanza): stanza for stanza in repo.stanzas(SHOWN).values()}
    text = repo.packages(entries)
    first, second = text.split("\n\n")
    assert first.startswith("Package: adduser\n")
    assert "Filename: ./adduser_3.152_all.deb" in first
    assert " .\n lines\n" in second
    assert "pool/" not in text
    assert text.endswith("Filename: ./libllvm19_19.1.7-3+b1_amd64.deb\n")


def test_release_holds_the_sums_and_is_the_same_every_time():
    one, two = (repo.release("pigsty", "amd64", "Package: a\n") for _ in range(2))
    assert one == two
    assert list(one) == ["Packages", "Packages.gz", "Release"]
    assert gzip.decompress(one["Packages.gz"]) == b"Package: a\n"
    sums = one["Release"].decode()
    for file in ("Packages", "Packages.gz"):
        assert f" {hashlib.sha256(one[file]).hexdigest()} {len(one[file])} {file}\n" in sums


def test_a_fingerprint_changes_with_what_it_is_made_of():
    base = repo.fingerprint(["a", "b"], [], {"/etc/apt/sources.list": "x"})
    assert base == repo.fingerprint(["b", "a"], [], {"/etc/apt/sources.list": "x"})
    assert base != repo.fingerprint(["a"], [], {"/etc/apt/sources.list": "x"})
    assert base != repo.fingerprint(["a", "b"], ["u"], {"/etc/apt/sources.list": "x"})
    assert base != repo.fingerprint(["a", "b"], [], {"/etc/apt/sources.list": "y"})


def files(**repository):
    data = {"name": "pigsty", "url": "", "local": True, "upstream": [], **repository}
    return {file.path: file.contents for file in repo.source_files(data, "PEM")}


def test_sources_of_a_node_with_the_local_repository():
    found = files(url="https://10.10.10.10/pigsty")
    assert "URIs: https://10.10.10.10/pigsty\nSuites: ./\nTrusted: yes\n" in found[repo.SOURCES]
    assert found[repo.CA] == "PEM"
    assert f'Acquire::https::10.10.10.10::CAInfo "{repo.CA}";' in found[repo.CONF]
    assert found[repo.UPSTREAM] is None


def test_a_port_is_no_part_of_the_host_name():
    assert "::10.10.10.10::CAInfo" in files(url="https://10.10.10.10:8443/pigsty")[repo.CONF]


def test_plain_http_needs_no_ca():
    found = files(url="http://10.10.10.10/pigsty")
    assert found[repo.CA] is None
    assert found[repo.CONF] is None
    assert "URIs: http://" in found[repo.SOURCES]


def test_without_the_local_repository_its_files_go():
    found = files(local=False, upstream=["deb [trusted=yes] http://x.example/ trixie main"])
    assert found[repo.SOURCES] is None
    assert found[repo.CONF] is None
    assert found[repo.UPSTREAM].endswith("deb [trusted=yes] http://x.example/ trixie main\n")


SYSTEM = {"release": 13, "codename": "trixie", "arch": "x86_64"}
ENTRY = {
    "name": "a",
    "module": "node",
    "baseurl": {"default": "http://d.example/ ${distro_codename} main"},
}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, ["deb [trusted=yes] http://d.example/ trixie main"]),
        ({"module": "pgsql"}, []),
        ({"releases": [11, 12]}, []),
        (
            {"releases": [12, 13], "arch": ["x86_64"]},
            ["deb [trusted=yes] http://d.example/ trixie main"],
        ),
        ({"arch": ["aarch64"]}, []),
        (
            {"baseurl": {"china": "http://c.example/ x main"}},
            ["deb [trusted=yes] http://c.example/ x main"],
        ),
        ({"baseurl": {}}, []),
        (
            {"meta": {"options": "signed-by=/k.gpg"}},
            ["deb [signed-by=/k.gpg] http://d.example/ trixie main"],
        ),
    ],
)
def test_upstream_entries_that_fit(change, lines):
    assert repo.upstream_lines([{**ENTRY, **change}], ["node"], "china", SYSTEM) == lines


def test_the_same_upstream_twice_is_one_line():
    assert len(repo.upstream_lines([ENTRY, ENTRY], ["node"], "default", SYSTEM)) == 1
