"""Our queries of PostgreSQL, for postgres_exporter: what is asked, how often, and what it means.

Rules that the queries keep: they read statistics only, never the rows of a table; what grows with
the number of objects is limited to the largest or busiest; what takes long is kept for a while.
Queries of the whole server run once (``once``), the others in every database. Each metric is named
``<query>_<column>``.
"""

# The parts that are put together are constants of this file.
# ruff: noqa: S608
from __future__ import annotations

from dataclasses import dataclass

import yaml

from pigsty.render.files import BANNER

#: Tables and indexes of one database that are reported, at most; of statements, twice as many.
TOP = 100
LABEL, GAUGE, COUNTER = "LABEL", "GAUGE", "COUNTER"


@dataclass(frozen=True, slots=True)
class Query:
    """One query and its columns.

    Attributes:
        name: what its metrics begin with.
        sql: the statement.
        labels: columns that tell rows apart.
        gauges: columns that go up and down, with their meaning.
        counters: columns that only grow, with their meaning.
        once: whether it is about the whole server, not about one database.
        keep: seconds for which an answer is good.
        since: the first major version that knows the columns, 0 for all.
        until: the last one, 0 for all since.
    """

    name: str
    sql: str
    labels: tuple[str, ...] = ()
    gauges: tuple[tuple[str, str], ...] = ()
    counters: tuple[tuple[str, str], ...] = ()
    once: bool = True
    keep: int = 0
    since: int = 0
    until: int = 0

    def fits(self, version: int | None) -> bool:
        """Return whether a server of a major version answers; of an unknown one, whether all do."""
        if version is None:
            return not (self.since or self.until)
        return version >= self.since and not (self.until and version > self.until)


_CLIENTS = "backend_type = 'client backend'"
_HERE = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"

INSTANCE = (
    Query(
        "pg_instance",
        "SELECT extract(epoch FROM pg_postmaster_start_time()) AS start_time,"
        " extract(epoch FROM pg_conf_load_time()) AS reload_time,"
        " pg_is_in_recovery()::int AS in_recovery,"
        f" ({_HERE}) - '0/0'::pg_lsn AS lsn,"
        " (SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming') AS receiving,"
        " CASE WHEN NOT pg_is_in_recovery()"
        " OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
        " ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)"
        " END AS replay_delay,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')"
        " AS autovacuum_workers,"
        f" (SELECT count(*) FROM pg_stat_activity WHERE {_CLIENTS}) AS clients,"
        " current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int AS clients_max",
        gauges=(
            ("start_time", "When the server started, seconds since 1970"),
            ("reload_time", "When its configuration was read, seconds since 1970"),
            ("in_recovery", "1 on a replica, 0 where rows can be written"),
            ("lsn", "Position in the log: written by a primary, replayed by a replica, bytes"),
            ("receiving", "1 while a replica streams from its upstream"),
            ("replay_delay", "Age of the last replayed transaction while more is to replay, s"),
            ("autovacuum_workers", "Workers of autovacuum that run"),
            ("clients", "Connections of clients"),
            ("clients_max", "Connections that clients may have"),
        ),
    ),
    Query(
        "pg_setting",
        "SELECT (SELECT count(*) FROM pg_settings WHERE pending_restart) AS pending_restart,"
        " current_setting('server_version_num')::int AS server_version_num,"
        " pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers,"
        " pg_size_bytes(current_setting('work_mem')) AS work_mem,"
        " pg_size_bytes(current_setting('max_wal_size')) AS max_wal_size,"
        " current_setting('max_worker_processes')::int AS max_worker_processes,"
        " current_setting('autovacuum_max_workers')::int AS autovacuum_max_workers,"
        " current_setting('max_replication_slots')::int AS max_replication_slots,"
        " (current_setting('data_checksums') = 'on')::int AS data_checksums,"
        " (current_setting('archive_mode') <> 'off')::int AS archive_mode,"
        " (current_setting('synchronous_standby_names') <> '')::int AS synchronous",
        gauges=(
            ("pending_restart", "Settings that wait for a restart"),
            ("server_version_num", "Version of the server"),
            ("shared_buffers", "Shared buffers, bytes"),
            ("work_mem", "Memory of one sort or hash, bytes"),
            ("max_wal_size", "Log between two checkpoints, bytes"),
            ("max_worker_processes", "Background workers that may run"),
            ("autovacuum_max_workers", "Workers of autovacuum that may run"),
            ("max_replication_slots", "Replication slots that there may be"),
            ("data_checksums", "1 where pages have checksums"),
            ("archive_mode", "1 where the log is archived"),
            ("synchronous", "1 where commits wait for replicas"),
        ),
        keep=60,
    ),
)

