"""The kernel: what is due, what this machine does not allow, what survives a boot."""

from __future__ import annotations

from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from pigsty.render import sysctl


@pytest.fixture
def kernel(machine, tmp_path, monkeypatch):
    """The execution module over settings that are plain files."""
    module = machine.module("_modules", "pigsty_kernel")
    monkeypatch.setattr(module.sysctl, "path", lambda name: str(tmp_path / name.replace(".", "/")))
    monkeypatch.setattr(module, "_HUGE_PAGES_ASKED", tmp_path / "asked")
    for name, value in (
        ("vm/swappiness", "60\n"),
        ("net/range", "1\t2\n"),
        ("vm/nr_hugepages", "0\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(value)
    return module


def test_blanks_are_no_difference(kernel):
    assert kernel.due({"net.range": "1 2"}) == {}


def test_a_setting_is_made_once(kernel, tmp_path):
    assert kernel.due({"vm.swappiness": "1"}) == {"vm.swappiness": {"old": "60", "new": "1"}}
    kernel.set_all({"vm.swappiness": "1"})
    assert kernel.due({"vm.swappiness": "1"}) == {}


def test_what_cannot_be_set_is_noted_and_no_change(kernel, machine, monkeypatch):
    monkeypatch.setattr(kernel.os, "access", lambda path, mode: False)
    assert kernel.due({"vm.swappiness": "1", "vm.unknown": "1"}) == {}
    notes = machine.salt["pigsty_note.notes"]()
    assert notes == {"kernel settings": ["vm.swappiness", "vm.unknown"]}


def test_what_is_right_already_is_not_noted(kernel, machine, monkeypatch):
    monkeypatch.setattr(kernel.os, "access", lambda path, mode: False)
    assert kernel.due({"vm.swappiness": "60"}) == {}
    assert machine.salt["pigsty_note.notes"]() == {}


def test_huge_pages_that_the_kernel_cannot_find_are_asked_for_once_a_boot(kernel, tmp_path):
    wanted = {"vm.nr_hugepages": "512"}
    assert kernel.due(wanted)
    kernel.set_all(wanted)
    # The kernel found only some.
    (tmp_path / "vm/nr_hugepages").write_text("300\n")
    assert kernel.due(wanted) == {}
    assert kernel.due({"vm.nr_hugepages": "400"})


def test_a_value_that_the_kernel_refuses_is_named(kernel, tmp_path, monkeypatch):
    def refuse(self, text):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(CommandExecutionError, match=r"vm\.swappiness = x: Invalid"):
        kernel.set_all({"vm.swappiness": "x"})


def test_modules_of_a_container_are_noted(kernel, machine, monkeypatch):
    monkeypatch.setattr(kernel, "allows", lambda what: False)
    assert kernel.missing(["no_such_module_1"]) == []
    (texts,) = machine.salt["pigsty_note.notes"]().values()
    assert texts == ["no_such_module_1"]


def test_modules_that_a_kernel_does_not_have_are_noted(kernel, machine, monkeypatch):
    monkeypatch.setattr(kernel, "allows", lambda what: True)
    absent = {"no_such_module_1"}
    machine.salt["pigsty_command.problem"] = lambda command: (
        "not found" if command[-1] in absent else ""
    )
    assert kernel.missing(["no_such_module_1", "no_such_module_2"]) == ["no_such_module_2"]
    assert "no_such_module_1" in machine.salt["pigsty_note.notes"]()["kernel modules"][0]


def test_a_module_that_is_loaded_is_not_missing(kernel):
    loaded = next(Path("/sys/module").iterdir()).name
    assert kernel.missing([loaded]) == []


def test_ceilings_are_read_where_they_cannot_be_raised(kernel, monkeypatch):
    monkeypatch.setattr(kernel, "allows", lambda what: True)
    assert kernel.ceilings() == {}
    monkeypatch.setattr(kernel, "allows", lambda what: False)
    assert set(kernel.ceilings()) == {"nofile", "nproc", "core", "memlock"}
    assert sysctl.limits(kernel.ceilings())


NODE = {
    "node_disable_numa": False,
    "node_disable_swap": False,
    "node_disk_prefetch": False,
    "node_hugepage_count": 0,
    "node_hugepage_ratio": 0,
    "node_kernel_modules": ["ip_vs"],
    "node_overcommit_ratio": 0,
    "node_sysctl_params": {"vm.swappiness": 5},
    "node_tune": "oltp",
}


@pytest.fixture
def tuned(machine, monkeypatch):
    """The state on a machine whose kernel takes everything."""
    module = machine.module("_states", "pigsty_kernel")
    live: dict[str, str] = {}
    loaded: set[str] = set()

    def due(wanted):
        return {
            name: {"old": live.get(name, ""), "new": value}
            for name, value in wanted.items()
            if live.get(name) != value
        }

    machine.salt.update(
        {
            "pigsty_kernel.due": due,
            "pigsty_kernel.set_all": live.update,
            "pigsty_kernel.missing": lambda names: [name for name in names if name not in loaded],
            "pigsty_kernel.load": loaded.update,
            "pigsty_kernel.ceilings": dict,
            "pigsty_kernel.container": lambda: False,
        }
    )
    monkeypatch.setattr(module, "_POLICY", Path("/nowhere"))
    machine.node(**NODE)
    module.live = live
    return module


def test_now_and_after_a_boot(machine, tuned):
    changes = machine.converges(tuned.tuned)
    assert changes["modules"] == ["ip_vs"]
    assert tuned.live["vm.swappiness"] == "5"
    assert "vm.swappiness = 5" in machine.files.texts[sysctl.CONF]
    assert "ip_vs" in machine.files.texts[tuned.MODULES]


def test_no_profile_leaves_nothing_behind(machine, tuned):
    machine.converges(tuned.tuned)
    machine.node(node_tune="none", node_sysctl_params={}, node_kernel_modules=[])
    machine.converges(tuned.tuned)
    assert [path for path in machine.files.texts if "pigsty" in path] == []


def test_huge_pages_follow_the_memory_of_this_machine(machine, tuned):
    machine.grains["mem_total"] = 4096
    machine.node(node_hugepage_ratio=0.25)
    machine.converges(tuned.tuned)
    assert tuned.live["vm.nr_hugepages"] == "512"


def test_read_ahead_comes_and_goes(machine, tuned):
    machine.node(node_disk_prefetch=True)
    machine.converges(tuned.tuned)
    assert "read_ahead_kb" in machine.files.texts[tuned.READ_AHEAD]
    machine.node(node_disk_prefetch=False)
    machine.converges(tuned.tuned)
    assert tuned.READ_AHEAD not in machine.files.texts


def test_swap_is_taken_out_of_the_table(machine, tuned, monkeypatch):
    monkeypatch.setattr(tuned, "_swap", dict)
    table = "/dev/a / ext4 defaults 0 1\n/dev/b none swap sw 0 0\n# /dev/c none swap sw 0 0\n"
    machine.files.texts["/etc/fstab"] = table
    machine.node(node_disable_swap=True)
    machine.converges(tuned.tuned)
    rows = machine.files.texts["/etc/fstab"].splitlines()
    assert rows[1] == "# /dev/b none swap sw 0 0"
    assert rows[0] == "/dev/a / ext4 defaults 0 1" and rows[2].count("#") == 1


def test_the_policy_for_huge_pages(tuned, machine, tmp_path, monkeypatch):
    policy = tmp_path / "enabled"
    policy.write_text("always [madvise] never\n")
    monkeypatch.setattr(tuned, "_POLICY", policy)
    assert tuned._huge_page_policy("oltp") == {"old": "madvise", "new": "never"}
    assert tuned._huge_page_policy("none") == {}
    policy.write_text("always madvise [never]\n")
    assert tuned._huge_page_policy("oltp") == {}
    policy.write_text("[always] madvise never\n")
    monkeypatch.setattr(tuned.os, "access", lambda path, mode: False)
    assert tuned._huge_page_policy("oltp") == {}
    assert "transparent huge pages" in machine.salt["pigsty_note.notes"]()["kernel settings"]
