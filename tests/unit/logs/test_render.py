"""What brings logs to the infra nodes, as files."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address

import pytest

from pigsty import logs as search
from pigsty.render import logs

GIB = 1 << 30
SPEC = {"folder": "/data/infra/logs", "port": 9428, "hosts": [{"ip": "10.0.0.1"}] * 3}


def level(program: str, text: str) -> int:
    """Return the priority that rsyslog gives a text: its regular expressions are Python's too."""
    for priority, pattern in logs.FORMS[program].levels:
        if re.search(pattern, text):
            return priority
    return 6


@pytest.mark.parametrize(
    ("program", "text", "wanted"),
    [
        ("postgres", '2026-05-01 10:00:00.1 UTC,"a","b",1,"c",d,1,"SELECT",e,f,0,ERROR,1,"x"', 3),
        ("postgres", "2026-05-01 10:00:00.1 UTC,,,1,,d,1,,e,,0,PANIC,1,x", 2),
        ("postgres", "2026-05-01 10:00:00.1 UTC,,,1,,d,1,,e,,0,LOG,0,a ERROR said", 6),
        ("postgres", "2026-05-01 10:00:00.1 UTC,,,1,,d,1,,e,,0,WARNING,0,x", 4),
        ("patroni", "2026-05-01 10:00:00,123 ERROR: failed", 3),
        ("patroni", "2026-05-01 10:00:00,123 INFO: no ERROR: here", 6),
        ("pgbouncer", "2026-05-01 10:00:00.1 UTC [7] WARNING pooler", 4),
        ("pgbouncer", "2026-05-01 10:00:00.1 UTC [7] LOG S-0x1: x", 6),
        ("pgbackrest", "2026-05-01 10:00:00.1 P00  ERROR: [050]: lock", 3),
        ("pgbackrest", "2026-05-01 10:00:00.1 P01   INFO: done", 6),
        ("nginx", "2026/05/01 10:00:00 [error] 7#7: *1 open() failed", 3),
        ("nginx", '10.0.0.1 - - [01/May/2026:10:00:00 +0000] "GET /[error] HTTP/1.1" 200', 6),
        ("salt-minion", "2026-05-01 10:00:00,1 [salt.state:3][ERROR   ][77] no", 3),
    ],
)
def test_levels_of_what_programs_write(program, text, wanted):
    assert level(program, text) == wanted


def test_a_statement_of_several_lines_is_one_entry():
    begin = re.compile(logs.FORMS["postgres"].begin)
    assert begin.match("2026-05-01 10:00:00.123 UTC,")
    assert not begin.match("2026-05-01 10:00:00 is a line of a statement")
    assert not begin.match("select 1")


def test_rsyslog_reads_each_file_with_the_rules_of_its_program():
    text = logs.rsyslog([("postgres", "/pg/log/*.csv"), ("nginx", "/var/log/nginx/*.log")])
    assert text.count("input(") == 2
    assert 'file="/pg/log/*.csv" tag="postgres" ruleset="postgres" startmsg.regex=' in text
    assert 'ruleset="nginx" escapeLF' in text
    assert text.count('ruleset(name="postgres")') == 1
    # A flood doesn't reach the journal, and what is written into the journal isn't read again.
    assert text.count(f'maxLinesPerMinute="{logs.LINES_PER_MINUTE}"') == 2
    assert "imjournal" not in text
    assert "imuxsock" not in text
    assert all(line.count('"') % 2 == 0 for line in text.splitlines())


def test_two_patterns_of_one_program_share_its_rules():
    text = logs.rsyslog([("patroni", "/a/*.log"), ("patroni", "/b/*.log")])
    assert text.count('ruleset(name="patroni")') == 1


def test_without_files_the_forwarder_is_stopped():
    assert not logs.forwarder([]).running
    assert logs.forwarder([("nginx", "/x")]).running


def test_an_upload_sends_by_the_certificate_of_the_node_and_remembers_where_it_was():
    unit = logs.upload("infra-2", "10.0.0.2")
    (file,) = unit.restart
    assert unit.unit == "pigsty-upload-infra-2.service"
    assert "--url=https://10.0.0.2:19532" in file.contents
    assert "--save-state=%S/pigsty-upload-infra-2/state" in file.contents
    assert "StartLimitIntervalSec=0" in file.contents
    assert "https://[fd00::1]:19532" in logs.upload("infra-3", "fd00::1").restart[0].contents