ACTIVITY = (
    Query(
        "pg_activity",
        "SELECT d.datname, s.state, count(a.pid) AS count,"
        " coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0) AS max_xact,"
        " coalesce(max(extract(epoch FROM clock_timestamp() - a.state_change)), 0) AS max_state,"
        " count(a.pid) FILTER (WHERE a.wait_event_type = 'Lock') AS blocked"
        " FROM pg_database d CROSS JOIN (VALUES ('active'), ('idle'), ('idle in transaction'),"
        " ('idle in transaction (aborted)')) s (state)"
        " LEFT JOIN pg_stat_activity a ON a.datid = d.oid AND a.state = s.state"
        f" AND a.{_CLIENTS} AND a.pid <> pg_backend_pid()"
        " WHERE d.datallowconn GROUP BY 1, 2",
        labels=("datname", "state"),
        gauges=(
            ("count", "Connections in this state"),
            ("max_xact", "Age of the oldest transaction, s"),
            ("max_state", "Longest time in this state, s"),
            ("blocked", "Connections that wait for a lock"),
        ),
    ),
    Query(
        "pg_wait",
        "SELECT wait_event_type AS type, count(*) AS count FROM pg_stat_activity"
        f" WHERE {_CLIENTS} AND state = 'active' AND wait_event_type IS NOT NULL"
        " GROUP BY 1",
        labels=("type",),
        gauges=(("count", "Active connections that wait, by what for"),),
    ),
    Query(
        "pg_lock",
        "SELECT d.datname, m.mode, count(l.pid) AS count,"
        " count(l.pid) FILTER (WHERE NOT l.granted) AS waiting"
        " FROM pg_database d CROSS JOIN (VALUES ('AccessShareLock'), ('RowShareLock'),"
        " ('RowExclusiveLock'), ('ShareUpdateExclusiveLock'), ('ShareLock'),"
        " ('ShareRowExclusiveLock'), ('ExclusiveLock'), ('AccessExclusiveLock')) m (mode)"
        " LEFT JOIN pg_locks l ON l.database = d.oid AND l.mode = m.mode"
        " AND l.pid <> pg_backend_pid()"
        " WHERE d.datallowconn GROUP BY 1, 2",
        labels=("datname", "mode"),
        gauges=(("count", "Locks that are held or waited for"), ("waiting", "Locks waited for")),
    ),
)

REPLICATION = (
    Query(
        "pg_replica",
        "SELECT application_name AS replica, coalesce(host(client_addr), 'local') AS address,"
        " state, sync_state,"
        f" greatest(({_HERE}) - sent_lsn, 0) AS unsent,"
        f" greatest(({_HERE}) - flush_lsn, 0) AS unflushed,"
        f" greatest(({_HERE}) - replay_lsn, 0) AS unreplayed,"
        " coalesce(extract(epoch FROM replay_lag), 0) AS replay_lag,"
        " (state = 'streaming')::int AS streaming,"
        " (sync_state IN ('sync', 'quorum'))::int AS synchronous"
        " FROM pg_stat_replication WHERE state <> 'backup'",
        labels=("replica", "address", "state", "sync_state"),
        gauges=(
            ("unsent", "Log that was not sent yet, bytes"),
            ("unflushed", "Log that the replica has not on its disk, bytes"),
            ("unreplayed", "Log that the replica has not replayed, bytes"),
            ("replay_lag", "How long a recent commit took to be replayed, s"),
            ("streaming", "1 while it streams"),
            ("synchronous", "1 where commits wait for it"),
        ),
    ),
    Query(
        "pg_slot",
        "SELECT slot_name AS slot, slot_type AS type, active::int AS active,"
        f" coalesce(({_HERE}) - restart_lsn, 0) AS retained,"
        " coalesce((wal_status = 'lost')::int, 0) AS lost FROM pg_replication_slots",
        labels=("slot", "type"),
        gauges=(
            ("active", "1 while somebody reads it"),
            ("retained", "Log that is kept for it, bytes"),
            ("lost", "1 when log that it needs is gone"),
        ),
    ),
)

