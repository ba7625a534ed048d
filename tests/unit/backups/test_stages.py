"""How far a backup, restore or recovery is, from words as pgBackRest and PostgreSQL say them."""

from __future__ import annotations

import pytest

from pigsty.stages import Console, Stage, replay

AT = "2026-03-01 12:00:00.123"
MIB = 1024**2
SUM = " checksum 4355a46b19d348dc2f57c046f8ef63d4538ebb93"


def said(*texts: str, level: str = "DETAIL", process: str = "P01") -> list[str]:
    return [f"{AT} {process} {level:>6}: {text}\n" for text in texts]


def heard(*lines: str) -> tuple[Stage | None, list[str]]:
    """Return the stage after some lines, and those that were no telling."""
    console = Console()
    kept = [line for line in lines if not console.take(line)]
    return console.stage, kept


def test_a_backup_from_its_checkpoint_to_what_has_expired() -> None:
    console = Console()
    phases: list[str] = []
    for line in [
        *said(
            "backup command begin 2.55.1: --log-level-console=detail",
            "last backup label = 20260301-100000F, version = 2.55.1",
            "execute non-exclusive backup start: backup begins after the requested immediate "
            "checkpoint completes",
            "backup start archive = 000000010000000000000003, lsn = 0/3000028",
            "check archive for prior segment 000000010000000000000002",
            level="INFO", process="P00",
        ),
        *said(f"backup file /pg/data/base/5/1249 (8MB, 25.00%){SUM}"),
        *said(f"match file from prior backup /pg/data/base/5/1 (24MB, 100.00%){SUM}"),
        *said("reference pg_data/PG_VERSION to 20260301-100000F", process="P00"),
        *said(
            "execute non-exclusive backup stop and wait for all WAL segments to archive",
            "check archive for segment(s) 000000010000000000000003:000000010000000000000003",
            "new backup label = 20260301-100000F_20260301-120000I",
            "incr backup size = 32MB, file total = 1300",
            "backup command end: completed successfully",
            "expire command begin 2.55.1: --log-level-console=detail",
            level="INFO", process="P00",
        ),
    ]:  # fmt: skip
        assert console.take(line), line
        if console.stage and console.stage.phase not in phases:
            phases.append(console.stage.phase)
    assert phases == [
        "waits for a checkpoint",
        "begins to copy files",
        "copies files",
        "waits for its WAL in the archive",
        "writes its list of files",
        "removes what has expired",
    ]


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (f"backup file /pg/data/base/1/2 (16MB, 50.00%){SUM}", 16),
        (f"backup file host:/pg/data/base/1/2 (bundle 1/0, 16MB, 50.00%){SUM}", 16),
        (f"backup file /pg/data/base/1/2 (bundle 1/8192, 16MB->8MB, 50.00%){SUM}", 16),
        (f"backup file /pg/data/base/1/2 (1GB, 50.00%){SUM}", 1024),
        (f"restore file /pg/data/base/1/2 (1.5MB, 50.00%){SUM}", 1.5),
        (f"restore file /pg/data/base/1/2 - exists and matches backup (16MB, 50.00%){SUM}", 16),
        (f"restore file /pg/data/base/1/2 (bundle F/1/4096, bi 8KB/16MB, 50.00%){SUM}", 16),
        ("restore zeroed file /pg/data/base/1/2 (16MB, 50.00%)", 16),
        (f"checksum resumed file /pg/data/a (1B, 3.00%) (16MB, 50.00%){SUM}", 0),
    ],
)
def test_a_file_tells_the_bytes_so_far_and_all_of_them(line: str, size: float) -> None:
    stage, kept = heard(*said(line))
    assert kept == []
    if size:
        assert stage == Stage("copies files", round(size * MIB), round(2 * size * MIB))


