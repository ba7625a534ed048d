"""Backups: where they go, when they are made, and a restore that the inventory asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pigsty import pitr
from pigsty.backups import TargetError
from pigsty.errors import PillarError
from pigsty.findings import Finding
from pigsty.render import pgbackrest
from pigsty.rules.context import Context
from pigsty.topology import Node


def repository(ctx: Context) -> Iterator[Finding]:
    """Report a backup method that names no repository, and one that a failover leaves behind."""
    left: list[Node] = []
    for nodes in ctx.clusters("pg_cluster").values():
        node = nodes[0]
        method = ctx.text(node, "pgbackrest_method")
        repositories = ctx.value(node, "pgbackrest_repo")
        if method and isinstance(repositories, dict) and method not in repositories:
            known = ", ".join(map(str, repositories)) or "none"
            text = f"pgbackrest_method {method} is no repository of pgbackrest_repo"
            yield ctx.error(ctx.place(node, "pgbackrest_method"), text, f"known are: {known}")
            continue
        options = repositories.get(method) if isinstance(repositories, dict) else None
        if len(nodes) > 1 and ctx.flag(node, "pgbackrest_enabled") and _own_folder(options):
            left.append(node)
    if left:
        names = sorted(ctx.text(node, "pg_cluster") for node in left)
        more = f" (and {len(names) - 1} more like it)" if names[1:] else ""
        text = (
            f"backups of cluster {names[0]} are on the disk of the member that leads, and don't "
            f"follow a failover{more}"
        )
        hint = "use a pgbackrest_method that all members reach (s3, minio)"
        declared = ctx.declared(left[0], "pgbackrest_method")
        place = ctx.place(left[0], "pgbackrest_method" if declared else "pg_cluster")
        yield ctx.warning(place, text, hint)


def schedule(ctx: Context) -> Iterator[Finding]:
    """Report lines of pg_crontab that cron wouldn't understand."""
    for nodes in ctx.clusters("pg_cluster").values():
        lines = ctx.value(nodes[0], "pg_crontab")
        for at, line in enumerate(lines if isinstance(lines, list) else ()):
            try:
                pgbackrest.crontab([str(line)], "postgres")
            except PillarError as error:
                place = ctx.place(nodes[0], "pg_crontab").inside(at)
                hint = "five fields or @word, then the command; no user"
                yield ctx.error(place, str(error), hint)


def endpoint(ctx: Context) -> Iterator[Finding]:
    """Warn of a repository in the deployment's own object storage where there is none."""
    if ctx.clusters("minio_cluster"):
        return
    for name, nodes in ctx.clusters("pg_cluster").items():
        node = nodes[0]
        repositories = ctx.value(node, "pgbackrest_repo")
        method = ctx.text(node, "pgbackrest_method")
        options = repositories.get(method) if isinstance(repositories, Mapping) else None
        host = str(options.get("s3_endpoint")) if isinstance(options, Mapping) else ""
        if host != ctx.text(node, "minio_domain") or not ctx.flag(node, "pgbackrest_enabled"):
            continue
        lines = ctx.value(node, "node_etc_hosts")
        if not any(host in str(line).split() for line in lines or ()):
            text = (
                f"backups of cluster {name} go to {host}, and there is no group minio that has it"
            )
            hint = (
                f"set s3_endpoint of pgbackrest_repo.{method} to an object storage of yours, or "
                "pgbackrest_method: local"
            )
            yield ctx.warning(ctx.place(node, "pgbackrest_method"), text, hint)
            return


def recovery(ctx: Context) -> Iterator[Finding]:
    """Report a pg_pitr that asks for what is not done, or for a cluster that isn't there."""
    clusters = ctx.clusters("pg_cluster")
    for name, nodes in clusters.items():
        values = ctx.value(nodes[0], "pg_pitr")
        if not values:
            continue
        place = ctx.place(nodes[0], "pg_pitr")
        try:
            source = pitr.declared(values, name).source
        except TargetError as error:
            yield ctx.error(place, str(error), "see docs/backup.md")
            continue
        if source not in clusters:
            text = f"pg_pitr: there is no cluster {source}"
            yield ctx.error(place.inside("cluster"), text, f"known are: {', '.join(clusters)}")


def _own_folder(options: object) -> bool:
    return isinstance(options, dict) and pgbackrest.local(options)