LOG = (
    Query(
        "pg_archiver",
        "SELECT archived_count AS archived, failed_count AS failed,"
        " coalesce(extract(epoch FROM last_archived_time), 0) AS last_archived,"
        " coalesce(extract(epoch FROM last_failed_time), 0) AS last_failed,"
        " (last_failed_time > coalesce(last_archived_time, '-infinity'))::int AS failing"
        " FROM pg_stat_archiver",
        gauges=(
            ("last_archived", "When a segment came to the archive, seconds since 1970"),
            ("last_failed", "When that failed, seconds since 1970"),
            ("failing", "1 when the last attempt failed"),
        ),
        counters=(("archived", "Segments archived"), ("failed", "Attempts that failed")),
    ),
    Query(
        "pg_wal",
        "SELECT count(*) AS files, coalesce(sum(size), 0) AS size FROM pg_ls_waldir()",
        gauges=(("files", "Files of the log"), ("size", "Their size, bytes")),
        keep=30,
    ),
    Query(
        "pg_walstat",
        "SELECT wal_records AS records, wal_fpi AS full_pages, wal_bytes AS bytes,"
        " wal_buffers_full AS buffers_full FROM pg_stat_wal",
        counters=(
            ("records", "Records written to the log"),
            ("full_pages", "Whole pages written to the log"),
            ("bytes", "Bytes written to the log"),
            ("buffers_full", "Writes because the log's buffers were full"),
        ),
    ),
    Query(
        "pg_checkpoint",
        "SELECT num_timed AS timed, num_requested AS requested, write_time, sync_time,"
        " buffers_written AS buffers FROM pg_stat_checkpointer",
        counters=(
            ("timed", "Checkpoints because it was time"),
            ("requested", "Checkpoints because of something else"),
            ("write_time", "Time of writing, ms"),
            ("sync_time", "Time of syncing, ms"),
            ("buffers", "Pages written"),
        ),
        since=17,
    ),
    Query(
        "pg_checkpoint",
        "SELECT checkpoints_timed AS timed, checkpoints_req AS requested,"
        " checkpoint_write_time AS write_time, checkpoint_sync_time AS sync_time,"
        " buffers_checkpoint AS buffers FROM pg_stat_bgwriter",
        counters=(
            ("timed", "Checkpoints because it was time"),
            ("requested", "Checkpoints because of something else"),
            ("write_time", "Time of writing, ms"),
            ("sync_time", "Time of syncing, ms"),
            ("buffers", "Pages written"),
        ),
        until=16,
    ),
    Query(
        "pg_bgwriter",
        "SELECT buffers_clean AS cleaned, maxwritten_clean AS stopped, buffers_alloc AS allocated"
        " FROM pg_stat_bgwriter",
        counters=(
            ("cleaned", "Pages written ahead by the background writer"),
            ("stopped", "Rounds that ended early because enough was written"),
            ("allocated", "Buffers given out"),
        ),
    ),
)

