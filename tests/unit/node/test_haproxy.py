"""HAProxy: texts, whose files are whose, and the states that keep it running with them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

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


PROC = """#<PID>          <type>          <reloads>       <uptime>        <version>
1162            master          {reloads} [failed: {failed}]   0d00h02m07s     3.0.11
# workers
{worker}            worker          1               0d00h00m00s     3.0.11
# programs
"""


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (PROC.format(reloads=6, failed=0, worker=8), "reloaded"),
        (PROC.format(reloads=6, failed=1, worker=7), "failed"),
        (PROC.format(reloads=5, failed=0, worker=7), ""),
        ("", ""),
    ],
)
def test_how_a_reload_went(after, outcome):
    assert haproxy.outcome(PROC.format(reloads=5, failed=0, worker=7), after) == outcome


@pytest.fixture
def state(machine, tmp_path, monkeypatch):
    """The states on a machine with HAProxy installed, whose unit writes what it has loaded."""
    module = machine.module("_states", "pigsty_haproxy")
    machine.units.install(haproxy.UNIT, "active", "enabled")
    loaded = {"record": "", "drop-in": False, "reloads": 0, "refuses": ""}

    def present():
        prefix = f"{haproxy.SERVICES}/"
        return {
            path.removeprefix(prefix): text
            for path, text in machine.files.texts.items()
            if path.startswith(prefix)
        }

    def need(status, owner, main):
        if status["ActiveState"] != "active":
            return ""
        if not loaded["drop-in"]:
            return "restart"
        text = machine.files.texts.get(haproxy.MAIN) if main else None
        return "reload" if haproxy.behind(loaded["record"], text, present(), owner) else ""

    def load():
        read = {f"{haproxy.SERVICES}/{name}": text for name, text in present().items()}
        read[haproxy.MAIN] = machine.files.texts.get(haproxy.MAIN, "")
        rows = (f"{haproxy._checksum(text)}  {path}" for path, text in read.items())
        loaded["record"] = "\n".join(rows)
        loaded["drop-in"] = haproxy.DROP_IN in machine.files.texts

    def reload():
        loaded["reloads"] += 1
        load()

    real_act, real_enact = machine.units.act, machine.units.enact

    def act(verb, *units):
        real_act(verb, *units)
        if verb == "restart":
            load()

    def enact(planned):
        real_enact(planned)
        if "active" in planned.get(haproxy.UNIT, {}):
            load()

    machine.salt.update(
        {
            "pigsty_haproxy.present": present,
            "pigsty_haproxy.need": need,
            "pigsty_haproxy.reload": reload,
            "pigsty_haproxy.check": lambda main, files: loaded["refuses"],
            "pigsty_systemd.act": act,
            "pigsty_systemd.enact": enact,
        }
    )
    module.loaded = loaded
    machine.node(
        haproxy={
            "enabled": True,
            "config": MAIN,
            "services": {"web.cfg": "listen web\n"},
            "clean": False,
            "reload": True,
        }
    )
    return module


def test_the_first_run_restarts_because_the_arguments_change(machine, state):
    changes = machine.converges(state.managed)
    assert changes[haproxy.UNIT]["configuration"]["new"] == "restart"
    assert "token-1" not in str(changes)
    assert haproxy.owner_of(machine.files.texts[f"{haproxy.SERVICES}/web.cfg"]) == "node"
    assert machine.files.modes[haproxy.MAIN] == ("0640", "root", "root")
    assert ("daemon-reload", "") in machine.units.done
    assert state.loaded["reloads"] == 0


def test_a_stopped_haproxy_is_started_and_not_reloaded(machine, state):
    machine.units.install(haproxy.UNIT, "failed", "disabled")
    changes = machine.converges(state.managed)
    assert set(changes[haproxy.UNIT]) == {"enabled", "active"}
    assert state.loaded["reloads"] == 0


def test_services_reload_once_and_stale_ones_go(machine, state):
    machine.converges(state.managed)
    both = {"pg-test-primary.cfg": "listen p\n", "pg-test-replica.cfg": "listen r\n"}
    machine.converges(state.services, prefix="pg-test-", files=both)
    assert state.loaded["reloads"] == 1
    del both["pg-test-replica.cfg"]
    changes = machine.converges(state.services, prefix="pg-test-", files=both)
    assert f"{haproxy.SERVICES}/pg-test-replica.cfg" in changes
    assert f"{haproxy.SERVICES}/pg-test-replica.cfg" not in machine.files.texts
    assert f"{haproxy.SERVICES}/web.cfg" in machine.files.texts
    assert state.loaded["reloads"] == 2


def test_a_reload_that_was_cut_off_is_made_up_for(machine, state):
    machine.converges(state.managed)
    state.loaded["record"] = f"0  {haproxy.MAIN}"
    changes = machine.converges(state.managed)
    assert list(changes) == [haproxy.UNIT]
    assert state.loaded["reloads"] == 1


def test_what_haproxy_refuses_changes_nothing(machine, state):
    machine.converges(state.managed)
    state.loaded["refuses"] = "unknown keyword 'lsten'"
    before = dict(machine.files.texts)
    ret = state.services("s", prefix="x-", files={"x-1.cfg": "lsten x\n"})
    assert ret["result"] is False
    assert "unknown keyword 'lsten'" in ret["comment"]
    assert machine.files.texts == before
    assert state.loaded["reloads"] == 0


def test_a_failing_reload_brings_the_old_files_back(machine, state):
    machine.converges(state.managed)
    machine.converges(state.services, prefix="x-", files={"x-1.cfg": "listen x\n"})
    before = dict(machine.files.texts)

    def reload():
        raise CommandExecutionError("cannot bind socket")

    machine.salt["pigsty_haproxy.reload"] = reload
    ret = state.services("s", prefix="x-", files={"x-2.cfg": "listen x\n    bind :22\n"})
    assert ret["result"] is False
    assert "cannot bind socket" in ret["comment"]
    assert machine.files.texts == before


def test_services_before_the_node_state_say_what_is_missing(machine, state):
    ret = state.services("s", prefix="x-", files={"x-1.cfg": "listen x\n"})
    assert ret["result"] is False
    assert "apply the state `node` first" in ret["comment"]


@pytest.mark.parametrize("name", ["../haproxy.cfg", "a/b.cfg", ".hidden.cfg"])
def test_a_file_stays_in_the_folder(machine, state, name):
    machine.converges(state.managed)
    ret = state.services("s", prefix="x-", files={name: "listen x\n"})
    assert ret["result"] is False
    assert "not plain file names" in ret["comment"]


def test_a_bare_node_can_be_tested(machine, state):
    machine.units.known.clear()
    machine.opts["test"] = True
    assert state.managed("s")["result"] is None
    assert state.services("s", prefix="x-", files={"x-1.cfg": "listen x\n"})["result"] is None
    assert machine.files.texts == {}


def test_without_reload_the_files_alone_change(machine, state):
    machine.converges(state.managed)
    data = machine.pillar["pigsty"]["node"]["haproxy"]
    data.update(reload=False, services={"web.cfg": "listen web2\n"})
    ret = state.managed("s")
    assert ret["result"] is True
    assert haproxy.UNIT not in ret["changes"]
    assert state.loaded["reloads"] == 0


def test_haproxy_that_is_off_is_stopped(machine, state):
    machine.node(haproxy={"enabled": False})
    assert set(machine.converges(state.managed)[haproxy.UNIT]) == {"enabled", "active"}


def test_haproxy_that_is_off_and_not_there_is_nothing_to_do(machine, state):
    machine.node(haproxy={"enabled": False})
    machine.units.known.clear()
    assert machine.converges(state.managed) == {}


def test_present_skips_what_haproxy_skips(loader, tmp_path, monkeypatch):
    module = loader("_modules", "pigsty_haproxy")
    monkeypatch.setattr(module.haproxy, "SERVICES", str(tmp_path))
    for name in ("a.cfg", ".a.cfg.x.new", ".b.cfg", "c.txt"):
        (tmp_path / name).write_text("x\n")
    assert list(module.present()) == ["a.cfg"]


def test_a_check_sees_the_whole_and_leaves_no_copy_of_the_password(loader, tmp_path, monkeypatch):
    module = loader("_modules", "pigsty_haproxy")
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))

    def problem(command):
        assert command[:3] == ["haproxy", "-c", "-f"]
        (stage,) = tmp_path.iterdir()
        assert stage.stat().st_mode & 0o077 == 0
        assert Path(command[3]).read_text() == "main\n"
        assert [file.name for file in Path(command[5]).iterdir()] == ["x.cfg"]
        return f"[{command[5]}/x.cfg:1] bad"

    module.__salt__ = {"pigsty_command.problem": problem}
    assert module.check("main\n", {"x.cfg": "y"}) == "[/etc/haproxy/conf.d/x.cfg:1] bad"
    assert list(tmp_path.iterdir()) == []


def test_a_process_without_the_folder_needs_a_restart(loader, tmp_path, monkeypatch):
    module = loader("_modules", "pigsty_haproxy")
    main, written = tmp_path / "haproxy.cfg", tmp_path / "loaded"
    main.write_text(MAIN)
    monkeypatch.setattr(module.haproxy, "MAIN", str(main))
    monkeypatch.setattr(module.haproxy, "LOADED", str(written))
    monkeypatch.setattr(module.haproxy, "SERVICES", str(tmp_path / "conf.d"))
    status = {"ActiveState": "active", "MainPID": "self"}
    written.write_text("?")
    assert module.need(status, "node", True) == "restart"
    assert module.need({**status, "MainPID": "0"}, "node", True) == "restart"
    mine = Path("/proc/self/cmdline").read_text().split("\0")[0]
    monkeypatch.setattr(module.haproxy, "SERVICES", mine)
    assert module.need(status, "node", True) == "reload"
    written.unlink()
    assert module.need(status, "node", True) == "reload"
    written.write_text(f"{haproxy._checksum(MAIN)}  {main}\n")
    assert module.need(status, "node", True) == ""
    main.write_text(MAIN + "# edited\n")
    assert module.need(status, "node", True) == "reload"
    assert module.need(status, "pgsql", False) == ""
    assert module.need({"ActiveState": "failed"}, "node", True) == ""


@pytest.fixture
def master(loader, tmp_path, monkeypatch):
    """The module with a master that answers on a socket, as HAProxy does: once we stop talking."""
    module = loader("_modules", "pigsty_haproxy")
    # A path on a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="ha"))
    monkeypatch.setattr(module.haproxy, "MASTER_SOCKET", str(folder / "s"))
    monkeypatch.setattr(module.haproxy, "LOADED", str(tmp_path / "loaded"))
    (tmp_path / "loaded").write_text("x")
    module.answers = {"show proc": PROC.format(reloads=5, failed=0, worker=7)}
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "s"))
    listener.listen()

    def serve():
        while True:
            try:
                talk, _ = listener.accept()
            except OSError:
                return
            with talk:
                asked = b""
                while part := talk.recv(100):
                    asked += part
                talk.sendall(module.answers.get(asked.decode().strip(), "?").encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield module
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
    shutil.rmtree(folder)


def test_a_reload_is_over_when_the_new_worker_is_there(master, tmp_path):
    def act(verb, unit):
        master.answers["show proc"] = PROC.format(reloads=6, failed=0, worker=8)

    master.__salt__ = {"pigsty_systemd.act": act}
    master.reload()
    assert (tmp_path / "loaded").exists()


def test_a_reload_that_fails_says_why_and_is_not_taken_for_loaded(master, tmp_path):
    def act(verb, unit):
        master.answers["show proc"] = PROC.format(reloads=6, failed=1, worker=7)

    master.answers["show startup-logs"] = "cannot bind socket [0.0.0.0:22]"
    master.__salt__ = {"pigsty_systemd.act": act}
    with pytest.raises(CommandExecutionError, match=r"failed: .*cannot bind socket"):
        master.reload()
    assert not (tmp_path / "loaded").exists()


class Runtime:
    """HAProxy's admin socket: two parts with one server; it notes commands and obeys."""

    def __init__(self):
        self.admin, self.heard, self.refuses = {"a": 0, "b": 0}, [], ""

    def __call__(self, command, where=""):
        assert where == haproxy.ADMIN_SOCKET
        if command.startswith("show stat"):
            rows = "".join(f"{part},one,2,UP,100,L7OK,200,\n" for part in self.admin)
            return "# pxname,svname,scur,status,weight,check_status,check_code,\n" + rows
        if command == "show servers state":
            rows = (f"3 {p} 1 one 10.0.0.1 2 {bits} 100 100 5" for p, bits in self.admin.items())
            return "\n".join(("1", "# be_id", *rows))
        self.heard.append(command)
        if not self.refuses:
            _, _, server, _, state = command.split()
            self.admin[server.split("/")[0]] = {"ready": 0, "maint": 1, "drain": 8}[state]
        return self.refuses + "\n"


