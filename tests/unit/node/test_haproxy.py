"""HAProxy: texts, whose files are whose, and the states that keep it running with them."""

from __future__ import annotations

import subprocess

import pytest

from pigsty.errors import PillarError
from pigsty.render import haproxy

MAIN = haproxy.main(port=9101, username="admin", password="token-1")


def test_the_admin_page_asks_for_the_password_and_the_metrics_do_not():
    assert "bind *:9101" in MAIN
    assert "stats auth 'admin:token-1'" in MAIN
    assert "prometheus-exporter if { path /metrics }" in MAIN


@pytest.mark.parametrize("secret", ["it's", 'a"b', "a b#c", "$HOME", "\\", "'\"'\"'"])
def test_any_password_is_one_word(secret):
    # The strong quotes of HAProxy's language are those of the shell.
    echoed = subprocess.run(
        ["sh", "-c", f"printf %s {haproxy.word(secret)}"], capture_output=True, text=True
    )
    assert echoed.stdout == secret


def test_a_line_break_in_a_password_is_refused():
    with pytest.raises(PillarError, match="line break"):
        haproxy.word("a\nb")


def test_a_service_with_every_key():
    spec = {
        "name": "minio",
        "port": 9002,
        "ip": "10.0.0.1",
        "protocol": "http",
        "balance": "leastconn",
        "maxconn": 77,
        "options": ["option httpchk", "http-check expect status 200"],
        "default": "inter 3s",
        "servers": [
            {"name": "a", "ip": "10.0.0.2", "port": 9000, "weight": 0, "options": "check"},
            {"name": "b", "ip": "10.0.0.3", "port": 9000, "backup": True},
        ],
    }
    assert haproxy.service(spec).splitlines() == [
        "listen minio",
        "    bind 10.0.0.1:9002",
        "    mode http",
        "    maxconn 77",
        "    balance leastconn",
        "    option httpchk",
        "    http-check expect status 200",
        "    default-server inter 3s",
        "    server a 10.0.0.2:9000 weight 0 check",
        "    server b 10.0.0.3:9000 backup",
    ]


def test_a_bare_service_has_defaults_and_the_nested_form_works():
    assert haproxy.service({"name": "x", "port": 1}).splitlines() == [
        "listen x",
        "    bind *:1",
        "    mode tcp",
        "    maxconn 10000",
        "    balance roundrobin",
    ]
    nested = haproxy.service(
        {"name": "x", "port": 1, "haproxy": {"maxconn": 5, "balance": "source"}}
    )
    assert "maxconn 5" in nested and "balance source" in nested


def test_default_server_is_not_written_twice():
    spec = {"name": "x", "port": 1, "default": "default-server inter 1s"}
    assert haproxy.service(spec).count("default-server") == 1


def test_services_are_sorted():
    specs = [{"name": "b", "port": 2}, {"name": "a", "port": 1}]
    assert list(haproxy.services(specs)) == ["a.cfg", "b.cfg"]


def test_who_owns_what_decides_what_goes():
    present = {
        "pg-test-primary.cfg": haproxy.owned("pgsql", "x\n"),
        "pg-old-primary.cfg": haproxy.owned("pgsql", "x\n"),
        "pg-test-by-hand.cfg": "listen by-hand\n",
        "pg-test-of-node.cfg": haproxy.owned("node", "x\n"),
        "other.cfg": "listen other\n",
    }
    gone = haproxy.stale(present, ["pg-test-primary.cfg"], "pgsql", "pg-test-")
    assert gone == ["pg-old-primary.cfg", "pg-test-by-hand.cfg"]
    assert haproxy.stale(present, [], "node") == ["pg-test-of-node.cfg"]
    assert haproxy.stale(present, [], "nobody", clean=True) == ["other.cfg", "pg-test-by-hand.cfg"]


def test_a_prefix_of_nothing_takes_nothing():
    assert haproxy.stale({"by-hand.cfg": "listen x\n"}, [], "node", "") == []


def record(folder, main, files):
    """Run what the unit runs when it has loaded a configuration; return what it wrote."""
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "haproxy.cfg").write_text(main)
    for name, text in files.items():
        (folder / "conf.d" / name).write_text(text)
    line = haproxy.drop_in().splitlines()[-1]
    assert line.replace("ExecReload=", "ExecStartPost=") in haproxy.drop_in()
    command = line.removeprefix("ExecReload=/bin/sh -c '").removesuffix("'")
    command = command.replace("/etc/haproxy", str(folder)).replace("/run/pigsty", str(folder))
    subprocess.run(["sh", "-c", command], check=True)
    return (folder / "haproxy.loaded").read_text().replace(str(folder), "/etc/haproxy")