DATABASES = (
    Query(
        "pg_db",
        "SELECT s.datname, numbackends AS connections, xact_commit AS commits,"
        " xact_rollback AS rollbacks, blks_read, blks_hit, blk_read_time, blk_write_time,"
        " tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted,"
        " conflicts, temp_files, temp_bytes, deadlocks,"
        " coalesce(checksum_failures, 0) AS checksum_failures,"
        " age(d.datfrozenxid) AS xid_age, mxid_age(d.datminmxid) AS mxid_age,"
        " d.datconnlimit AS connections_max"
        " FROM pg_stat_database s JOIN pg_database d ON d.oid = s.datid WHERE d.datallowconn",
        labels=("datname",),
        gauges=(
            ("connections", "Connections"),
            ("connections_max", "Connections that it may have, -1 for no limit"),
            ("xid_age", "Age of its oldest transaction number; 2^31 is the end"),
            ("mxid_age", "The same of multixact numbers"),
        ),
        counters=(
            ("commits", "Transactions committed"),
            ("rollbacks", "Transactions rolled back"),
            ("blks_read", "Pages read from the system"),
            ("blks_hit", "Pages found in the buffers"),
            ("blk_read_time", "Time of reading pages, ms"),
            ("blk_write_time", "Time of writing pages, ms"),
            ("tup_returned", "Rows scanned"),
            ("tup_fetched", "Rows fetched by index"),
            ("tup_inserted", "Rows inserted"),
            ("tup_updated", "Rows updated"),
            ("tup_deleted", "Rows deleted"),
            ("conflicts", "Queries cancelled by recovery"),
            ("temp_files", "Temporary files"),
            ("temp_bytes", "Bytes of temporary files"),
            ("deadlocks", "Deadlocks"),
            ("checksum_failures", "Pages with a wrong checksum"),
        ),
    ),
    Query(
        "pg_size",
        "SELECT datname, pg_database_size(oid) AS bytes FROM pg_database WHERE datallowconn",
        labels=("datname",),
        gauges=(("bytes", "Size of a database"),),
        keep=300,
    ),
    Query(
        "pg_vacuum",
        "SELECT p.datname, count(*) AS running,"
        " max(extract(epoch FROM clock_timestamp() - a.xact_start)) AS max_duration"
        " FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid) GROUP BY 1",
        labels=("datname",),
        gauges=(("running", "Vacuums that run"), ("max_duration", "Longest of them, s")),
    ),
)

_LARGEST = (
    "(SELECT oid, relname, relnamespace, relpages, reltuples FROM pg_class"
    " WHERE relkind IN ('r', 'm') AND relpages > 0 AND relpersistence <> 't'"
    f" ORDER BY relpages DESC, oid LIMIT {TOP}) c"
)

