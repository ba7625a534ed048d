"""Building the repository: what apt is asked for, and what ends up in the folder."""

from __future__ import annotations

import hashlib
import json
from subprocess import CompletedProcess

import pytest
from salt.exceptions import CommandExecutionError

WORLD = {
    # name: (version, content, what it depends on)
    "nginx": ("1.26-1", b"nginx", ["nginx-common", "libc6"]),
    "nginx-common": ("1.26-1", b"common", []),
    "libc6": ("2.41-12", b"libc", []),
    "etcd-server": ("3.5.16-4", b"etcd", ["libc6"]),
    "llvm": ("1:19-1", b"llvm", []),
    "chrony": ("4.6-1", b"chrony", []),
    "ntpsec": ("1.2-1", b"ntpsec", []),
}
EXCLUDE = {"chrony", "ntpsec"}


class Apt:
    """apt over a world of seven packages; it remembers what it was asked for."""

    def __init__(self, archives):
        self.archives = archives
        self.calls = []
        self.broken = ""

    def run(self, command, env, cwd=None):
        self.calls.append(list(command))
        if self.broken and self.broken in command:
            return CompletedProcess(command, 100, "", "E: it broke")
        if command[0] == "apt-cache":
            names = command[command.index("show") + 1 :]
            out = "\n\n".join(self.stanza(name.partition("=")[0]) for name in names)
            return CompletedProcess(command, 0, out, "")
        if "install" in command:
            return self.resolve(command, command[command.index("install") + 1 :])
        if "download" in command:
            for name in command[command.index("download") + 1 :]:
                plain = name.partition("=")[0].partition(":")[0]
                (cwd / self.file(plain)).write_bytes(WORLD[plain][1])
        return CompletedProcess(command, 0, "", "")

    def resolve(self, command, names):
        unknown = [name for name in names if name not in WORLD]
        if unknown:
            text = "\n".join(f"E: Unable to locate package {name}" for name in unknown)
            return CompletedProcess(command, 100, "", text)
        if set(names) >= EXCLUDE:
            return CompletedProcess(command, 100, "", "E: held broken packages")
        closure = dict.fromkeys(n for name in names for n in (name, *WORLD[name][2]))
        rows = [f"'http://x/{n}.deb' {self.file(n)} {len(WORLD[n][1])} MD5Sum:0" for n in closure]
        return CompletedProcess(command, 0, "\n".join(rows), "")

    @staticmethod
    def file(name):
        return f"{name}_{WORLD[name][0].replace(':', '%3a')}_amd64.deb"

    @staticmethod
    def stanza(name):
        name = name.partition(":")[0]
        version, content, _needs = WORLD[name]
        pool = f"pool/{name}_{version.partition(':')[2] or version}_amd64.deb"
        return (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {pool}\n"
            f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}"
        )

    def downloads(self):
        """The downloads that were asked for; building twice needs one."""
        return [call for call in self.calls if "download" in call]


@pytest.fixture
def box(minion, monkeypatch):
    """The module on a node with apt, an archive folder and a repository folder."""
    module = minion.load("_modules", "pigsty_repo")
    archives, folder = minion.folder / "archives", minion.folder / "www/pigsty"
    archives.mkdir()
    apt = Apt(archives)
    monkeypatch.setattr(module, "ARCHIVES", archives)
    monkeypatch.setattr(module, "SPARE", 0)
    monkeypatch.setattr(module, "_run", apt.run)
    module.sources = {"/etc/apt/sources.list": "deb http://x.example/ trixie main"}
    monkeypatch.setattr(module, "_sources", lambda: module.sources)
    module.apt, module.folder, module.archives = apt, folder, archives
    module.repo = {
        "directory": str(folder),
        "environment": {},
        "name": "pigsty",
        "packages": ["etcd-server", "nginx"],
        "url_packages": [],
    }
    return module


def debs(box):
    return sorted(path.name for path in box.folder.glob("*.deb"))


def test_the_closure_is_published_with_its_index(box):
    done = box.build(box.repo, True)
    assert debs(box) == [
        "etcd-server_3.5.16-4_amd64.deb",
        "libc6_2.41-12_amd64.deb",
        "nginx-common_1.26-1_amd64.deb",
        "nginx_1.26-1_amd64.deb",
    ]
    assert done == {"count": 4, "missing": [], "size": 4 + 4 + 6 + 5}
    index = (box.folder / "Packages").read_text()
    assert index.count("Filename: ./") == 4
    sums = hashlib.sha256((box.folder / "Packages").read_bytes()).hexdigest()
    assert sums in (box.folder / "Release").read_text()
    status = box.status(box.repo)
    assert status["built"] == status["wanted"]


def test_nothing_is_left_lying_around(box):
    box.build(box.repo, True)
    assert [path.name for path in box.folder.iterdir() if path.name.startswith(".")] == []


def test_a_second_build_downloads_nothing(box):
    box.build(box.repo, True)
    (box.folder / box.FLAG).unlink()
    for file in box.archives.iterdir():
        file.unlink()
    box.build(box.repo, True)
    assert len(box.apt.downloads()) == 1