def handed_over(folder, answer):
    """Run what the unit runs before a reload, with a HAProxy that answers so; None: it is down."""
    lines = haproxy.drop_in().splitlines()
    run = lines.index(f"ExecReload=-{haproxy.HAND_OVER}")
    assert run < lines.index("ExecReload=/bin/kill -USR2 $MAINPID")
    (folder / "answer").write_text(answer or "")
    (folder / "socat").write_text(f"#!/bin/sh\n{'cat ' + str(folder) + '/answer'}\n")
    (folder / "socat").chmod(0o755)
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "haproxy.cfg").write_text("listen pigsty-admin\n    bind *:9101\n")
    (folder / "conf.d" / "a.cfg").write_text(
        "# Owner: pgsql\nlisten a\n    server one 10.0.0.1:5432 check port 8008\n"
        "\nbackend a.backup\n    server one 10.0.0.1:6432 check\n"
    )
    script = haproxy.hand_over().replace("/run/pigsty", str(folder))
    script = script.replace("/etc/haproxy", str(folder))
    path = f"{folder}:/usr/bin:/bin"
    subprocess.run(["sh", "-c", script], check=True, env={"PATH": path})
    file = folder / "haproxy.servers"
    return file.read_text() if file.exists() else None


def test_a_reload_hands_the_servers_states_over_and_the_ports_of_the_files(tmp_path):
    def row(part, server, port):
        return f"3 {part} 1 {server} 10.0.0.1 2 8 100 100 44 15 3 5 6 0 0 0 - {port}"

    old = ["1", "# be_id be_name", row("a", "one", "6432 - 0 8008 - - 0")]
    old += [row("a.backup", "one", "6432 - 0 8008 - - 0"), row("gone", "one", "1 - 0 0 - - 0"), ""]
    assert handed_over(tmp_path, "\n".join([*old, ""])).splitlines() == [
        *old[:2],
        row("a", "one", "5432 -"),
        row("a.backup", "one", "6432 -"),
        "",
    ]
    # A HAProxy that doesn't answer leaves nothing, not the state of an older reload.
    assert handed_over(tmp_path, None) is None
    assert not list(tmp_path.glob("haproxy.servers*"))


def test_a_start_knows_no_state_of_a_past_reload():
    assert f"ExecStartPre=/bin/rm -f {haproxy.SERVERS}" in haproxy.drop_in().splitlines()
    main = haproxy.main(port=1, username="a", password="b")
    assert f"server-state-file {haproxy.SERVERS}\n" in main
    assert "load-server-state-from-file global\n" in main


def test_another_ca_is_loaded_by_whoever_keeps_the_main_file():
    known = f"{haproxy._checksum('OLD')}  {haproxy.CA}\n{haproxy._checksum(MAIN)}  {haproxy.MAIN}"
    assert not haproxy.behind(known, MAIN, {}, "node", "OLD")
    assert haproxy.behind(known, MAIN, {}, "node", "OLD\nNEW")
    assert not haproxy.behind(known, None, {}, "pgsql")
    assert haproxy.CA in haproxy.drop_in()


def test_what_the_unit_records_is_what_was_loaded(tmp_path):
    files = {"a_b.cfg": haproxy.owned("node", "1\n"), "a-b.cfg": "2\n"}
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "README").write_text("no configuration")
    written = record(tmp_path, MAIN, files)
    assert len(haproxy.loaded(written)) == 3
    assert not haproxy.behind(written, MAIN, files, "node")
    assert haproxy.behind(written, MAIN + "\n", files, "node")
    assert haproxy.behind(written, MAIN, {**files, "a_b.cfg": haproxy.owned("node", "")}, "node")
    assert haproxy.behind(written, MAIN, {**files, "new.cfg": "3\n"}, "node")
    assert haproxy.behind(written, MAIN, {"a_b.cfg": files["a_b.cfg"]}, "node")
    assert haproxy.behind("", MAIN, {}, "node")


def test_an_empty_folder_is_recorded_too(tmp_path):
    assert not haproxy.behind(record(tmp_path, MAIN, {}), MAIN, {}, "node")


def test_a_file_of_another_owner_is_left_to_that_one(tmp_path):
    written = record(tmp_path, MAIN, {"p.cfg": haproxy.owned("pgsql", "1\n")})
    by_hand = {"p.cfg": haproxy.owned("pgsql", "edited by hand\n")}
    assert not haproxy.behind(written, MAIN, by_hand, "node")
    assert haproxy.behind(written, None, by_hand, "pgsql")
    assert not haproxy.behind(written, None, {"p.cfg": haproxy.owned("pgsql", "1\n")}, "pgsql")


def test_workers_are_told_from_the_master_and_from_old_workers():
    answer = """#<PID>          <type>          <reloads>       <uptime>        <version>
1162            master          5 [failed: 0]   0d00h02m07s     3.0.11
# workers
1271            worker          1               0d00h00m00s     3.0.11
# old workers
1233            worker          3               0d00h00m43s     3.0.11
# programs
"""
    assert haproxy.workers(answer) == {1271}
    assert haproxy.workers("") == frozenset()
