"""Settings tried by PostgreSQL before they are put in place: a stand-in for its program."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Reads the configuration as PostgreSQL does: unknown names first, then values, then libraries.
POSTGRES = r"""#!/bin/sh
for word in "$@"; do case $word in config_file=*) file=${word#config_file=};; esac; done
echo 'LOG:  skipping missing configuration file "/x/postgresql.auto.conf"' >&2
if grep -q "^nosuch " "$file"; then
  echo "LOG:  unrecognized configuration parameter \"nosuch\" in file \"$file\" line 1" >&2
  echo "FATAL:  configuration file \"$file\" contains errors" >&2; exit 1
fi
if grep -q "^work_mem = 'much'" "$file"; then
  echo 'LOG:  invalid value for parameter "work_mem": "much"' >&2
  echo 'HINT:  Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".' >&2
  echo "FATAL:  configuration file \"$file\" contains errors" >&2; exit 1
fi
if grep "^shared_preload" "$file" | grep -q broken; then
  echo 'FATAL:  could not load library "/lib/broken.so": undefined symbol: x' >&2; exit 1
fi
"""


@pytest.fixture
def trial(member, tmp_path):
    """The module, with PostgreSQL's programs and a data folder in a temporary place."""
    programs = tmp_path / "programs"
    (programs / "bin").mkdir(parents=True)
    (programs / "lib").mkdir()
    for name in ("auto_explain", "broken", "pg_cron"):
        (programs / "lib" / f"{name}.so").touch()
    (programs / "bin/postgres").write_text(POSTGRES)
    (programs / "bin/postgres").chmod(0o755)
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    (data / "global/pg_control").write_bytes(b"x")
    spec = member.pillar["pigsty"]["pgsql"]
    spec["directories"]["programs"] = str(programs)
    spec["params"]["pg_data"] = str(data)
    module = member.load("_modules", "pigsty_trial")
    module.RUN = tmp_path / "run"
    module.programs = programs
    module._as_superuser = dict
    module._own = lambda path: None
    module._placeholders = lambda settings: {}
    return module


def test_nothing_to_complain_of(trial):
    assert trial.refused({"work_mem": "9MB", "fsync": True}, ["auto_explain"]) == {}
    assert list(trial.RUN.iterdir()) == []


def test_every_bad_setting_is_told_with_postgresqls_own_words(trial):
    bad = {"nosuch": 1, "work_mem": "much", "random_page_cost": 1.1}
    found = trial.refused(bad, ["auto_explain"])
    assert found == {
        "nosuch": 'unrecognized configuration parameter "nosuch"',
        "work_mem": 'invalid value for parameter "work_mem": "much"',
    }


def test_a_library_that_is_not_there(trial):
    found = trial.refused({}, ["auto_explain", "pg_partman_bgw"])
    assert found == {"shared_preload_libraries": "not installed here: pg_partman_bgw"}
    assert trial.unloadable(["auto_explain", "pg_partman_bgw"]) == ["pg_partman_bgw"]


def test_a_library_that_is_there_and_does_not_load(trial):
    found = trial.refused({"work_mem": "9MB"}, ["auto_explain", "broken"])
    assert "undefined symbol" in found["shared_preload_libraries"]
    assert trial.unloadable(["auto_explain", "broken"]) == ["broken"]


def test_libraries_that_load_alone_but_not_together_are_all_refused(trial):
    assert trial.unloadable(["auto_explain", "pg_cron"]) == ["auto_explain", "pg_cron"]


def test_before_the_packages_are_installed_nobody_can_say(trial):
    (trial.programs / "bin/postgres").unlink()
    assert trial.refused({"nosuch": 1}, ["nothing"]) == {}


def test_values_are_written_as_patroni_writes_them(trial):
    assert trial._quoted(True) == "'on'" and trial._quoted(1.5) == "'1.5'"
    assert trial._quoted("it's") == "'it''s'"
    assert trial._quoted("a\nb") == "'a b'"
    assert trial._quoted("a\\b") == r"'a\\b'"


@pytest.mark.parametrize(
    ("name", "file"),
    [("x", "x.so"), ("x.so", "x.so"), ("$libdir/x", "x.so"), ("dir/x", "dir/x.so")],
)
def test_where_a_library_is_looked_for(trial, name, file):
    assert trial._file(Path("/lib"), name) == Path("/lib") / file
    assert trial._file(Path("/lib"), "/other/x") == Path("/other/x.so")
