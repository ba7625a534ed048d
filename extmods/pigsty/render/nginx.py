"""nginx on infra nodes: the package repository, and the portal in front of what watches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pigsty.logserver import PREFIX as LOGS
from pigsty.render.files import BANNER, File, text
from pigsty.render.grafana import PATH as GRAFANA
from pigsty.render.portal import FOLDER as PAGES

#: The infra node's own certificate, which is also its ticket to etcd and Patroni.
CERTIFICATE = "/etc/pki/infra.crt"
KEY = "/etc/pki/infra.key"
#: The portal with the repository.
PORTAL = "/etc/nginx/conf.d/pigsty.conf"
#: The package's example site: it would answer in our place.
EXAMPLE = "/etc/nginx/sites-enabled/default"
#: Who may pass where the inventory names users.
USERS = "/etc/nginx/pigsty.users"
#: Where nginx says how it is, to its exporter.
STATUS = "/nginx_status"
#: The page that says why Grafana doesn't answer, and where the same is.
NO_GRAFANA = f"/{PAGES}/grafana.html"
#: What the portal's pages may do: load and ask from here, and nothing that stands in their markup.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A newer release is seen at once; what didn't change isn't sent again.
    "Cache-Control": "no-cache",
}


def files(path: str, site: Mapping[str, Any]) -> list[File]:
    """Return nginx's files.

    Args:
        path: the configuration file.
        site: ``pigsty:infra:nginx``, see :mod:`pigsty.pillar.portal`.
    """
    lines = [f"{user}:{digest}" for user, digest in sorted(site["users"].items())]
    known = File(
        USERS,
        text(*lines) if lines else None,
        mode="0640",
        group=site["group"],
        secret=True,
    )
    return [File(path, config(site)), known, File(EXAMPLE, None)]


def config(site: Mapping[str, Any]) -> str:
    """Return the text of the configuration file.

    Args:
        site: ``home``, ``port``, ``ssl_port``, ``sslmode`` (``disable``, ``enable``, or
            ``enforce``, which sends plain HTTP to HTTPS); ``programs`` (``path`` and ``port``),
            ``grafana`` (its port), ``machines`` (addresses of admin pages by node), ``users``,
            ``trusted`` (addresses that need no password), ``sites`` (web services under names of
            their own) and ``status_port``.
    """
    mode = site["sslmode"]
    servers = [_status(site)]
    body = ["server_name _;", f"root {site['home']};", *_repository()]
    body += [*_programs(site), *_pages(site)]
    ports = _ports(site, " default_server")
    if mode == "enforce":
        # The CA's certificate is what a newcomer needs before HTTPS can be trusted.
        plain = ["server_name _;", f"root {site['home']};", _CA_FILE, *_redirect(site)]
        servers.append(_server([ports["plain"], *plain]))
        servers.append(_server([ports["tls"], *_tls(), *body]))
    elif mode == "enable":
        servers.append(_server([ports["plain"], ports["tls"], *_tls(), *body]))
    else:
        servers.append(_server([ports["plain"], *body]))
    for entry in site["sites"]:
        servers += _site(site, entry)
    return "\n".join([BANNER, *servers])


_HIDDEN = "location ~ /\\. { deny all; }"
_CA_FILE = "location = /ca.crt { default_type application/x-x509-ca-cert; }"


def _repository() -> list[str]:
    """Return the lines that serve files: packages and the CA's certificate, without a password."""
    return [_HIDDEN, _CA_FILE, "location / { autoindex on; }"]


def _programs(site: Mapping[str, Any]) -> list[str]:
    """Return the locations of what listens on the loopback, and of the nodes' admin pages."""
    lines = []
    for program in site["programs"]:
        # nginx's own record is among what is searched: each question would find itself.
        quiet = ["access_log off;"] if program["path"] == LOGS else []
        target = f"http://127.0.0.1:{program['port']}"
        lines += _location(f"{program['path']}/", target, [*quiet, *_guard(site)])
    if site["grafana"]:
        # It asks for its own password, too.
        target = f"http://127.0.0.1:{site['grafana']}"
        absent = [f"error_page 502 504 =503 {NO_GRAFANA};"]
        lines += _location(f"{GRAFANA}/", target, absent, websocket=True)
    for name, address in sorted(site["machines"].items()):
        # It asks for its own password.
        lines += _location(f"/haproxy/{name}/", f"http://{address}/", [])
    return lines


