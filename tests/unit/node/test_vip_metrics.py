"""What keepalived's program writes for the node exporter: it is run here, by the shell."""

from __future__ import annotations

import re
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pigsty.render import keepalived
from pigsty.render.exporters import TEXTFILES

NAME = "pigsty_128"
LABELS = f'{{iname="{NAME}",intf="eth0",ip_address="10.0.0.99",vrid="128"}}'


class Program:
    """The program with paths in a folder of its own, and with an `ip` that says what it is told."""

    def __init__(self, folder: Path) -> None:
        self.out, self.memory = folder / "out/x.prom", folder / "run/memory"
        self.addresses = folder / "addresses"
        self.addresses.touch()
        (folder / "bin").mkdir()
        (folder / "bin/ip").write_text(f'#!/bin/sh\necho "$*" >"$0.asked"; cat {self.addresses}\n')
        (folder / "bin/ip").chmod(0o755)
        self.asked = folder / "bin/ip.asked"
        text = keepalived.notify("10.0.0.99/24", 128, "eth0")
        for old, new in (
            (keepalived.METRICS, self.out),
            (keepalived.MEMORY, self.memory),
            ("PATH=", f"PATH={folder}/bin:"),
        ):
            assert text.count(old) == 1
            text = text.replace(old, str(new))
        self.path = folder / "notify"
        self.path.write_text(text)
        self.path.chmod(0o755)

    def says(self, state: str, name: str = NAME) -> Program:
        """Have keepalived say that it is in a state now."""
        subprocess.run([self.path, "INSTANCE", name, state, "128"], check=True, timeout=30)
        return self

    def ends(self) -> Program:
        """Have the unit say that keepalived has ended."""
        subprocess.run([self.path, "UNIT", keepalived.UNIT, "STOP"], check=True, timeout=30)
        return self

    def reloads(self) -> Program:
        """Have the unit say that keepalived was reloaded."""
        subprocess.run([self.path], check=True, timeout=30)
        return self

    def shows(self) -> tuple[int, int, int, int]:
        """Return: up, state, how often it became master, how often it ceased to be."""
        rows = [row for row in self.out.read_text().splitlines() if not row.startswith("#")]
        values = dict(row.rsplit(" ", 1) for row in rows)
        wanted = [f"vrrp_state{LABELS}", f"become_master_total{LABELS}"]
        wanted += [f"release_master_total{LABELS}"]
        names = [f"keepalived_{name}" for name in ("up", *wanted)]
        assert list(values) == names
        up, state, became, released = (int(values[name]) for name in names)
        return up, state, became, released


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_the_states_have_the_numbers_that_people_know(program: Program) -> None:
    assert program.says("BACKUP").shows() == (1, 1, 0, 0)
    assert program.says("MASTER").shows() == (1, 2, 1, 0)
    assert program.says("FAULT").shows() == (1, 3, 1, 1)
    assert program.says("BACKUP").shows() == (1, 1, 1, 1)
    assert program.says("MASTER").shows() == (1, 2, 2, 1)


def test_the_same_state_twice_is_no_change(program: Program) -> None:
    program.says("MASTER")
    assert program.says("MASTER").shows() == (1, 2, 1, 0)


def test_one_that_ended_is_down_and_no_master_and_what_was_counted_stays(program: Program) -> None:
    program.says("MASTER")
    # It says so itself when it is stopped, its unit in any case.
    assert program.says("STOP").shows() == (0, 0, 1, 1)
    assert program.ends().shows() == (0, 0, 1, 1)
    assert program.says("BACKUP").shows() == (1, 1, 1, 1)
    assert program.says("MASTER").ends().shows() == (0, 0, 2, 2)


def test_a_reload_changes_nothing(program: Program) -> None:
    program.says("MASTER").out.unlink()
    assert program.reloads().shows() == (1, 2, 1, 0)
    assert not program.asked.exists()


