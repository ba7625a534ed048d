"""nginx as the server of the package repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.render.files import BANNER, File

#: The infra node's own certificate, which is also its ticket to etcd and Patroni.
CERTIFICATE = "/etc/pki/infra.crt"
KEY = "/etc/pki/infra.key"
#: The package's example site: it would answer in our place.
EXAMPLE = "/etc/nginx/sites-enabled/default"


def files(path: str, site: Mapping[str, Any]) -> list[File]:
    """Return nginx's files.

    Args:
        path: the configuration file.
        site: ``pigsty:infra:nginx``: ``home``, ``port``, ``ssl_port`` and ``sslmode`` (``disable``,
            ``enable``, or ``enforce``, which sends plain HTTP to HTTPS).
    """
    return [File(path, config(site)), File(EXAMPLE, None)]


def config(site: Mapping[str, Any]) -> str:
    """Return the text of the configuration file."""
    plain, tls = (
        f"listen {site['port']} default_server;",
        f"listen {site['ssl_port']} ssl default_server;",
    )
    mode = site["sslmode"]
    servers = []
    if mode == "enforce":
        # The CA's certificate is what a newcomer needs before HTTPS can be trusted.
        servers.append(_server([plain], site["home"], redirect=int(site["ssl_port"])))
        servers.append(_server([tls, *_tls()], site["home"]))
    elif mode == "enable":
        servers.append(_server([plain, tls, *_tls()], site["home"]))
    else:
        servers.append(_server([plain], site["home"]))
    return "\n".join([BANNER, *servers])


def _tls() -> list[str]:
    """Return the lines of a server that speaks TLS."""
    return [
        f"ssl_certificate {CERTIFICATE};",
        f"ssl_certificate_key {KEY};",
        "ssl_protocols TLSv1.2 TLSv1.3;",
    ]


def _server(lines: list[str], home: str, redirect: int | None = None) -> str:
    """Return a server block; ``redirect`` is the HTTPS port to send all but the CA to."""
    body = ["server_name _;", *lines, f"root {home};", "server_tokens off;"]
    body.append("location ~ /\\. { deny all; }")
    body.append("location = /ca.crt { default_type application/x-x509-ca-cert; }")
    if redirect is None:
        body.append("location / { autoindex on; }")
    else:
        port = "" if redirect == 443 else f":{redirect}"
        body.append(f"location / {{ return 301 https://$host{port}$request_uri; }}")
    return "server {\n" + "".join(f"    {line}\n" for line in body) + "}\n"
