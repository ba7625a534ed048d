"""Inventories that are edited: the sandbox's, and what an edit of it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pigsty import applied, plan
from pigsty.kept import Basis
from pigsty.pillar.site import Site
from pigsty.plan import Plan
from pigsty.platform import load

ROOT = Path(__file__).resolve().parents[2]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"
ADMIN, FIRST, SECOND, THIRD = (f"10.10.10.{number}" for number in (10, 11, 12, 13))
ALL = (ADMIN, FIRST, SECOND, THIRD)

Edit = Callable[[dict[str, Any]], Any]


def site(**more: Any) -> Site:
    return Site(b"k" * 32, "PEM", **more)


def edited(*edits: Edit, own: Site | None = None) -> Basis:
    """The basis of the sandbox's inventory after some edits."""
    data = copy.deepcopy(yaml.safe_load(SANDBOX.read_text("utf-8")))
    for edit in edits:
        edit(data)
    text = yaml.safe_dump(data, sort_keys=False) if edits else SANDBOX.read_text("utf-8")
    return Basis.of(text.encode(), own or site(), file="pigsty.yml")


def cluster(data: dict[str, Any], name: str = "pg-test") -> dict[str, Any]:
    found: dict[str, Any] = data["all"]["children"][name]
    return found


def touched(now: Basis, before: Mapping[str, Basis | None] | None = None) -> Plan:
    """What a basis touches, on hosts that were all applied with the sandbox's inventory."""
    old = edited()
    show = applied.masker([old, now])
    known = dict.fromkeys(ALL, old) if before is None else before
    return plan.make(now, known, load(), tuple(now.topology.nodes), show)


def states(found: Plan) -> dict[str, tuple[str, ...]]:
    return {host.host: host.states for host in found.hosts}
