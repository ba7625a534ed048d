"""The repository is built with the real apt, from an upstream of three packages on this disk."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from loader import load
from salt.exceptions import CommandExecutionError

from pigsty.render import repo as render

SUITES = "Types: deb\nURIs: file:{}\nSuites: ./\nTrusted: yes\n"
#: Where and how an upstream may be declared.
FORMS = {
    "sources.list": "deb [trusted=yes] file:{} ./\n",
    "sources.list.d/upstream.list": "deb [trusted=yes] file:{} ./\n",
    "sources.list.d/upstream.sources": SUITES,
}


def deb(folder: Path, name: str, version: str, depends: str = "") -> Path:
    """Make a package with nothing in it."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "DEBIAN").mkdir()
        lines = [f"Package: {name}", f"Version: {version}", "Architecture: all"]
        lines += ["Maintainer: a test <test@example.org>", "Description: of a test"]
        lines += [f"Depends: {depends}"] if depends else []
        Path(scratch, "DEBIAN/control").write_text("\n".join(lines) + "\n")
        file = folder / f"{name}_{version}_all.deb"
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "-b", scratch, str(file)]
        subprocess.run(command, check=True, capture_output=True)
    return file


def index(folder: Path) -> None:
    """Write the index of an upstream."""
    entries = {}
    for file in folder.glob("*.deb"):
        control = subprocess.check_output(["dpkg-deb", "-f", str(file)], text=True).strip()
        data = file.read_bytes()
        end = f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}"
        entries[file.name] = f"{control}\n{end}"
    for name, data in render.release("upstream", "amd64", render.packages(entries)).items():
        (folder / name).write_bytes(data)


class Node:
    """A node's apt in a folder of its own, and its repository."""

    def __init__(self, root: Path, module: ModuleType) -> None:
        self.root, self.module = root, module
        self.etc, self.upstream, self.folder = root / "etc/apt", root / "up", root / "www/pigsty"
        self.repo: dict[str, Any] = {
            "directory": str(self.folder),
            "environment": {},
            "name": "pigsty",
            "packages": ["app"],
            "url_packages": [],
        }
        for path in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d"):
            (root / path).mkdir(parents=True)
        for path in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "up"):
            (root / path).mkdir(parents=True)
        (root / "status").touch()
        deb(self.upstream, "app", "1.0", "lib")
        deb(self.upstream, "lib", "1.0")
        deb(self.upstream, "other", "1.0")
        index(self.upstream)

    def source(self, form: str, of: Path | None = None) -> None:
        """Declare a source."""
        (self.etc / form).write_text(FORMS.get(form, SUITES).format(of or self.upstream))

    def reads_itself(self) -> None:
        """Have this node's apt know the repository as it is now, as the state of a node does."""
        self.source("sources.list.d/pigsty.sources", self.folder)
        self.module.update(True)

    def build(self, itself: bool = True) -> dict[str, Any]:
        """Build the repository anew, as an operator has it done."""
        (self.folder / self.module.FLAG).unlink(missing_ok=True)
        done: dict[str, Any] = self.module.build(self.repo, itself)
        return done

    def served(self) -> list[str]:
        """Return the packages in the folder, all of which the index must name, and no other."""
        files = sorted(file.name for file in self.folder.glob("*.deb"))
        text = (self.folder / "Packages").read_text()
        named = [line[12:] for line in text.splitlines() if line.startswith("Filename: ./")]
        assert named == files
        return files

    def lists(self) -> set[str]:
        """Return the names of the indexes that apt has."""
        return {path.name for path in self.module.LISTS.glob("*_Packages*")}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    conf = tmp_path / "apt.conf"
    conf.write_text(
        f'Dir "{tmp_path}";\nDir::State::status "{tmp_path}/status";\n'
        'APT::Architecture "amd64";\nAPT::Sandbox::User "root";\nAcquire::Languages "none";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(conf))
    module = load("_modules", "pigsty_repo", grains={"osarch": "amd64"}, salt={}, pillar={})
    monkeypatch.setattr(module, "ETC", tmp_path / "etc/apt")
    monkeypatch.setattr(module, "ARCHIVES", tmp_path / "var/cache/apt/archives")
    monkeypatch.setattr(module, "LISTS", tmp_path / "var/lib/apt/lists")
    monkeypatch.setattr(module, "SPARE", 0)
    own = str(tmp_path / "etc/apt/sources.list.d/pigsty.sources")
    named = SimpleNamespace(**{**vars(render), "SOURCES": own})
    monkeypatch.setattr(module, "render", named)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    yield Node(tmp_path, module)
    assert list((tmp_path / "tmp").iterdir()) == [], "a build leaves nothing behind"


@pytest.mark.parametrize("form", FORMS)
def test_a_package_of_ones_own_comes_and_goes(node: Node, form: str) -> None:
    upstream = ["app_1.0_all.deb", "lib_1.0_all.deb"]
    node.source(form)
    node.build()
    assert node.served() == upstream
    node.reads_itself()
    own = deb(node.folder, "app", "2.0")
    node.build()
    assert node.served() == ["app_1.0_all.deb", "app_2.0_all.deb", "lib_1.0_all.deb"]
    node.reads_itself()
    before = node.lists()
    # apt's list of the repository names it from now on without there being one.
    own.unlink()
    node.build()
    assert node.served() == upstream
    assert node.lists() == before and len(before) == 2, "apt keeps what it knew of both sources"
    node.reads_itself()
    node.build()
    assert node.served() == upstream


def test_an_own_package_that_is_asked_for_is_not_said_to_be_missing(node: Node) -> None:
    node.source("sources.list")
    node.repo["packages"] = ["app", "mine", "yours"]
    assert node.build()["missing"] == ["mine", "yours"]
    deb(node.folder, "mine", "1")
    done = node.build()
    assert (done["missing"], done["count"]) == (["yours"], 3)
    assert node.module.status(node.repo)["missing"] == ["yours"]


def test_another_infra_node_builds_from_the_admin_nodes(node: Node) -> None:
    node.source("sources.list.d/pigsty.sources", node.upstream)
    node.build(itself=False)
    assert node.served() == ["app_1.0_all.deb", "lib_1.0_all.deb"]


def test_a_node_that_was_cut_off_builds_from_what_it_has(node: Node) -> None:
    node.source("sources.list")
    node.repo["packages"] = ["app", "other"]
    node.build()
    node.reads_itself()
    (node.etc / "sources.list").unlink()
    node.repo["packages"] = ["app"]
    node.module.build(node.repo, True)
    assert node.served() == ["app_1.0_all.deb", "lib_1.0_all.deb"]


def test_a_build_that_fails_says_what_apt_says_and_leaves_nothing(node: Node) -> None:
    node.source("sources.list")
    (node.upstream / "lib_1.0_all.deb").unlink()
    with pytest.raises(CommandExecutionError, match=r"apt-get download failed: .*lib_1.0_all.deb"):
        node.build()
    assert node.module.status(node.repo)["built"] is None