OBJECTS = (
    Query(
        "pg_table",
        "SELECT current_database() AS datname, s.schemaname, s.relname, seq_scan, seq_tup_read,"
        " coalesce(idx_scan, 0) AS idx_scan, n_tup_ins AS inserted, n_tup_upd AS updated,"
        " n_tup_del AS deleted, n_tup_hot_upd AS hot_updated, n_live_tup AS live,"
        " n_dead_tup AS dead, vacuum_count + autovacuum_count AS vacuums,"
        " analyze_count + autoanalyze_count AS analyzes,"
        " coalesce(extract(epoch FROM greatest(last_vacuum, last_autovacuum)), 0) AS last_vacuum,"
        " coalesce(extract(epoch FROM greatest(last_analyze, last_autoanalyze)), 0)"
        " AS last_analyze, c.relpages::bigint * current_setting('block_size')::int AS bytes"
        f" FROM {_LARGEST} JOIN pg_stat_user_tables s ON s.relid = c.oid",
        labels=("datname", "schemaname", "relname"),
        gauges=(
            ("live", "Live rows, estimated"),
            ("dead", "Dead rows, estimated"),
            ("last_vacuum", "When it was vacuumed, seconds since 1970"),
            ("last_analyze", "When it was analyzed, seconds since 1970"),
            ("bytes", "Size without indexes, estimated"),
        ),
        counters=(
            ("seq_scan", "Scans of the whole table"),
            ("seq_tup_read", "Rows read by them"),
            ("idx_scan", "Scans by index"),
            ("inserted", "Rows inserted"),
            ("updated", "Rows updated"),
            ("deleted", "Rows deleted"),
            ("hot_updated", "Rows updated without their indexes"),
            ("vacuums", "Vacuums"),
            ("analyzes", "Analyzes"),
        ),
        once=False,
        keep=60,
    ),
    Query(
        "pg_index",
        "SELECT current_database() AS datname, s.schemaname, s.relname, s.indexrelname AS idxname,"
        " s.idx_scan AS scans, s.idx_tup_read AS tup_read, s.idx_tup_fetch AS tup_fetch,"
        " c.relpages::bigint * current_setting('block_size')::int AS bytes,"
        " i.indisvalid::int AS valid"
        " FROM pg_stat_user_indexes s JOIN pg_class c ON c.oid = s.indexrelid"
        " JOIN pg_index i ON i.indexrelid = s.indexrelid"
        f" ORDER BY c.relpages DESC, c.oid LIMIT {TOP}",
        labels=("datname", "schemaname", "relname", "idxname"),
        gauges=(("bytes", "Size, estimated"), ("valid", "0 when its making was cut off")),
        counters=(
            ("scans", "Scans of the index"),
            ("tup_read", "Entries read"),
            ("tup_fetch", "Rows fetched"),
        ),
        once=False,
        keep=60,
    ),
    Query(
        # What the rows would need by their average width, against the pages that there are.
        "pg_bloat",
        "SELECT current_database() AS datname, n.nspname AS schemaname, c.relname,"
        " greatest(0, 1 - ceil(c.reltuples * (w.width + 28)"
        " / (current_setting('block_size')::int - 24)) / c.relpages) AS ratio"
        f" FROM {_LARGEST} JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN LATERAL (SELECT sum((1 - null_frac) * avg_width) AS width FROM pg_stats p"
        " WHERE p.schemaname = n.nspname AND p.tablename = c.relname) w ON w.width IS NOT NULL"
        " WHERE c.reltuples >= 0 AND c.relpages >= 128"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
        labels=("datname", "schemaname", "relname"),
        gauges=(("ratio", "Part of a table that holds no rows, estimated"),),
        once=False,
        keep=900,
    ),
    Query(
        "pg_query",
        "SELECT d.datname, pg_get_userbyid(s.userid) AS usename, s.queryid::text AS query,"
        " sum(calls) AS calls, sum(total_exec_time) AS exec_time, sum(rows) AS rows,"
        " sum(shared_blks_hit) AS blks_hit, sum(shared_blks_read) AS blks_read,"
        " sum(temp_blks_written) AS temp_blks_written, sum(wal_bytes) AS wal_bytes"
        " FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        f" WHERE s.queryid IS NOT NULL GROUP BY 1, 2, 3"
        f" ORDER BY sum(total_exec_time) DESC LIMIT {2 * TOP}",
        labels=("datname", "usename", "query"),
        counters=(
            ("calls", "How often it ran"),
            ("exec_time", "Time of running, ms"),
            ("rows", "Rows returned or changed"),
            ("blks_hit", "Pages found in the buffers"),
            ("blks_read", "Pages read from the system"),
            ("temp_blks_written", "Pages of temporary files written"),
            ("wal_bytes", "Bytes written to the log"),
        ),
        keep=30,
    ),
)

ALL = (*INSTANCE, *ACTIVITY, *REPLICATION, *LOG, *DATABASES, *OBJECTS)


def text(version: int | None) -> str:
    """Return the file that postgres_exporter reads, for a server of a major version.

    Without one (a server that isn't managed) it holds the queries that every version answers.
    """
    body = {query.name: _entry(query) for query in ALL if query.fits(version)}
    return f"{BANNER}\n{yaml.safe_dump(body, sort_keys=False, width=1000)}"


def _entry(query: Query) -> dict[str, object]:
    metrics = [{name: {"usage": LABEL, "description": name}} for name in query.labels]
    for usage, columns in ((GAUGE, query.gauges), (COUNTER, query.counters)):
        metrics += [{name: {"usage": usage, "description": said}} for name, said in columns]
    entry: dict[str, object] = {"query": query.sql, "metrics": metrics}
    if query.once:
        entry["master"] = True
    if query.keep:
        entry["cache_seconds"] = query.keep
    return entry