def _pages(site: Mapping[str, Any]) -> list[str]:
    """Return the locations of the portal's own pages."""
    headers = [f'add_header {name} "{value}" always;' for name, value in _HEADERS.items()]
    found = []
    for path, more in (
        ("= /", [f"try_files /{PAGES}/index.html =404;"]),
        (
            f"/{PAGES}/",
            ["gzip on;", "gzip_types text/css application/javascript application/json;"],
        ),
    ):
        lines = [*_guard(site), *headers, *more]
        found += [f"location {path} {{", *(f"    {line}" for line in lines), "}"]
    return found


def _guard(site: Mapping[str, Any]) -> list[str]:
    """Return who may pass: infra nodes as they are, others with a password where there are any."""
    if not site["users"]:
        return []
    allowed = [f"allow {address};" for address in site["trusted"]]
    return [
        "satisfy any;",
        *allowed,
        "deny all;",
        'auth_basic "Pigsty";',
        f"auth_basic_user_file {USERS};",
    ]


def _location(path: str, target: str, more: Iterable[str], websocket: bool = False) -> list[str]:
    """Return a location that hands on to a target; ``more`` are lines of its own, as its guard."""
    upgrade = ["proxy_set_header Upgrade $http_upgrade;", 'proxy_set_header Connection "upgrade";']
    return [
        f"location {path} {{",
        *(f"    {line}" for line in more),
        f"    proxy_pass {target};",
        "    proxy_http_version 1.1;",
        "    proxy_set_header Host $host;",
        "    proxy_set_header X-Real-IP $remote_addr;",
        "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "    proxy_set_header X-Forwarded-Proto $scheme;",
        *(f"    {line}" for line in (upgrade if websocket else ())),
        "}",
    ]


def _site(site: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    """Return the servers of a web service that has names of its own."""
    names = f"server_name {' '.join(entry['domains'])};"
    ports = _ports(site, "")
    body = [names]
    if entry["target"]:
        guard = _guard(site) if entry["auth"] else []
        body += _location("/", entry["target"], guard, entry["websocket"])
    else:
        body += [f"root {entry['path']};", _HIDDEN, *(_guard(site) if entry["auth"] else [])]
        body.append("location / { index index.html; }")
    body += str(entry["config"]).splitlines()
    if site["sslmode"] == "disable":
        return [_server([ports["plain"], *body])]
    tls = [ports["tls"], *_tls(entry["cert"], entry["key"]), *body]
    if entry["enforce_https"] or site["sslmode"] == "enforce":
        return [_server([ports["plain"], names, *_redirect(site)]), _server(tls)]
    return [_server([ports["plain"], *tls])]


def _status(site: Mapping[str, Any]) -> str:
    listen = f"listen 127.0.0.1:{site['status_port']};"
    return _server([listen, "access_log off;", f"location = {STATUS} {{ stub_status; }}"])


def _ports(site: Mapping[str, Any], suffix: str) -> dict[str, str]:
    return {
        "plain": f"listen {site['port']}{suffix};",
        "tls": f"listen {site['ssl_port']} ssl{suffix};",
    }


def _tls(certificate: str = "", key: str = "") -> list[str]:
    """Return the lines of a server that speaks TLS."""
    return [
        f"ssl_certificate {certificate or CERTIFICATE};",
        f"ssl_certificate_key {key or KEY};",
        "ssl_protocols TLSv1.2 TLSv1.3;",
    ]


def _redirect(site: Mapping[str, Any]) -> list[str]:
    """Return the lines that send everything to HTTPS."""
    port = "" if int(site["ssl_port"]) == 443 else f":{site['ssl_port']}"
    return [_HIDDEN, f"location / {{ return 301 https://$host{port}$request_uri; }}"]


def _server(lines: Iterable[str]) -> str:
    return (
        "server {\n" + "".join(f"    {line}\n" for line in (*lines, "server_tokens off;")) + "}\n"
    )
