"""Prometheus, Alertmanager, prober and Pushgateway of an infra node: configuration and units.

All of them listen on the loopback; people and other infra nodes come through the portal. What
Prometheus and Alertmanager read has been checked before: rules and routes that people write stand
in a folder of theirs, and are copied from there when they are good. So a mistake in them can't keep
either from starting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pigsty import alerting
from pigsty.metrics import NAMES
from pigsty.render.daemon import Daemon, command, drop_in
from pigsty.render.files import BANNER, File
from pigsty.render.targets import FOLDER, JOBS, PORTAL, PROMETHEUS_PORT

CONFIG = "/etc/prometheus/prometheus.yml"
RULES = "/etc/prometheus/rules"
ALERTMANAGER = "/etc/prometheus/alertmanager.yml"
BLACKBOX = "/etc/prometheus/blackbox.yml"
#: Key and certificate with which Prometheus opens etcd and Patroni; Prometheus alone reads them.
CERTIFICATE = "/etc/prometheus/infra.crt"
KEY = "/etc/prometheus/infra.key"
CA = "/etc/pki/ca.crt"
#: What people write: rules beside ours, and the routes of Alertmanager in place of the default.
OWN_RULES = "rules"
OWN_ROUTES = "conf/alertmanager.yml"
_HAPROXY = (
    "haproxy_(frontend|backend|server)_(status|weight|current_sessions|current_queue|sessions_total"
    "|bytes_in_total|bytes_out_total|connection_errors_total|retry_warnings_total"
    "|redispatch_warnings_total|downtime_seconds_total|active_servers|backup_servers"
    "|check_failures_total|check_duration_seconds|queue_time_average_seconds"
    "|connect_time_average_seconds)"
)
_USER = {"user": "prometheus", "group": "prometheus"}


def daemons(
    spec: Mapping[str, Any], rules: Mapping[str, str], routes: str | None = None
) -> list[Daemon]:
    """Return the daemons of an infra node's monitoring.

    Args:
        spec: ``pigsty:infra:monitoring`` of the pillar.
        rules: text of each rule file by name, ours and those of people.
        routes: Alertmanager's configuration as people wrote it; without one, nobody is told.
    """
    units = spec["units"]
    return [
        _prometheus(units["prometheus"], spec, rules),
        _alertmanager(units["alertmanager"], spec, routes),
        _blackbox(units["blackbox"], spec),
        _pushgateway(units["pushgateway"], spec),
    ]


def config(spec: Mapping[str, Any]) -> str:
    """Return Prometheus's configuration."""
    folder = f"{spec['home']}/{FOLDER}"
    body: dict[str, Any] = {
        "global": {
            "scrape_interval": spec["scrape_interval"],
            "scrape_timeout": spec["scrape_timeout"],
            "evaluation_interval": spec["scrape_interval"],
        },
        "rule_files": [f"{RULES}/*.yml"],
        "scrape_configs": [_job(job, folder, spec) for job in JOBS],
    }
    if spec["alertmanager"]["enabled"]:
        alertmanager = {
            "path_prefix": PORTAL["alertmanager"],
            "static_configs": [{"targets": [f"127.0.0.1:{spec['alertmanager']['port']}"]}],
        }
        body["alerting"] = {"alertmanagers": [alertmanager]}
    if spec["prometheus"]["remote_write"]:
        body["remote_write"] = [_remote_write(url) for url in spec["prometheus"]["remote_write"]]
    return _yaml(body)


def routes_default(events: Mapping[str, Any] | None) -> str:
    """Return Alertmanager's configuration while nobody wrote one: no person is told.

    Args:
        events: how the event bus is reached, None where it isn't on this machine.
    """
    same_machine = {"equal": ["ip"]}
    return _yaml(
        {
            "route": {
                "receiver": "events" if events else "nobody",
                "group_by": ["alertname", "cls"],
                "group_wait": "1s",
                "group_interval": "10s",
                "repeat_interval": "4h",
            },
            "receivers": [_bus(events) if events else {"name": "nobody"}],
            "inhibit_rules": [
                # A machine that is gone explains whatever else is missing there.
                {
                    "source_matchers": ["alertname = NodeDown"],
                    "target_matchers": ["alertname != NodeDown"],
                    **same_machine,
                },
                {
                    "source_matchers": ["alertname = PostgresDown"],
                    "target_matchers": ["category = pgsql", "alertname != PostgresDown"],
                    "equal": ["ins"],
                },
            ],
        }
    )


