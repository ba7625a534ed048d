"""Validation: a file per module, a small function per rule, all of them in one table.

A rule takes the :class:`~pigsty.rules.context.Context` and yields findings. It reports what is
wrong in its own field and leaves the rest to the others: a value of a wrong type is the business
of ``parameters.types`` alone, so the other rules pass over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pigsty.findings import Finding
from pigsty.rules import (
    automatic,
    backup,
    citus,
    consul,
    etcd,
    hba,
    hosts,
    infra,
    modules,
    node,
    objects,
    packages,
    parameters,
    passwords,
    patroni,
    pgsql,
    ports,
    replication,
    services,
)
from pigsty.rules.context import Context

Rule = Callable[[Context], Iterable[Finding]]

#: Every rule; the order is that of the documentation and has no effect on the result.
RULES: tuple[Rule, ...] = (
    parameters.names,
    parameters.types,
    parameters.ranges,
    hosts.keys,
    hosts.groups,
    hosts.admin,
    hosts.twice,
    node.names,
    node.hosts_lines,
    node.vip,
    node.shared_vips,
    infra.group,
    infra.portal,
    infra.restarts,
    etcd.members,
    etcd.timing,
    consul.address,
    consul.shared,
    pgsql.clusters,
    pgsql.strays,
    pgsql.upstream,
    pgsql.vip,
    pgsql.listen,
    pgsql.sharing,
    pgsql.version,
    backup.repository,
    backup.endpoint,
    backup.schedule,
    backup.recovery,
    replication.standby,
    replication.delayed,
    replication.synchronous,
    citus.identity,
    citus.shards,
    citus.database,
    citus.upstream,
    citus.package,
    patroni.plans,
    patroni.preset,
    packages.known,
    packages.preloaded,
    packages.patroni_mode,
    hba.rules,
    hba.intranet,
    objects.users,
    objects.databases,
    objects.default_extensions,
    objects.default_privileges,
    objects.default_schemas,
    services.each,
    services.names,
    services.provider,
    ports.collisions,
    automatic.places,
    automatic.modules,
    automatic.journal,
    modules.not_built,
    modules.grafana,
    modules.loki,
    modules.docker,
    modules.kernels,
    modules.clustered,
    modules.minio_gaps,
    passwords.public,
)

#: What `pigsty apply` asks before it touches anything.
public_passwords = passwords.of_topology