def test_what_apt_has_in_its_archives_is_not_downloaded(box):
    for name in ("nginx", "nginx-common", "libc6", "etcd-server"):
        (box.archives / box.apt.file(name)).write_bytes(WORLD[name][1])
    box.build(box.repo, True)
    assert box.apt.downloads() == []


def test_a_file_cut_short_is_downloaded_again(box):
    (box.archives / box.apt.file("nginx")).write_bytes(b"ng")
    box.build(box.repo, True)
    assert (box.folder / "nginx_1.26-1_amd64.deb").read_bytes() == b"nginx"


def test_a_file_that_the_index_does_not_describe_is_refused_and_removed(box):
    bad = box.archives / box.apt.file("nginx")
    bad.write_bytes(b"evil!")
    with pytest.raises(CommandExecutionError, match="not the file that the index describes"):
        box.build(box.repo, True)
    assert not bad.exists()
    assert box.status(box.repo)["built"] is None
    box.build(box.repo, True)
    assert (box.folder / "nginx_1.26-1_amd64.deb").read_bytes() == b"nginx"


def test_a_damaged_published_file_is_replaced(box):
    box.build(box.repo, True)
    target = box.folder / "nginx_1.26-1_amd64.deb"
    target.unlink()
    target.write_bytes(b"xxxxx")
    box.build(box.repo, True)
    assert target.read_bytes() == b"nginx"


def test_a_build_that_was_killed_is_finished_by_the_next(box):
    box.apt.broken = "download"
    with pytest.raises(CommandExecutionError, match="download failed"):
        box.build(box.repo, True)
    assert box.status(box.repo)["built"] is None
    box.apt.broken = ""
    box.build(box.repo, True)
    assert len(debs(box)) == 4


def test_unknown_packages_are_reported_and_the_rest_is_built(box):
    done = box.build({**box.repo, "packages": ["nginx", "grafana", "loki"]}, True)
    assert done["missing"] == ["grafana", "loki"]
    assert "nginx_1.26-1_amd64.deb" in debs(box)


def test_packages_that_exclude_each_other_are_both_served(box):
    box.build({**box.repo, "packages": ["chrony", "nginx", "ntpsec"]}, True)
    assert {"chrony_4.6-1_amd64.deb", "ntpsec_1.2-1_amd64.deb"} <= set(debs(box))


def test_without_any_known_package_it_says_what_to_look_at(box):
    with pytest.raises(CommandExecutionError, match="has this node a source"):
        box.build({**box.repo, "packages": ["grafana"]}, True)


def test_an_epoch_is_no_part_of_the_served_name(box):
    box.build({**box.repo, "packages": ["llvm"]}, True)
    assert debs(box) == ["llvm_19-1_amd64.deb"]
    assert "Version: 1:19-1" in (box.folder / "Packages").read_text()


def test_what_is_no_longer_wanted_goes(box):
    box.build(box.repo, True)
    box.build({**box.repo, "packages": ["etcd-server"]}, True)
    assert debs(box) == ["etcd-server_3.5.16-4_amd64.deb", "libc6_2.41-12_amd64.deb"]


def test_a_package_of_the_operator_stays_and_is_served(box, monkeypatch):
    box.build(box.repo, True)
    (box.folder / "mine_1_all.deb").write_bytes(b"mine")
    monkeypatch.setattr(box, "_own", lambda path: f"Package: {path.name.partition('_')[0]}")
    box.build({**box.repo, "packages": ["etcd-server"]}, True)
    assert "mine_1_all.deb" in debs(box)
    assert "Filename: ./mine_1_all.deb" in (box.folder / "Packages").read_text()


@pytest.mark.parametrize("change", ["packages", "sources"])
def test_another_list_or_source_is_another_repository(box, change):
    box.build(box.repo, True)
    if change == "packages":
        box.repo["packages"].append("llvm")
    else:
        box.sources["/etc/apt/sources.list"] += " contrib"
    status = box.status(box.repo)
    assert status["built"] != status["wanted"]


def test_the_repository_is_no_source_of_itself(box):
    box.build(box.repo, True)
    box.sources["/etc/apt/sources.list.d/pigsty.sources"] = "URIs: https://10.10.10.10/pigsty"
    status = box.status(box.repo)
    assert status["built"] == status["wanted"]


def test_a_full_disk_is_said_before_anything_is_downloaded(box, monkeypatch):
    monkeypatch.setattr(box, "SPARE", 2**60)
    with pytest.raises(CommandExecutionError, match="MiB are free"):
        box.build(box.repo, True)
    assert box.apt.downloads() == []


def test_a_flag_that_is_no_json_means_not_built(box):
    box.build(box.repo, True)
    (box.folder / box.FLAG).write_text("yes")
    assert box.status(box.repo)["built"] is None
    box.build(box.repo, True)
    assert json.loads((box.folder / box.FLAG).read_text())["missing"] == []


def test_the_closure_is_resolved_against_an_empty_status(box, monkeypatch):
    seen = []
    real = box.apt.run

    def run(command, env, cwd=None):
        for word in command:
            if word.startswith("Dir::State::status="):
                seen.append(open(word.partition("=")[2]).read())  # noqa: PTH123, SIM115
        return real(command, env, cwd)

    monkeypatch.setattr(box, "_run", run)
    box.build(box.repo, True)
    assert seen == [""]