def _bus(events: Mapping[str, Any]) -> dict[str, Any]:
    """Return the receiver that is the event bus of the admin node."""
    hook = {
        "url": f"http://127.0.0.1:{events['port']}{alerting.PATH}",
        "send_resolved": True,
        "http_config": {"authorization": {"credentials_file": alerting.TOKEN}},
    }
    return {"name": "events", "webhook_configs": [hook]}


def probes() -> str:
    """Return the prober's configuration: is a machine there, does a web page answer."""
    return _yaml(
        {
            "modules": {
                "http_2xx": {
                    "prober": "http",
                    "timeout": "5s",
                    "http": {"tls_config": {"ca_file": CA}, "preferred_ip_protocol": "ip4"},
                },
                "icmp": {
                    "prober": "icmp",
                    "timeout": "2s",
                    "icmp": {"preferred_ip_protocol": "ip4"},
                },
                "tcp": {"prober": "tcp", "timeout": "5s"},
            }
        }
    )


def _remote_write(url: str) -> dict[str, Any]:
    """Return where everything is sent to as well; who may, stands in the address."""
    parts = urlsplit(url)
    found: dict[str, Any] = {"url": urlunsplit(parts._replace(netloc=parts.netloc.split("@")[-1]))}
    if parts.username:
        password = unquote(parts.password or "")
        found["basic_auth"] = {"username": unquote(parts.username), "password": password}
    return found


def _job(job: str, folder: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "job_name": job,
        "file_sd_configs": [{"files": [f"{folder}/{job}/*.yml"], "refresh_interval": spec["look"]}],
        # Of a job without any source left, a reload keeps the last targets until the next start
        # (up to 2.53 at least, where the last file of a folder goes just before it).
        "static_configs": [{"targets": []}],
    }
    if job != "ping":
        # Where it is plain HTTP, and where no certificate is asked for, it isn't shown.
        found["tls_config"] = {"ca_file": CA, "cert_file": CERTIFICATE, "key_file": KEY}
    if job == "ping":
        found |= {
            "metrics_path": f"{PORTAL['blackbox']}/probe",
            "params": {"module": ["icmp"]},
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {
                    "target_label": "__address__",
                    "replacement": f"127.0.0.1:{spec['blackbox']['port']}",
                },
            ],
        }
    elif job in ("etcd", "patroni"):
        found["scheme"] = "https"
    elif job == "salt":
        found |= {
            # The one machine whose word about others is taken.
            "honor_labels": True,
            "params": {"collect[]": ["textfile"]},
            "metric_relabel_configs": [_about_others("keep")],
        }
    if job in ("node", "pgsql", "pgrds", "salt"):
        found["metrics_path"] = spec["path"]
        # HAProxy and Patroni always publish under one path.
        found["relabel_configs"] = [
            {
                "source_labels": ["component"],
                "regex": "haproxy|patroni",
                "target_label": "__metrics_path__",
                "replacement": "/metrics",
            }
        ]
    if job == "node":
        # HAProxy has some seventy metrics for each server: those that nobody looks at are dropped.
        found["metric_relabel_configs"] = [
            {
                "source_labels": ["__name__"],
                "regex": f"(node|process|go|pigsty|promhttp|keepalived|haproxy_process)_.*"
                f"|{_HAPROXY}",
                "action": "keep",
            },
            _about_others("drop"),
        ]
    return found


def _about_others(action: str) -> dict[str, Any]:
    """Return the rule for what the admin node knows of others (:mod:`pigsty.metrics`)."""
    return {"source_labels": ["__name__"], "regex": "|".join(NAMES), "action": action}


