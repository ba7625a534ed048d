"""The pillar of infra nodes: the package repository, its web server, and what the CA may sign.

repo       ``directory``, ``name``, ``packages`` (names of this distribution), ``url_packages``,
           ``environment`` (of the fetching), ``enabled``
nginx      the portal, see :mod:`pigsty.pillar.portal`
dns        the names that it answers for, see :mod:`pigsty.pillar.dns`
logs       what keeps the nodes' logs, see :mod:`pigsty.pillar.logs`
grafana    see :mod:`pigsty.pillar.grafana`
monitoring what watches the deployment, see :mod:`pigsty.pillar.monitoring`
packages   of the monitoring
pki        ``grants``: by minion id, see `certificates.grants`; only on the admin node
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pigsty.pillar import dns, grafana, logs, monitor, monitoring, portal
from pigsty.pillar import node as node_pillar
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render import certificates, targets
from pigsty.render.repo import upstream_lines
from pigsty.topology import Node, Topology

#: Variables that tell programs which proxy to fetch through, as `proxy_env` names them.
_PROXY = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
#: What was made of the last inventory, by name.
_made: list[tuple[Topology, dict[str, Any]]] = []


def pillar(topology: Topology, node: Node, site: Site, platform: Platform) -> dict[str, Any]:
    """Return ``pigsty:infra`` of one infra node.

    Args:
        topology: the deployment.
        node: the infra node.
        site: the deployment's key and CA.
        platform: the node's operating system.
    """
    values = node.vars
    member = next(infra for infra in topology.infra if infra.ip == node.ip)
    data: dict[str, Any] = {
        "dns": {
            **dns.pillar(topology, node),
            **_kept(topology, "names", lambda: dns.names(topology)),
        },
        "logs": {
            **logs.keeps(topology, node),
            "hosts": list(_kept(topology, "logs", lambda: logs.hosts(topology))),
        },
        "name": member.name,
        "nginx": {
            **portal.pillar(topology, node, site, platform),
            "machines": dict(_kept(topology, "machines", lambda: portal.machines(topology))),
        },
        "monitoring": {
            **monitoring.pillar(topology, node, site, platform),
            "counts": dict(
                _kept(
                    topology,
                    f"counts {node.ip}",
                    lambda: targets.counts(topology, node.ip),
                )
            ),
            "targets": {
                **_kept(topology, "targets", lambda: targets.files(topology)),
                **targets.infra_files(topology, node.ip),
            },
        },
        "packages": [
            *monitoring.packages(node, platform),
            *monitor.programs(node, platform, "infra"),
            *(platform.modules["node"]["logs"] if logs.kept(node) else ()),
            *(platform.modules["infra"]["dns"] if node.vars["dns_enabled"] else ()),
        ],
        "grafana": grafana.pillar(topology, node, site, platform),
        "pki": {},
        "repo": {
            "directory": f"{values['repo_home']}/{values['repo_name']}",
            "enabled": bool(values["repo_enabled"]),
            "environment": proxy(values),
            "name": str(values["repo_name"]),
            "packages": list(
                _kept(
                    topology,
                    f"packages {platform.name} {node.ip}",
                    lambda: packages(topology, node, platform),
                )
            ),
            "url_packages": _urls(values["repo_url_packages"]),
        },
        "seq": member.seq,
    }
    if node.ip == topology.admin_ip:
        grants = _kept(topology, "grants", lambda: certificates.grants(topology))
        data["pki"] = {"grants": dict(grants)}
    return data


def sources(topology: Topology, node: Node, platform: Platform) -> dict[str, Any]:
    """Return ``pigsty:meta:repo`` of any node: where its packages come from.

    Args:
        topology: the deployment.
        node: the node.
        platform: its operating system.

    Returns:
        ``local`` (whether it uses the admin node's repository), ``name`` and ``url`` of that,
        ``upstream`` (lines of apt), ``remove`` (whether other sources are put aside).
    """
    values = node.vars
    admin = node.ip == topology.admin_ip
    modules = [name.strip() for name in str(values["node_repo_modules"] or "").split(",")]
    server = topology.nodes.get(topology.admin_ip)
    serves = any(infra.ip == topology.admin_ip for infra in topology.infra)
    local = "local" in modules and serves and server is not None and _enabled(server)
    upstream = _upstream(values, modules, platform)
    if admin:
        # The admin node fetches for everybody.
        fetch = str(values["repo_modules"] or "").split(",")
        upstream = list(dict.fromkeys([*upstream, *_upstream(values, fetch, platform)]))
    # Sources are put aside for others that replace them: never to leave a node without any. The
    # admin node keeps those of its system as long as nothing else is declared to fetch from.
    replaced = bool(upstream) or (local and not admin)
    wanted = values["repo_remove"] if admin else values["node_repo_remove"]
    return {
        "local": local,
        "name": str(values["repo_name"]),
        "remove": bool(wanted) and replaced,
        "upstream": upstream,
        "url": _url(topology, server) if local and server is not None else "",
    }


def packages(topology: Topology, node: Node, platform: Platform) -> list[str]:
    """Return every package that the nodes of a deployment install, sorted, each once.

    What a node's own states install beside what the inventory asks for stands under ``repository``
    in the platform's data, by module.
    """
    names: set[str] = set()
    always: Mapping[str, list[str]] = platform.modules["infra"]["repository"]
    versions: set[int] = set()
    tokens: set[str] = set()
    for member in topology.nodes.values():
        names.update(node_pillar.packages(topology, member, platform))
        for module in member.modules:
            names.update(always.get(module, ()))
            if module in ("infra", "pgsql"):
                names.update(monitor.programs(member, platform, module))
            if module == "infra":
                names.update(monitoring.packages(member, platform))
                names.update(platform.modules["node"]["logs"] if logs.kept(member) else ())
                if grafana.wanted(member):
                    names.add(platform.modules["infra"]["grafana"]["package"])
                names.update(platform.modules["infra"]["dns"] if member.vars["dns_enabled"] else ())
    for cluster in topology.pg_clusters.values():
        for instance in cluster.members:
            values = instance.vars
            asked = [*(values["pg_packages"] or ()), *(values["pg_extensions"] or ())]
            version = int(values["pg_version"])
            versions.add(version)
            names.update(platform.packages(asked, version))
    for key in ("repo_packages", "repo_extra_packages"):
        tokens.update(node.vars[key] or ())
    for version in versions:
        names.update(platform.packages(sorted(tokens), version))
    if not versions:
        names.update(platform.packages(sorted(tokens)))
    return sorted(name for name in names if "$" not in name)


def proxy(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment that packages are fetched with; a lone ``no_proxy`` says nothing."""
    given = values["proxy_env"] or {}
    found = {name: str(given[name]) for name in _PROXY if given.get(name)}
    return found if set(found) - {"no_proxy"} else {}


def _kept(topology: Topology, name: str, make: Callable[[], Any]) -> Any:
    """Return what is made of all nodes: made once for an inventory. The caller copies it.

    The admin node's pillar is compiled for every certificate that is signed, and these two grow
    with the deployment.
    """
    if not _made or _made[0][0] is not topology:
        _made[:] = [(topology, {})]
    found = _made[0][1]
    if name not in found:
        found[name] = make()
    return found[name]


def _enabled(server: Node) -> bool:
    """Return whether the admin node serves a repository."""
    return bool(server.vars["repo_enabled"]) and bool(server.vars["nginx_enabled"])


def _url(topology: Topology, server: Node) -> str:
    """Return the repository's address: the declared endpoint, else HTTPS where it is spoken."""
    values = server.vars
    name = values["repo_name"]
    if "repo_endpoint" in server.declared and str(values["repo_endpoint"]).startswith("https"):
        return f"{str(values['repo_endpoint']).rstrip('/')}/{name}"
    if values["nginx_sslmode"] == "disable":
        port = "" if values["nginx_port"] == 80 else f":{values['nginx_port']}"
        return f"http://{topology.admin_ip}{port}/{name}"
    port = "" if values["nginx_ssl_port"] == 443 else f":{values['nginx_ssl_port']}"
    return f"https://{topology.admin_ip}{port}/{name}"


def _upstream(values: Mapping[str, Any], modules: list[str], platform: Platform) -> list[str]:
    """Return apt's lines for the upstream repositories of some modules."""
    system = platform.modules["infra"]["system"]
    region = str(values["region"] or "default")
    return upstream_lines(values["repo_upstream"] or [], modules, region, system)


def _urls(entries: Any) -> list[dict[str, str]]:
    """Return `repo_url_packages` in its one form: name and address."""
    found = []
    for entry in entries or []:
        item = {"url": entry} if isinstance(entry, str) else dict(entry)
        url = str(item["url"])
        found.append({"name": str(item.get("name") or url.rpartition("/")[2]), "url": url})
    return found