@pytest.mark.parametrize(("shown", "state"), [("", 1), ("2: eth0 inet 10.0.0.99/24", 2)])
def test_one_that_ran_before_this_program_was_there_is_known_by_its_address(
    program: Program, shown: str, state: int
) -> None:
    program.addresses.write_text(shown)
    assert program.reloads().shows()[:2] == (1, state)
    assert program.asked.read_text().strip() == "-oneline address show dev eth0 to 10.0.0.99"


def test_an_address_that_went_with_its_number_says_nothing_of_the_new_one(program: Program) -> None:
    program.says("MASTER")
    assert program.says("DELETED", "pigsty_9").shows() == (1, 2, 1, 0)


def test_a_memory_that_was_cut_short_is_made_anew(program: Program) -> None:
    program.memory.parent.mkdir()
    program.memory.write_text("MAST")
    assert program.says("BACKUP").shows()[:2] == (1, 1)
    assert program.says("MASTER").shows()[:2] == (1, 2)


def test_changes_at_once_are_all_counted(program: Program) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(program.says, ["MASTER", "BACKUP"] * 12))
    assert program.says("BACKUP").shows()[0] == 1
    became, released = program.shows()[2:]
    assert 1 <= became == released <= 12


def test_everybody_may_read_it_and_nothing_else_lies_beside_it(program: Program) -> None:
    # A link that somebody put there is no way to write elsewhere.
    elsewhere = program.out.parent / "elsewhere"
    program.out.parent.mkdir()
    (program.out.parent / "x.prom.new").symlink_to(elsewhere)
    program.says("BACKUP")
    assert stat.S_IMODE(program.out.stat().st_mode) == 0o644
    assert [path.name for path in program.out.parent.iterdir()] == ["x.prom"]


def test_every_metric_says_what_it_is(program: Program) -> None:
    text = program.says("BACKUP").out.read_text()
    names = re.findall(r"^(keepalived_\w+)", text, re.MULTILINE)
    assert names == re.findall(
        r"^# HELP (\w+) .+\n# TYPE \1 (?:gauge|counter)$", text, re.MULTILINE
    )


VIP = {
    "address": "10.0.0.99",
    "interface": "auto",
    "ip": "10.0.0.1",
    "password": "token-01",
    "peers": ["10.0.0.2"],
    "preempt": False,
    "role": "master",
    "router": "n",
    "vrid": 128,
}


def test_root_alone_may_change_what_root_runs() -> None:
    files = {file.path: file for file in keepalived.files(VIP, "eth0")}
    program = files[keepalived.NOTIFY]
    assert (program.mode, program.user, program.group) == ("0755", "root", "root")
    assert "token-01" not in str(program.contents)
    assert f'notify "{keepalived.NOTIFY}"' in str(files[keepalived.CONF].contents)
    assert "enable_script_security" in str(files[keepalived.CONF].contents)


def test_however_it_ends_address_and_metrics_are_set_right() -> None:
    files = {file.path: str(file.contents) for file in keepalived.files(VIP, "eth0")}
    unit = files["/etc/systemd/system/keepalived.service.d/pigsty.conf"].splitlines()
    stops = [line for line in unit if line.startswith("ExecStopPost=")]
    assert stops == [
        "ExecStopPost=-/usr/sbin/ip address del 10.0.0.99/32 dev eth0",
        f"ExecStopPost=-{keepalived.NOTIFY} UNIT keepalived.service STOP",
    ]
    assert f"ExecReload=-{keepalived.NOTIFY}" in unit
    assert files[keepalived.BOOT].splitlines()[-1] == f"r! {keepalived.METRICS}"


def test_the_exporter_looks_for_it_there_and_all_of_it_goes() -> None:
    assert keepalived.METRICS.startswith(f"{TEXTFILES}/") and keepalived.METRICS.endswith(".prom")
    gone = {file.path: file.contents for file in keepalived.gone()}
    made = {file.path for file in keepalived.files(VIP, "eth0")}
    assert set(gone) == made | {keepalived.METRICS, keepalived.MEMORY}
    assert set(gone.values()) == {None}
    assert keepalived.gone()[0].path == keepalived.CONF
