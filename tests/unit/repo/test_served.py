"""nginx in front of the repository: its configuration, and the certificate that it shows."""

from __future__ import annotations

import pytest

from pigsty.render import nginx

SITE = {
    "grafana": None,
    "group": "www-data",
    "home": "/www",
    "machines": {},
    "packages": ["nginx"],
    "port": 80,
    "programs": [],
    "sites": [],
    "ssl_port": 443,
    "sslmode": "enable",
    "status_port": 8087,
    "trusted": [],
    "users": {},
}


def servers(**change):
    text = nginx.config({**SITE, **change})
    # The first one tells the exporter how nginx is.
    return [block for block in text.split("server {") if "listen" in block][1:]


def test_one_server_speaks_both():
    (server,) = servers()
    assert "listen 80 default_server;" in server
    assert "listen 443 ssl default_server;" in server
    assert f"ssl_certificate {nginx.CERTIFICATE};" in server
    assert "autoindex on" in server


def test_without_tls_there_is_no_certificate():
    (server,) = servers(sslmode="disable")
    assert "ssl" not in server


def test_enforced_tls_sends_everything_there_but_the_ca():
    plain, tls = servers(sslmode="enforce", ssl_port=8443)
    assert "return 301 https://$host:8443$request_uri;" in plain
    assert "location = /ca.crt" in plain
    assert "listen 8443 ssl" not in plain
    assert "return 301" not in tls
    (standard, _tls) = servers(sslmode="enforce")
    assert "https://$host$request_uri" in standard


@pytest.mark.parametrize("mode", ["enable", "disable", "enforce"])
def test_hidden_files_are_served_by_nobody(mode):
    # A package that is being published has a name with a dot until it is whole.
    assert all("location ~ /\\. { deny all; }" in server for server in servers(sslmode=mode))


class Web:
    """nginx on a node: its files, its unit, and which certificate it shows."""

    def __init__(self, minion):
        self.files, self.verbs = {nginx.EXAMPLE: "example"}, []
        self.unit = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}
        self.shows = self.disk = "one"
        self.accepts, self.debts = True, set()
        minion.pillar["pigsty"] = {"infra": {"nginx": SITE}}
        minion.salt |= {
            "pigsty_file.changes": lambda files: {
                f.path: {"diff": "x"} for f in files if self.files.get(f.path) != f.contents
            },
            "pigsty_file.read": self.files.get,
            "pigsty_file.converge": lambda files: self.files.update(
                {f.path: f.contents for f in files}
            ),
            "pigsty_systemd.show": lambda unit: {unit: self.unit},
            "pigsty_systemd.plan": minion.load("_modules", "pigsty_systemd").plan,
            "pigsty_systemd.enact": self.enact,
            "pigsty_systemd.owe": lambda unit, verb: self.debts.add(verb),
            "pigsty_systemd.owed": lambda unit: next(iter(self.debts), ""),
            "pigsty_systemd.pay": self.pay,
            "cmd.run_all": lambda command, python_shell: {
                "retcode": 0 if self.accepts else 1,
                "stderr": "unknown directive",
            },
        }
        self.minion, self.states = minion, minion.load("_states", "pigsty_repo")
        self.states._serves = lambda site: (
            self.unit["ActiveState"] == "active" and self.shows == self.disk
        )

    def enact(self, planned):
        for change in planned.values():
            self.verbs += sorted(change)
            self.unit |= {"ActiveState": "active", "UnitFileState": "enabled"}
            self.shows = self.disk

    def pay(self, unit):
        while self.debts:
            self.verbs.append(self.debts.pop())
            self.shows = self.disk

    def apply(self, test=False):
        self.minion.opts["test"] = test
        return self.states.served("/etc/nginx/conf.d/pigsty.conf")


@pytest.fixture
def web(minion):
    return Web(minion)


def test_started_once_then_left_alone(web):
    would = web.apply(test=True)
    assert (would["result"], web.verbs) == (None, [])
    done = web.apply()
    assert (done["result"], done["changes"]) == (True, would["changes"])
    assert web.verbs == ["active", "enabled"]
    assert web.files[nginx.EXAMPLE] is None
    again = web.apply()
    assert (again["result"], again["changes"]) == (True, {})
    assert web.verbs == ["active", "enabled"]


def test_a_renewed_certificate_is_a_reload(web):
    web.apply()
    web.disk = "two"
    done = web.apply()
    assert list(done["changes"]) == ["certificate"]
    assert web.verbs[-1] == "reload"
    assert web.apply()["changes"] == {}


def test_another_configuration_is_a_reload_not_a_restart(web):
    web.apply()
    web.minion.pillar["pigsty"]["infra"]["nginx"] = {**SITE, "sslmode": "enforce"}
    assert web.apply()["result"] is True
    assert web.verbs[2:] == ["reload"]


def test_a_configuration_that_nginx_refuses_is_not_loaded(web):
    web.apply()
    web.minion.pillar["pigsty"]["infra"]["nginx"] = {**SITE, "home": "/other"}
    web.accepts = False
    done = web.apply()
    assert done["result"] is False
    assert "unknown directive" in done["comment"]
    assert "reload" not in web.verbs
    # What nginx accepts is on disk, for its next start.
    assert "/other" not in web.files["/etc/nginx/conf.d/pigsty.conf"]
    # The next apply must not call it well because the file is as it shall be.
    assert web.apply()["result"] is False
    web.accepts = True
    assert web.apply()["result"] is True
    assert web.verbs[-1] == "reload"
    assert web.apply()["changes"] == {}
