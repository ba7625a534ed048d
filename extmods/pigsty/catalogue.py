"""The parameter catalogue: every parameter's name, type, default, meaning and history.

The data stands in ``pillar/params/<module>.yml``, the one source from which the types, the defaults,
the JSON Schema for editors and the reference page come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the inventory.

    Attributes:
        name: the current name.
        module: ``INFRA``, ``NODE``, ``ETCD``, ``MINIO``, ``REDIS`` or ``PGSQL``.
        section: the section within the module, for example ``NODE_ID``.
        level: where it may be set, letters of ``G`` (global), ``C`` (cluster), ``I`` (instance).
        type: one of the type names of the catalogue, for example ``int`` or ``hba_rule[]``.
        default: the value when the inventory says nothing; None with ``required`` or ``secret``.
        choices: the allowed values; empty when any value of the type goes.
        required: whether a host of the module must set it.
        secret: whether the value must never be shown.
        meaning: what it does, in our words.
        since: first release of Pigsty that knows the name.
        removed: first release that no longer knows it, or "".
        aliases: older and newer names for the same thing.
        unsupported: why it has no meaning here, or "".
    """

    name: str
    module: str
    section: str
    level: str
    type: str
    default: Any
    choices: tuple[Any, ...]
    required: bool
    secret: bool
    meaning: str
    since: str
    removed: str
    aliases: tuple[str, ...]
    unsupported: str


class Catalogue(Mapping[str, Parameter]):
    """Parameters by every name that they have or had (see :func:`load`)."""
