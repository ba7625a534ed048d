"""A cluster's dynamic configuration, as Patroni makes and changes it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pigsty.render import patroni
from pigsty.render.tuning import GIB, Machine

MACHINE = Machine(4, 16384, 100 * GIB)


def live(spec: Mapping[str, Any], machine: Machine = MACHINE) -> dict[str, Any]:
    """Return the DCS as the member on that machine bootstrapped it."""
    return copy.deepcopy(patroni.dynamic(spec, machine))


def merged(present: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Patroni makes of a PATCH."""
    found = dict(present)
    for key, value in body.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = merged(found.get(key) or {}, value)
        else:
            found[key] = value
    return found