def _prometheus(unit: str, spec: Mapping[str, Any], rules: Mapping[str, str]) -> Daemon:
    on = spec["prometheus"]
    if not on["enabled"]:
        return Daemon(f"{unit}.service", running=False)
    words = [
        f"--config.file={CONFIG}",
        f"--storage.tsdb.path={on['data']}",
        f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
        f"--web.external-url={spec['url']}{PORTAL['prometheus']}/",
        f"--web.route-prefix={PORTAL['prometheus']}/",
        *on["options"].split(),
    ]
    files = [File(f"{RULES}/{name}", text) for name, text in sorted(rules.items())]
    # Addresses of remote_write may hold passwords.
    kept = File(CONFIG, config(spec), mode="0640", group="prometheus",
                secret=bool(on["remote_write"]))  # fmt: skip
    return Daemon(f"{unit}.service", restart=(_service(unit, *words),), reload=(kept, *files))


def _alertmanager(unit: str, spec: Mapping[str, Any], routes: str | None) -> Daemon:
    on = spec["alertmanager"]
    if not on["enabled"]:
        return Daemon(f"{unit}.service", running=False)
    words = [
        f"--config.file={ALERTMANAGER}",
        f"--storage.path={spec['data']}/alertmgr",
        f"--web.listen-address=127.0.0.1:{on['port']}",
        f"--web.external-url={spec['url']}{PORTAL['alertmanager']}/",
        f"--web.route-prefix={PORTAL['alertmanager']}/",
        # Every infra node is a full copy by itself: no port for talk among them.
        "--cluster.listen-address=",
        *on["options"].split(),
    ]
    text = routes_default(spec["events"]) if routes is None else routes
    # Receivers hold passwords.
    kept = File(ALERTMANAGER, text, mode="0640", secret=routes is not None, **_USER)
    token = File(
        alerting.TOKEN,
        spec["events"]["token"] if spec["events"] else None,
        mode="0640",
        group="prometheus",
        secret=True,
    )
    return Daemon(f"{unit}.service", restart=(_service(unit, *words),), reload=(token, kept))


def _blackbox(unit: str, spec: Mapping[str, Any]) -> Daemon:
    on = spec["blackbox"]
    if not on["enabled"]:
        return Daemon(f"{unit}.service", running=False)
    words = [
        f"--config.file={BLACKBOX}",
        f"--web.listen-address=127.0.0.1:{on['port']}",
        f"--web.external-url={spec['url']}{PORTAL['blackbox']}/",
        f"--web.route-prefix={PORTAL['blackbox']}/",
        *on["options"].split(),
    ]
    probing = (
        "AmbientCapabilities=CAP_NET_RAW",
        "CapabilityBoundingSet=CAP_NET_RAW",
        # Debian's package takes capabilities away in the program's file, which would make a start
        # forget those of the unit. In a file system without set-uid they aren't looked at, and
        # systemd makes all of a unit's so that has these two.
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
    )
    return Daemon(
        f"{unit}.service",
        restart=(_service(unit, *words, more=probing),),
        reload=(File(BLACKBOX, probes()),),
    )


def _pushgateway(unit: str, spec: Mapping[str, Any]) -> Daemon:
    on = spec["pushgateway"]
    if not on["enabled"]:
        return Daemon(f"{unit}.service", running=False)
    words = [
        f"--web.listen-address=127.0.0.1:{on['port']}",
        f"--web.external-url={spec['url']}{PORTAL['pushgateway']}/",
        f"--web.route-prefix={PORTAL['pushgateway']}/",
        f"--persistence.file={spec['data']}/push/metrics",
        *on["options"].split(),
    ]
    return Daemon(f"{unit}.service", restart=(_service(unit, *words),))


def _service(unit: str, *words: str, more: tuple[str, ...] = ()) -> File:
    """Return the drop-in of one of them."""
    lines = command(f"/usr/bin/{unit}", *words)
    limit = ("LimitNOFILE=65536", "Restart=on-failure", "RestartSec=2")
    start = ("[Unit]", "StartLimitIntervalSec=0", "[Service]")
    return drop_in(f"{unit}.service", *start, *limit, *more, *lines)


def _yaml(body: Mapping[str, Any]) -> str:
    """Return a configuration; JSON is YAML that nothing can be misread in."""
    return f"{BANNER}\n{json.dumps(body, indent=2)}\n"
