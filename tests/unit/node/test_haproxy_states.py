"""The states that keep HAProxy running: starts, reloads, refusals, and what its runtime is told."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from pigsty.render import haproxy

MAIN = haproxy.main(port=9101, username="admin", password="token-1")
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
