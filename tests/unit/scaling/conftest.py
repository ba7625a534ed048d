"""A deployment with two clusters, and what is known of one of them before it is changed."""

from __future__ import annotations

import copy

import pytest
import yaml
from scaled import INVENTORY, NAMES, living, trace

from pigsty import topology
from pigsty.removal import World


@pytest.fixture
def deployment(tmp_path):
    """Return a function: hosts of pg-test taken out or added, its variables set; the topology."""

    def build(without=(), hosts=None, cluster=True, extra=None, **changes):
        inventory = copy.deepcopy(INVENTORY)
        group = inventory["all"]["children"]["pg-test"]
        group["vars"].update(changes)
        for host, values in (hosts or {}).items():
            group["hosts"].setdefault(host, {}).update(values)
        for host in without:
            del group["hosts"][host]
        if extra:
            inventory["all"]["children"]["spare"] = {"hosts": {extra: {}}}
        if not cluster:
            del inventory["all"]["children"]["pg-test"]
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yml"
        file.write_text(yaml.safe_dump(inventory))
        return topology.load(file)

    return build


@pytest.fixture
def world(deployment):
    """Return a function that gives what is known; everything is well unless a test says so."""

    def build(found=None, live=None, traces=None, silent=None, dumb=(), serving=True):
        live = live or living()
        records = {host: trace(name) for host, name in NAMES.items()} | (traces or {})
        return World(
            topology=found or deployment(),
            live=live,
            traces={host: r for host, r in records.items() if host not in (silent or {})},
            silent=silent or {},
            answering=frozenset(m.name for m in live.members) - set(dumb),
            serving=serving,
        )

    return build
