"""What nodes take over from the host: mirrors, pip's configuration, name servers, mounts."""

from pathlib import Path

from pigsty_cli.sandbox import faults, host, mounts, network
from pigsty_cli.sandbox.paths import Paths
from pigsty_cli.sandbox.spec import NodeSpec, SandboxSpec

DEB822 = """\
Types: deb
# a snapshot
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm

Types: deb
URIs: http://security.example/debian
Suites: bookworm-security
"""
SPEC = SandboxSpec((NodeSpec("10.1.2.10", "node-10"),), "10.1.2.10", "/repo")


def test_mirrors_of_both_formats_the_first_one_counts():
    one_line = (
        "# deb http://off.example/debian bookworm main\n"
        "deb [signed-by=/k.gpg arch=amd64] http://second.example/debian bookworm main\n"
        "deb http://vendor.example/apt vendor-bookworm main\n"
        "deb http://back.example/debian bookworm-backports main\n"
    )
    assert host.mirrors([DEB822, one_line], "bookworm") == {
        "": "http://mirror.example/debian",
        "-updates": "http://mirror.example/debian",
        "-security": "http://security.example/debian",
    }
    assert host.mirrors([one_line], "bookworm") == {"": "http://second.example/debian"}


def test_os_release_without_quotes():
    text = "NAME=\"Debian GNU/Linux\"\nID=debian\n\n# x\nVERSION_CODENAME='trixie'\n"
    assert host.os_release(text) == {
        "NAME": "Debian GNU/Linux",
        "ID": "debian",
        "VERSION_CODENAME": "trixie",
    }


def test_pip_variables_become_its_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nextra-index-url = file:///a/b/simple\n file:///c/d/simple\n", encoding="utf-8"
    )
    text = host.pip_config({"PIP_FIND_LINKS": "/wheels", "PIP_CONFIG_FILE": "/x", "HOME": "/root"})
    assert "find-links = /wheels" in text
    assert "extra-index-url = file:///a/b/simple\n    file:///c/d/simple" in text
    assert "/x" not in text


def test_folders_that_pip_reads_from(tmp_path):
    index = tmp_path / "pypi/simple"
    index.mkdir(parents=True)
    config = f"[global]\nextra-index-url = file://{index}\n    file:///no/such/simple\nx = /proc\n"
    assert host.pip_folders(config) == sorted([index.parent, Path("/proc")])


def test_proxies_are_found_in_either_case():
    found = host.proxies({"HTTP_PROXY": "http://p:1", "no_proxy": "localhost", "https_proxy": ""})
    assert found == {"http_proxy": "http://p:1", "no_proxy": "localhost"}


def test_a_name_server_that_only_this_host_reaches_is_none():
    text = "nameserver 127.0.0.53\nnameserver 192.0.2.5\nnameserver ::1\nsearch x\nnameserver\n"
    assert network.nameservers(text) == ["192.0.2.5"]


def test_only_the_admin_node_gets_out_and_to_no_private_range():
    lines = [line.strip() for line in network.ruleset(SPEC, ["10.9.9.9"]).splitlines()]
    asks = next(n for n, line in enumerate(lines) if "th dport 53 accept" in line)
    private = next(n for n, line in enumerate(lines) if "192.168.0.0/16" in line)
    out = lines.index("ip saddr 10.1.2.10 accept")
    assert "10.9.9.9" in lines[asks]
    assert lines[private].endswith("drop")
    assert asks < private < out
    assert lines[out + 1] == "drop"


def test_without_a_name_server_there_is_no_exception():
    assert "dport" not in network.ruleset(SPEC, [])


def test_partitions_are_read_from_what_nft_prints():
    listed = (
        '{"nftables": [{"metainfo": {}}, {"set": {"name": "apart", "elem": '
        '[{"concat": ["vb-a", "vb-b"]}, {"concat": ["vb-b", "vb-a"]}]}}]}'
    )
    assert faults.parse_elements(listed) == [("vb-a", "vb-b"), ("vb-b", "vb-a")]
    alone = '{"nftables": [{"set": {"name": "alone", "elem": ["vb-a"]}}]}'
    assert faults.parse_elements(alone) == [("vb-a",)]
    assert faults.parse_elements('{"nftables": [{"set": {"name": "alone"}}]}') == []


def test_mounts_below_a_folder_the_innermost_first():
    table = (
        "1 0 0:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:2 / /var/sb/root rw - overlay o rw\n"
        "3 2 0:3 / /var/sb/root/with\\040blank rw - proc p rw\n"
        "4 1 0:4 / /var/sbx rw - tmpfs t rw\n"
        "5 1 0:5 / /var/sb rw - tmpfs t rw\n"
    )
    assert mounts.mounted_under(Path("/var/sb"), table) == [
        Path("/var/sb/root/with blank"),
        Path("/var/sb/root"),
        Path("/var/sb"),
    ]


def test_two_sandboxes_have_different_control_groups():
    default = Paths(Path("/var/lib/pigsty/sandbox"), Path("/c"))
    other = Paths(Path("/srv/sandbox"), Path("/c"))
    assert default.group("node-10") == "pigsty-node-10"
    assert other.group("node-10") not in ("pigsty-node-10", other.group("node-11"))


def test_folders_can_be_moved_by_the_environment(monkeypatch):
    monkeypatch.setenv("PIGSTY_SANDBOX_DIR", "/a")
    monkeypatch.setenv("PIGSTY_SANDBOX_CACHE", "/b")
    assert Paths.from_env() == Paths(Path("/a"), Path("/b"))