@pytest.fixture
def runtime(machine):
    module = machine.module("_modules", "pigsty_haproxy")
    module._ask = module.runtime = Runtime()
    return module


def test_a_member_is_turned_in_the_parts_that_were_asked_for(runtime):
    rows = runtime.turn(["a"], "one", "drain")
    assert runtime.runtime.heard == ["set server a/one state drain"]
    assert [(row["part"], row["state"]) for row in rows] == [("a", "drain")]
    assert [row["state"] for row in runtime.servers(["a", "b"])] == ["drain", "ready"]


def test_what_haproxy_refuses_and_what_it_ignores_is_an_error(runtime):
    runtime.runtime.refuses = "No such server."
    with pytest.raises(CommandExecutionError, match="a/one: No such server"):
        runtime.turn(["a"], "one", "drain")
    runtime.runtime.refuses = " "
    with pytest.raises(CommandExecutionError, match="told to, but one is not maint in b"):
        runtime.turn(["b"], "one", "maint")
    with pytest.raises(CommandExecutionError, match="no state of a server"):
        runtime.turn(["b"], "one", "gone")
    runtime._ask = lambda *_: ""
    with pytest.raises(CommandExecutionError, match="doesn't answer"):
        runtime.servers(["a"])


def test_services_of_a_node_without_haproxy(machine, state):
    machine.node(haproxy={"enabled": False})
    assert machine.converges(state.services, prefix="x-", files={"x-1.cfg": "listen x\n"}) == {}
    assert machine.files.texts == {}