def test_the_total_is_right_after_many_files() -> None:
    """Sizes are rounded to a tenth and percentages to a hundredth: the sum forgets both."""
    sizes = [(number * 7919) % (3 * MIB) + 100 for number in range(2000)]
    console, so_far = Console(), 0
    for size in sizes:
        so_far += size
        percent = so_far * 100 / sum(sizes)
        words = f"{size / 1024:.1f}KB" if size < MIB else f"{size / MIB:.1f}MB"
        console.take(said(f"backup file /d/x ({words}, {percent:.2f}%){SUM}")[0])
        if percent > 1:
            assert console.stage is not None
            assert console.stage.total == pytest.approx(sum(sizes), rel=0.02)
    assert console.stage is not None
    assert console.stage.done == console.stage.total


def test_nothing_is_divided_by_nothing() -> None:
    stage, _ = heard(*said("backup file /d/x (0B, 0.00%)", "backup file /d/y (8KB, 0.00%)"))
    assert stage == Stage("copies files", 8192, 0)
    assert heard(*said("restore file /d/x (0B, -nan%)")) == (None, [])


def test_a_restore_begins_with_what_is_there() -> None:
    lines = said("repo1: restore backup set F, recovery will start at …", level="INFO")
    assert heard(*lines)[0] == Stage("begins to copy files")
    lines += said("remove invalid files/links/paths from '/pg/data'", level="INFO", process="P00")
    assert heard(*lines)[0] == Stage("compares with what is there")
    lines += said("restore global/pg_control (performed last to ensure aborted restores …)")
    assert heard(*lines)[0] == Stage("writes everything to disk")


def test_an_error_keeps_all_its_words_and_loses_none_of_them_among_files() -> None:
    error = [
        f"{AT} P00  ERROR: [082]: WAL segment 0000 was not archived before the 60000ms timeout\n",
        "            HINT: check the archive_command to ensure that all options are correct\n",
        "\n",
    ]
    lines = [*said("backup file /d/x (8KB, 1.00%)"), *error]
    lines += said("aborted with exception [082]", level="INFO", process="P00")
    assert heard(*lines)[1] == error


def test_what_a_telling_line_goes_on_with_is_telling_too() -> None:
    lines = said("statistics: {", level="DETAIL")
    assert heard(*lines, "            }\n") == (None, [])


@pytest.mark.parametrize(
    "line",
    ["", "\n", "WARN: stderr has no time and no process\n", "P00", "\x00\xff\n", "(8KB, 1.00%)\n"],
)
def test_what_pgbackrest_doesnt_tell_is_kept(line: str) -> None:
    assert heard(line) == (None, [line])


def test_a_line_without_its_time_tells_as_well() -> None:
    assert heard("P01 DETAIL: backup file /d/x (8KB, 1.00%)\n")[0] == Stage(
        "copies files", 8192, 819200
    )


LOG = """
LOG:  starting point-in-time recovery to 2026-03-01 12:00:00+00
LOG:  restored log file "000000010000000000000003" from archive
LOG:  restored log file "000000010000000000000004" from archive
"""


def test_a_recovery_before_it_can_be_asked_tells_its_segment() -> None:
    told = replay(None, None, LOG)
    assert told.phase == "replays WAL until the data files agree"
    assert told.detail == "segment 000000010000000000000004"
    assert replay(None, None, "").detail == ""


def test_a_recovery_that_can_be_asked_tells_how_far_it_has_come() -> None:
    commit = "2026-03-01 11:59:03.1+00"
    assert replay("0/5000028", commit, LOG) == Stage(
        "replays WAL", detail=f"at 0/5000028, {commit}"
    )
    assert replay("0/5000028", None, LOG).detail == "at 0/5000028"


def test_a_recovery_that_has_arrived_is_promoted() -> None:
    log = LOG + "LOG:  recovery stopping before commit of transaction 741, time 2026-03-01\n"
    assert replay("0/5000028", None, log) == Stage("is promoted", detail="at 0/5000028")
    assert replay(None, None, log).phase == "is promoted"