@pytest.mark.parametrize(
    "unit", [logs.upload("infra-1", "10.0.0.1"), logs.forwarder([("nginx", "/x")])]
)
def test_what_sends_logs_takes_little_and_may_do_little(unit):
    text = unit.restart[0].contents
    for line in ("MemoryMax=256M", "Nice=10", "ProtectSystem=strict", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in text


def test_each_host_has_an_address_of_its_own_on_the_loopback():
    found = logs.sources(["10.1.2.3", "192.168.0.1", "10.0.0.1", "11.1.2.3", "fd00::1", "name"])
    assert found["10.1.2.3"] == "127.1.2.3"
    assert found["192.168.0.1"] == "127.168.0.1"
    assert found["11.1.2.3"] == "127.1.2.4"
    assert len(set(found.values())) == 6
    assert "127.0.0.1" not in found.values()
    assert all(ip_address(address).is_loopback for address in found.values())
    assert found == logs.sources(reversed(list(found)))


@pytest.mark.parametrize("cap", [GIB, 50 * GIB])
@pytest.mark.parametrize("hosts", [0, 1, 4, 100, 1000])
def test_all_files_together_stay_below_the_cap(cap, hosts):
    archived, one = logs.sizes(cap, hosts)
    assert 4 << 20 <= one <= 64 << 20
    if hosts * one <= cap // 2:
        assert archived + hosts * one <= cap


def test_nginx_lets_in_who_has_a_certificate_and_stands_in_the_inventory():
    text = logs.nginx({"10.0.0.1": "127.0.0.9"})
    assert "ssl_verify_client on;" in text
    assert "    10.0.0.1 127.0.0.9;" in text
    assert 'if ($pigsty_source = "") { return 403; }' in text
    pattern = re.search(r'"~(.*)" \$pigsty_ip', text)[1].replace("(?<", "(?P<")
    assert re.search(pattern, "OU=10.0.0.1.node,O=pigsty")["pigsty_ip"] == "10.0.0.1"
    for other in ("OU=pg-test-1.pgsql,O=pigsty", "OU=10.0.0.1.nodes,O=x", "CN=10.0.0.1.node"):
        assert not re.search(pattern, other)


def test_an_infra_node_keeps_logs_within_their_sizes_and_the_search_reads_only():
    socket, remote, server = logs.store(SPEC, GIB, {"logs.py": "code", "__init__.py": ""})
    assert "ListenStream=127.0.0.1:19531" in socket.restart[0].contents
    drop_in, limits = remote.restart
    assert "--output=/data/infra/logs --split-mode=host" in drop_in.contents
    assert f"MaxUse={GIB - 3 * (64 << 20)}" in limits.contents
    unit, *code = server.restart
    assert "-m pigsty.logserver 9428 /data/infra/logs /etc/pigsty-logs.json" in unit.contents
    assert "DynamicUser=yes" in unit.contents
    assert [file.path for file in code] == [
        "/usr/local/lib/pigsty/pigsty/__init__.py",
        "/usr/local/lib/pigsty/pigsty/logs.py",
    ]


def test_files_that_nobody_writes_to_age_out():
    line = logs.aging("/data/infra/logs", "15d").contents.splitlines()[1]
    owner = "systemd-journal-remote systemd-journal-remote"
    assert line == f"d /data/infra/logs 0750 {owner} m:15d"


def test_the_search_reads_the_list_of_hosts_that_is_written():
    names = [{"module": "node", "cls": "nodes", "ins": "a"}]
    rows = [{"ip": "10.0.0.1", "node": "a", "source": "127.0.0.9", "names": names}]
    file = logs.hosts(rows)
    (host,) = search.hosts(file.contents)
    assert (host.ip, host.source, host.names[0].ins) == ("10.0.0.1", "127.0.0.9", "a")
    assert search.hosts(logs.hosts([]).contents) == []
    assert json.loads(file.contents)


def test_the_search_stands_alone():
    """Infra nodes run it with the system's Python, where nothing of ours is installed."""
    import subprocess
    import sys
    from pathlib import Path

    code = "import sys; from pigsty import logserver; print(sorted(m for m in sys.modules if m.startswith(('pigsty', 'yaml', 'salt', 'cryptography'))))"  # fmt: skip  # noqa: E501
    core = Path(search.__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(core)},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "['pigsty', 'pigsty.logs', 'pigsty.logserver']"
