"""The ext_pillar with a real master: who gets what, and what a bad inventory stops."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pigsty import topology
from pigsty.pillar.site import Site

ADMIN, MEMBER = "10.10.10.10", "10.10.10.11"
#: A template that gives the pillar as the minion has it (`pillar.items` masks the values).
AS_IT_IS = "{{ pillar | tojson }}"


def compiled(master: Any, minion: str) -> dict[str, Any]:
    """Return the pillar that the master makes for a minion id."""
    result = master.salt_run_cli().run("pillar.show_pillar", minion)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = result.data
    return found


def received(minion: Any) -> dict[str, Any]:
    """Return the pillar that a minion received, asked on the minion itself."""
    result = minion.salt_call_cli().run(
        "slsutil.renderer", string=AS_IT_IS, default_renderer="jinja"
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.data)
    assert isinstance(found, dict)
    return found


def test_a_minion_receives_its_own_pillar(master: Any, minion: Any) -> None:
    found = received(minion)
    assert found["pigsty"]["meta"]["id"] == MEMBER
    assert found["pigsty"] == compiled(master, MEMBER)["pigsty"]


def test_a_minion_has_the_modules_of_its_roles_only(master: Any, minion: Any) -> None:
    assert set(received(minion)["pigsty"]) == {"meta", "node", "pgsql"}
    assert {"meta", "node", "infra", "etcd", "pgsql"} <= set(compiled(master, ADMIN)["pigsty"])


def test_no_secret_of_another_host_reaches_a_minion(minion: Any, deployment: Any) -> None:
    site = Site.read(deployment.key, deployment.ca)
    text = json.dumps(received(minion))
    assert site.secret("pg-test", "pg_etcd_password") in text
    for scope, name in (
        ("pg-meta", "pg_etcd_password"),
        ("pg-meta", "patroni_password"),
        ("all", "etcd_root_password"),
        ("etcd", "etcd_root_password"),
    ):
        assert site.secret(scope, name) not in text, f"{name} of {scope}"
    assert deployment.key.read_text() not in text


def test_a_minion_that_is_in_no_inventory_gets_an_error(master: Any) -> None:
    pillar = compiled(master, "10.10.10.99")
    assert "pigsty" not in pillar
    assert pillar["_errors"]


def test_the_master_itself_has_a_pillar_for_orchestrations_without_a_module_or_a_secret(
    master: Any, deployment: Any
) -> None:
    own = master.config["id"]
    found = compiled(master, own)
    assert set(found) == {"pigsty"}
    meta = found["pigsty"]["meta"]
    assert (meta["id"], meta["modules"], meta["admin_ip"]) == (own, [], ADMIN)
    site, text = Site.read(deployment.key, deployment.ca), json.dumps(found)
    assert site.secret("pg-test", "pg_etcd_password") not in text
    assert deployment.key.read_text() not in text


def test_an_orchestration_that_cannot_begin_fails_with_one_message(master: Any) -> None:
    """This machine is no admin node: the inventory that the commands read isn't there."""
    words = ("state.orchestrate", "orch.upgrade", 'pillar={"cluster": "pg-test"}')
    result = master.salt_run_cli().run(*words)
    assert result.returncode == 1
    (states,) = result.data["data"].values()
    (state,) = states.values()
    assert state["result"] is False and state["changes"] == {}
    assert "pigsty.yml" in state["comment"] and "Traceback" not in state["comment"]


def test_the_same_input_gives_the_same_bytes(deployment: Any) -> None:
    program = (
        "import json, sys; from pigsty import pillar, topology\n"
        "from pigsty.pillar.site import Site; from pigsty.platform import of_grains\n"
        "inventory, key, ca = sys.argv[1:]\n"
        "found = topology.load(inventory); site = Site.read(key, ca)\n"
        "print(json.dumps([pillar.compile_pillar(found, ip, site, of_grains({}))"
        " for ip in found.nodes]))\n"
    )
    digests = set()
    for seed in ("0", "1", "4711"):
        run = subprocess.run(
            [sys.executable, "-c", program, deployment.inventory, deployment.key, deployment.ca],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        digests.add(hashlib.sha256(run.stdout).hexdigest())
    assert len(digests) == 1


def test_the_master_gives_the_same_pillar_twice(master: Any) -> None:
    first, second = compiled(master, MEMBER), compiled(master, MEMBER)
    assert json.dumps(first) == json.dumps(second)
    assert first["pigsty"]["pgsql"]["cluster"] == "pg-test"


def test_an_edit_of_the_inventory_counts_at_once(master: Any, inventory: Path) -> None:
    before = compiled(master, MEMBER)["pigsty"]["meta"]["checksum"]
    inventory.write_text(inventory.read_text("utf-8") + "# edited\n", "utf-8")
    assert compiled(master, MEMBER)["pigsty"]["meta"]["checksum"] != before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pg_role: primary", "pg_role: leader", "'leader' is not one of"),
        ("all:", "all: [", "not valid YAML"),
    ],
)
def test_a_bad_inventory_stops_every_state_run(
    master: Any, minion: Any, inventory: Path, old: str, new: str, said: str
) -> None:
    text = inventory.read_text("utf-8")
    assert old in text
    inventory.write_text(text.replace(old, new, 1), "utf-8")
    pillar = compiled(master, MEMBER)
    assert "pigsty" not in pillar
    assert any(said in error and "pigsty validate" in error for error in pillar["_errors"]), pillar[
        "_errors"
    ]
    result = minion.salt_call_cli().run("state.apply", test=True)
    assert result.returncode != 0
    assert "Pillar failed to render" in json.dumps(result.data), result.data


def test_states_refuse_to_run_when_the_ext_pillar_was_never_loaded(
    salt_factories: Any, deployment: Any, tmp_path: Path
) -> None:
    """Salt only logs that it lacks an ext_pillar: the top file has to notice."""
    (tmp_path / "minion").write_text(
        json.dumps(
            {
                "id": MEMBER,
                "root_dir": str(tmp_path),
                "file_client": "local",
                "log_level": "error",
                "file_roots": deployment.options["file_roots"],
                "pillar_roots": {"base": [str(tmp_path)]},
                "ext_pillar": [{"pigsty_misspelled": {}}],
            }
        )
    )
    run = subprocess.run(
        [
            Path(sys.executable).parent / "salt-call", "-c", tmp_path, "--local", "--out=json",
            "--retcode-passthrough", "state.apply", "test=True",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode != 0, run.stdout
    assert "has no `pigsty` pillar" in run.stdout + run.stderr


def test_validation_costs_little_once_it_was_done(deployment: Any) -> None:
    """The master compiles a pillar per minion and request: only the first one validates."""
    from pigsty import validate

    first = validate.validate(deployment.inventory)
    assert validate.validate(deployment.inventory) is first
    assert topology.load(deployment.inventory) is topology.load(deployment.inventory)
