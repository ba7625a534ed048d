"""How far back, and how near to now, a cluster can be restored."""

from __future__ import annotations

from pigsty.dashboards.common import BACKUP, OF_CHOSEN, OF_CLUSTER, PG_CLS, TO_INSTANCE
from pigsty.dashboards.model import Column, Dashboard, Key, Limits, Row, chart, q, stat, table

_C = 'cls="$cls"'
_NONE = "There is no backup yet."
_AGE = Limits(90000, 172800)

PAGE = Dashboard(
    BACKUP,
    "Backup and PITR",
    "PostgreSQL",
    "Backups, the archive of the log, and drills: to which moments the cluster can go back.",
    variables=(PG_CLS,),
    rows=(
        Row(
            "",
            (
                stat(
                    "Last backup", "seconds", f"pg:cls:backup_age{{{_C}}}", limits=_AGE, empty=_NONE
                ),
                stat(
                    "Last full one",
                    "seconds",
                    'min (pgbackrest_backup_since_last_completion_seconds{backup_type="full", '
                    f"{_C}}})",
                    limits=Limits(8 * 86400, 15 * 86400),
                    empty=_NONE,
                ),
                stat(
                    "Archived",
                    "seconds",
                    f"min (pg:ins:archive_lag{{{_C}}})",
                    meaning="Since a segment last reached it. Quiet clusters write none.",
                    empty="Nothing was archived yet.",
                ),
                stat(
                    "Archiving fails",
                    "yes",
                    f"max (pg_archiver_failing{{{_C}}})",
                    limits=Limits(1, 1),
                ),
                stat(
                    "Repository is broken",
                    "yes",
                    f"max (pgbackrest_repo_status{{{_C}}})",
                    limits=Limits(1, 1),
                    empty="There is no repository.",
                ),
                stat(
                    "Last drill",
                    "time",
                    f"max (pigsty_drill_timestamp_seconds{{{_C}}})",
                    meaning="When a restore of this cluster was last tried for real.",
                    empty="No drill yet: pigsty pgsql drill.",
                ),
            ),
        ),
        Row(
            "Backups",
            (
                table(
                    "Backups",
                    (Key("backup_name", "Backup"), Key("backup_type", "Kind")),
                    Column(
                        "Finished",
                        f"pgbackrest_backup_duration_seconds{{{_C}}}",
                        label="stop_time",
                    ),
                    Column("Took", f"pgbackrest_backup_duration_seconds{{{_C}}}", "seconds"),
                    Column("Database", f"pgbackrest_backup_size_bytes{{{_C}}}", "bytes"),
                    Column("Copied", f"pgbackrest_backup_delta_bytes{{{_C}}}", "bytes"),
                    Column("Error", f"pgbackrest_backup_error_status{{{_C}}}", "yes", Limits(1, 1)),
                    height=6,
                    empty=_NONE,
                ),
                chart(
                    "Age of the last backup",
                    "seconds",
                    q(
                        "min by (backup_type) "
                        f"(pgbackrest_backup_since_last_completion_seconds{{{_C}}})",
                        "{{backup_type}}",
                    ),
                    empty=_NONE,
                ),
                chart(
                    "Segments archived",
                    "ops",
                    q(f"rate(pg_archiver_archived{{{_C}}}[5m])"),
                    link=TO_INSTANCE,
                ),
                chart(
                    "Attempts that failed",
                    "ops",
                    q(f"rate(pg_archiver_failed{{{_C}}}[5m])"),
                    link=TO_INSTANCE,
                ),
            ),
        ),
        Row(
            "Drills",
            (
                chart(
                    "A drill takes",
                    "seconds",
                    q(f"pigsty_drill_duration_seconds{{{_C}}}", "{{cls}}"),
                    meaning="From the order to the row that came back: how long a restore lasts.",
                    empty="No drill yet: pigsty pgsql drill.",
                    width=6,
                ),
                chart(
                    "Drills that ended well",
                    "yes",
                    q(f"pigsty_drill_success{{{_C}}}", "{{cls}}"),
                    empty="No drill yet: pigsty pgsql drill.",
                    width=6,
                ),
            ),
        ),
    ),
    links=tuple(link for link in OF_CLUSTER if link.to != BACKUP),
    marks=OF_CHOSEN,
)
