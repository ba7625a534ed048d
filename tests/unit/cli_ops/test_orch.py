"""Orchestrations: they do what the command does, and tell Salt exactly what changed."""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_salt import ONE, THREE, TWO
from world import World, cluster, etcd_of_two, row, version, world

__all__ = ["cluster", "world"]

ROOT = Path(__file__).resolve().parents[3]
State = Callable[..., dict[str, Any]]


def _state(*, test: bool = False, role: str = "master") -> Any:
    """Load the states as Salt does."""
    path = ROOT / "extmods/_states/pigsty_orch.py"
    spec = importlib.util.spec_from_file_location("orch_states", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    module.__opts__ = {"test": test, "__role": role}  # type: ignore[attr-defined]
    spec.loader.exec_module(module)
    return module


def _upgradable(found: World) -> None:
    found.versions = dict.fromkeys((ONE, TWO, THREE), version("postgresql-17"))


CHANGED = {"x_|-hosts_|-hosts_|-z": {
    "__id__": "node-hosts", "result": True, "changes": {"/etc/hosts": "new"}, "__run_num__": 0,
}}  # fmt: skip


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is built: it has tests of its own."""
    monkeypatch.setattr("pigsty_cli.applying.repository_flag", lambda _topology: None)


def test_only_a_master_has_them() -> None:
    assert _state().__virtual__() == "pigsty_orch"
    loaded, why = _state(role="minion").__virtual__()
    assert not loaded and "salt-run state.orchestrate" in why


def test_a_deployment_says_what_changed_on_whom_and_a_look_says_the_same(
    master: Any, built: None
) -> None:
    master.states = {"highstate": CHANGED}
    said = _state().deployed("all", ["pg-test"])
    assert said["result"] is True, said
    change = {"node-hosts": {"/etc/hosts": "new"}}
    assert said["changes"] == dict.fromkeys((ONE, TWO, THREE), change)
    look = _state(test=True).deployed("all", "pg-test")
    assert look["result"] is None and look["changes"] == said["changes"]
    asked = [sent for sent in master.published if sent["function"] == "state.apply"]
    assert [sent["keywords"].get("test", False) for sent in asked] == [False, True]


def test_a_deployment_that_fails_names_host_and_state(master: Any, built: None) -> None:
    master.states = {"highstate": ["it didn't compile"]}
    said = _state().deployed("all", ["pg-test"])
    assert said["result"] is False and f"{TWO}: it didn't compile" in said["comment"]


@pytest.mark.parametrize("function", ["upgraded", "restarted"])
def test_an_unknown_cluster_is_one_clear_message(
    world: World, cluster: list[str], function: str
) -> None:
    said = getattr(_state(), function)("x", "pg-tset")
    assert said["result"] is False and said["changes"] == {}
    assert "pg-tset" in said["comment"] and "pg-test" in said["comment"]
    assert "\n" not in said["comment"] and cluster == []


def test_an_upgrade_is_the_commands_and_a_second_run_changes_nothing(
    world: World, cluster: list[str]
) -> None:
    _upgradable(world)
    look = _state(test=True).upgraded("u", "pg-test")
    assert look["result"] is None and cluster == []
    said = _state().upgraded("u", "pg-test")
    assert said["result"] is True and said["changes"] == look["changes"]
    assert cluster[-3:] == [
        "switchover pg-test-2", f"pigsty_upgrade.install {ONE}", "restart pg-test-1",
    ]  # fmt: skip
    world.versions = dict.fromkeys((ONE, TWO, THREE), version())
    again = _state().upgraded("u", "pg-test")
    assert (again["result"], again["changes"]) == (True, {})


def test_a_restart_goes_from_the_replicas_to_the_leader(world: World, cluster: list[str]) -> None:
    look = _state(test=True).restarted("r", "pg-test")
    assert look["result"] is None and cluster == []
    said = _state().restarted("r", "pg-test")
    assert cluster == ["restart pg-test-2", "restart pg-test-3", "restart pg-test-1"]
    assert list(said["changes"]) == ["pg-test-2", "pg-test-3", "pg-test-1"]
    assert said["changes"] == look["changes"]
    # Nobody waits for a restart.
    calm = _state().restarted("r", "pg-test", pending=True)
    assert (calm["result"], calm["changes"]) == (True, {})


def test_a_member_that_does_not_come_back_ends_it_and_what_was_done_is_told(
    world: World, cluster: list[str]
) -> None:
    world.refused = {"restart pg-test-3": "pg-test-3: it doesn't start"}
    said = _state().restarted("r", "pg-test")
    assert (said["result"], said["comment"]) == (False, "pg-test-3: it doesn't start")
    assert said["changes"] == {"pg-test-2": {"old": "", "new": "restarted"}}
    assert cluster == ["restart pg-test-2"]
    _upgradable(world)
    said = _state().upgraded("u", "pg-test")
    assert said["result"] is False
    assert [step.partition(":")[0] for step in said["changes"]["steps"]["new"]] == [
        "pg-test-2", "pg-test-2", "pg-test-3",
    ]  # fmt: skip


def test_the_comment_says_in_which_order(world: World, cluster: list[str]) -> None:
    order = "PostgreSQL restarts on pg-test-2, then pg-test-3, then pg-test-1"
    assert _state(test=True).restarted("r", "pg-test")["comment"] == f"would be done: {order}"
    assert _state().restarted("r", "pg-test")["comment"] == f"done: {order}"


@pytest.mark.parametrize(
    ("function", "words", "text"),
    [
        ("restarted", {}, "cluster is ''"),
        ("restarted", {"cluster": ["pg-test"]}, "cluster is ['pg-test']"),
        ("restarted", {"cluster": "pg-test", "pending": "false"}, "pending is 'false'"),
        ("restarted", {"cluster": "pg-test", "members": 3}, "members is 3"),
        ("restarted", {"cluster": "pg-test", "members": "pg-test-9"}, "pg-test-9"),
        ("upgraded", {"cluster": None}, "cluster is None"),
        ("deployed", {"targets": {"pg-test": 1}}, "targets is {'pg-test': 1}"),
        ("deployed", {"targets": "pg-tset"}, "pg-tset"),
        ("etcd_shrunk", {"members": "etcd-2", "dead": "no"}, "dead is 'no'"),
        ("deployed", {"given": ["pigsty", "target"]}, "'target': did you mean targets?"),
        ("upgraded", {"cluster": "pg-test", "given": ["clutser"]}, "did you mean cluster?"),
        (
            "restarted",
            {"cluster": "pg-test", "given": ["cluster", "member"]},
            "'member': did you mean members",
        ),
        ("etcd_grown", {"given": ["leave", "death"]}, "'death': did you mean dead"),
        ("etcd_grown", {"given": ["x" * 9]}, "there are: members, leave, dead"),
    ],
)
def test_a_pillar_that_makes_no_sense_is_one_clear_message(
    master: Any,
    world: World,
    cluster: list[str],
    function: str,
    words: dict[str, Any],
    text: str,
) -> None:
    said = getattr(_state(), function)("x", **words)
    assert (said["result"], said["changes"]) == (False, {})
    assert text in said["comment"] and "\n" not in said["comment"]
    assert (cluster, world.asked, master.published) == ([], [], [])


def test_a_full_disk_of_the_admin_node_is_one_message(
    world: World, cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pigsty_cli.operating.operate", refuse)
    said = _state().restarted("r", "pg-test")
    assert (said["result"], said["changes"]) == (False, {})
    assert said["comment"].startswith("No space left on device")


def test_etcd_grows_and_when_all_are_there_nothing_changes(master: Any, world: World) -> None:
    etcd_of_two()
    said = _state().etcd_grown("e")
    assert said["result"] is True, said
    assert master.applied[0][0] == (ONE,)
    world.etcd.append(row(ONE, "etcd-2"))
    before = list(master.applied)
    calm = _state().etcd_grown("e")
    assert (calm["result"], calm["changes"], master.applied) == (True, {}, before)


def test_etcd_shrinks_by_those_that_are_named(master: Any, world: World) -> None:
    world.etcd.append(row(ONE, "etcd-2"))
    look = _state(test=True).etcd_shrunk("e", ["etcd-2"])
    assert look["result"] in (None, True) and "pigsty_etcd.expel" not in world.asked
    said = _state().etcd_shrunk("e", ["etcd-2"])
    assert said["result"] is True, said
    assert "pigsty_etcd.expel" in world.asked
    refused = _state().etcd_shrunk("e", ["etcd-1"])
    assert refused["result"] is False and "stands in the group" in refused["comment"]


def test_nobody_leaves_etcd_when_nobody_is_named(master: Any, world: World) -> None:
    calm = _state().etcd_shrunk("e", [])
    assert (calm["result"], calm["changes"], world.asked) == (True, {}, [])


@pytest.mark.parametrize("name", ["deploy", "restart", "upgrade", "etcd"])
def test_each_file_names_states_that_there_are(name: str) -> None:
    """Rendered with an empty pillar, so that bad input reaches the state, which says what is
    wrong."""
    jinja2 = pytest.importorskip("jinja2")
    text = (ROOT / f"states/orch/{name}.sls").read_text("utf-8")
    environment = jinja2.Environment(autoescape=False)
    rendered = yaml.safe_load(environment.from_string(text).render(pillar={}))
    mistyped = yaml.safe_load(environment.from_string(text).render(pillar={"pigsty": 1, "x": 2}))
    first, *_ = mistyped.values()
    (arguments,) = first.values()
    assert {"given": ["pigsty", "x"]} in arguments
    module = _state()
    for body in rendered.values():
        (full,) = body
        prefix, function = full.split(".")
        assert prefix == module.__virtualname__ and hasattr(module, function)
