"""The dashboards: what they are made of (:mod:`.model`), and a module for each page."""

from __future__ import annotations

from pigsty.dashboards import (
    alerts,
    etcd,
    infra,
    node_cluster,
    node_instance,
    node_overview,
    overview,
    pgsql_backup,
    pgsql_cluster,
    pgsql_database,
    pgsql_instance,
    pgsql_overview,
    pgsql_patroni,
    pgsql_pgbouncer,
    pgsql_queries,
    pgsql_query,
    pgsql_replication,
    pgsql_service,
    pgsql_table,
    pgsql_tables,
    salt,
)
from pigsty.dashboards.model import Dashboard

#: All pages, in the order of the menu.
PAGES: tuple[Dashboard, ...] = tuple(
    module.PAGE
    for module in (
        overview,
        alerts,
        salt,
        pgsql_overview,
        pgsql_cluster,
        pgsql_instance,
        pgsql_database,
        pgsql_queries,
        pgsql_query,
        pgsql_tables,
        pgsql_table,
        pgsql_replication,
        pgsql_pgbouncer,
        pgsql_patroni,
        pgsql_service,
        pgsql_backup,
        node_overview,
        node_cluster,
        node_instance,
        etcd,
        infra,
    )
)
