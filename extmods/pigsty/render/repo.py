"""The local package repository: what apt says, the index that we serve, and the sources of a node.

Pure text in, text out. The repository is a flat one: one folder of ``.deb`` files beside
``Packages`` and ``Release``. Its entries are those of the upstream indexes, which apt has verified,
and every file is checked against its entry before it is published: what a node installs is what
upstream signed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pigsty.render.files import BANNER, File

#: The name of our source file and of everything that belongs to it.
SOURCES = "/etc/apt/sources.list.d/pigsty.sources"
UPSTREAM = "/etc/apt/sources.list.d/pigsty-upstream.list"
CA = "/etc/apt/keyrings/pigsty-ca.pem"
CONF = "/etc/apt/apt.conf.d/90pigsty"
#: Where source files of others are put when the inventory wants them out of the way.
BACKUP = "/etc/apt/backup"

_URI = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+)")
_MISSING = re.compile(
    r"^E: (?:Unable to locate package|Couldn't find any package[^']*') ?(?P<a>[^\s']+)"
    r"|^E: Package '(?P<b>[^']+)' has no installation candidate"
    r"|^E: Version '[^']*' for '(?P<c>[^']+)' was not found",
    re.MULTILINE,
)
_IDENTITY = ("Package", "Version", "Architecture")


@dataclass(frozen=True, slots=True)
class Download:
    """A package file that apt would fetch: its name and size in bytes."""

    file: str
    size: int

    @property
    def package(self) -> str:
        """``name:arch=version``, as apt-cache takes it; read off the file's name."""
        name, version, arch = self.file.removesuffix(".deb").split("_")
        suffix = "" if arch == "all" else f":{arch}"
        return f"{name}{suffix}={unquote(version)}"


def downloads(uris: str) -> list[Download]:
    """Read what ``apt-get --print-uris`` printed, sorted by file name."""
    found = (Download(match["file"], int(match["size"])) for match in _URI.finditer(uris))
    return sorted(found, key=lambda download: download.file)


def missing(errors: str) -> list[str]:
    """Return the packages that apt's error text says it doesn't know, sorted."""
    return sorted({match["a"] or match["b"] or match["c"] for match in _MISSING.finditer(errors)})


def stanzas(text: str) -> dict[str, str]:
    """Split an index (``apt-cache show``) into its entries, by the file name that apt stores.

    Entries without a ``Filename`` (a package that is only installed) are left out; of several for
    one file the first counts.
    """
    found: dict[str, str] = {}
    for block in re.split(r"\n{2,}", text.strip()):
        if field(block, "Filename"):
            name, version, arch = (field(block, key) for key in _IDENTITY)
            quoted = version.replace(":", "%3a").replace("_", "%5f")
            found.setdefault(f"{name}_{quoted}_{arch}.deb", block)
    return found


def published(stanza: str) -> str:
    """Return the file name under which a package is served: the one that it has upstream."""
    return field(stanza, "Filename").rpartition("/")[2]


def field(stanza: str, name: str) -> str:
    """Return a one-line field of an entry, or ""."""
    match = re.search(rf"^{re.escape(name)}: *(.*)$", stanza, re.MULTILINE)
    return match[1].strip() if match else ""


def packages(entries: Mapping[str, str]) -> str:
    """Return the text of ``Packages`` for entries by file name, in the order of the names."""
    blocks = []
    for file, stanza in sorted(entries.items()):
        lines = [line for line in stanza.splitlines() if not line.startswith("Filename:")]
        blocks.append("\n".join([*lines, f"Filename: ./{file}"]) + "\n")
    return "\n".join(blocks)


def release(name: str, arch: str, index: str) -> dict[str, bytes]:
    """Return the files of the index, ``Release`` last: once that one is there, all are.

    Args:
        name: the repository's name.
        arch: Debian's name of the architecture.
        index: text of ``Packages``.

    Returns:
        The contents by file name. The same index always gives the same bytes.
    """
    plain = index.encode()
    files = {"Packages": plain, "Packages.gz": gzip.compress(plain, mtime=0)}
    lines = [
        f"Origin: {name}",
        f"Label: {name}",
        f"Suite: {name}",
        f"Codename: {name}",
        # apt wants a date; a fixed one keeps the same repository the same file.
        "Date: Thu, 01 Jan 1970 00:00:00 UTC",
        f"Architectures: {arch} all",
        "SHA256:",
    ]
    for file, data in files.items():
        lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {file}")
    return {**files, "Release": ("\n".join(lines) + "\n").encode()}


def fingerprint(wanted: Sequence[str], urls: Any, sources: Mapping[str, str]) -> str:
    """Return what tells one repository from another: names, single files, apt's sources."""
    data = json.dumps([sorted(wanted), urls, dict(sorted(sources.items()))], sort_keys=True)
    return hashlib.sha256(data.encode()).hexdigest()


def source_files(repo: Mapping[str, Any], ca: str) -> list[File]:
    """Return apt's files of a node.

    Args:
        repo: the node's ``pigsty:meta:repo``.
        ca: PEM of the deployment's CA.
    """
    local, upstream = repo["local"], list(repo["upstream"])
    parts = [BANNER, ""]
    if local:
        # Who serves the repository has proved itself by TLS against our CA (see CONF), and every
        # file is checked against the index. A signature by the same machine would prove no more.
        parts += [
            f"X-Repolib-Name: {repo['name']}",
            "Types: deb",
            f"URIs: {repo['url']}",
            "Suites: ./",
            "Trusted: yes",
        ]
    lines = "\n".join(parts) + "\n" if local else None
    secure = local and str(repo["url"]).startswith("https:")
    conf = f'{BANNER}\nAcquire::https::{_host(repo["url"])}::CAInfo "{CA}";\n' if secure else None
    return [
        File(CA, ca if secure else None),
        File(CONF, conf),
        File(UPSTREAM, "\n".join([BANNER, *upstream]) + "\n" if upstream else None),
        File(SOURCES, lines),
    ]


def upstream_lines(
    entries: Iterable[Mapping[str, Any]],
    modules: Iterable[str],
    region: str,
    system: Mapping[str, Any],
) -> list[str]:
    """Return the one-line sources of the upstream repositories that fit a node.

    Args:
        entries: ``repo_upstream``.
        modules: the wanted modules; ``local`` is not one of these.
        region: whose address is taken, with ``default`` as the fallback.
        system: ``release`` (major version), ``codename`` and ``arch`` (Pigsty's name) of the node.
    """
    wanted = set(modules)
    lines: dict[str, None] = {}
    for entry in entries:
        releases = [int(number) for number in entry.get("releases") or []]
        arches = entry.get("arch") or [system["arch"]]
        fits = int(system["release"]) in releases or not releases
        if entry.get("module") not in wanted or not fits or system["arch"] not in arches:
            continue
        addresses = entry.get("baseurl") or {}
        if isinstance(addresses, str):
            addresses = {"default": addresses}
        url = str(addresses.get(region) or addresses.get("default") or "").strip()
        if not url:
            continue
        for token in ("${distro_codename}", "$codename"):
            url = url.replace(token, str(system["codename"]))
        meta = entry.get("meta") or {}
        options = meta.get("options") if isinstance(meta, Mapping) else None
        # Pigsty's own entries carry no key, and it trusts them as they are; an entry with options
        # (`signed-by=/path`) is used with these instead.
        lines[f"deb [{options or 'trusted=yes'}] {url}"] = None
    return list(lines)


def _host(url: str) -> str:
    """Return the host in an address."""
    return re.sub(r"^[a-z]+://([^/:]+).*$", r"\1", url)
