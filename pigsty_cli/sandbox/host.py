"""What the nodes take over from the host: package sources, trust, proxies and pip's configuration.

All of it is read when an image is built; nothing about any one host stands in this project.
"""

import configparser
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pigsty_cli.sandbox.process import run

PROXIES = ("http_proxy", "https_proxy", "no_proxy")
CERTIFICATES = Path("/usr/local/share/ca-certificates")


def os_release(text: str | None = None) -> dict[str, str]:
    """Return /etc/os-release as a mapping.

    Args:
        text: its content; read now when not given.
    """
    content = Path("/etc/os-release").read_text(encoding="utf-8") if text is None else text
    pairs = (line.split("=", 1) for line in content.splitlines() if "=" in line)
    return {key: value.strip().strip("\"'") for key, value in pairs}


def mirrors(texts: Iterable[str], codename: str) -> dict[str, str]:
    """Find the mirrors that a Debian host uses.

    Args:
        texts: contents of apt's source files, in either of apt's two formats.
        codename: the host's own release.

    Returns:
        The address by kind of suite: "" for the release itself, "-updates", "-security".
    """
    found: dict[str, str] = {}
    for text in texts:
        for addresses, suites in (*_deb822(text), *_one_line(text)):
            for suite in suites:
                kind = suite.removeprefix(codename)
                if suite.startswith(codename) and kind in ("", "-updates", "-security"):
                    found.setdefault(kind, addresses[0])
    return found


def sources(suite: str) -> list[str]:
    """Return apt's source lines for a Debian release, from the mirrors that this host uses.

    Args:
        suite: the release's code name.

    Returns:
        One line per kind of suite; empty when this host is no Debian, and mmdebstrap then uses the
        mirror that its own packager chose.
    """
    release = os_release()
    if release.get("ID") != "debian":
        return []
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.[ls]*"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    found = mirrors(texts, release.get("VERSION_CODENAME", ""))
    return [f"deb {address} {suite}{kind} main" for kind, address in sorted(found.items())]


def apt_settings() -> str:
    """Return the host's proxy and TLS settings of apt as a configuration file's text."""
    dump = run(["apt-config", "dump"], check=False).stdout
    kept = [
        line for line in dump.splitlines() if re.match(r"Acquire::https?::\S+ \"[^\"]+\";$", line)
    ]
    for name in ("http_proxy", "https_proxy"):
        if value := proxies().get(name):
            kept.append(f'Acquire::{name.removesuffix("_proxy")}::Proxy "{value}";')
    return "".join(f"{line}\n" for line in kept)


def proxies(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the proxy variables that are set, under their lower-case names."""
    return {
        name: value
        for name in PROXIES
        if (value := environment.get(name) or environment.get(name.upper()))
    }


def pip_config(environment: Mapping[str, str] = os.environ) -> str:
    """Return the host's pip configuration: its files and PIP_* variables, merged into one text."""
    merged = configparser.RawConfigParser()
    home = Path.home()
    merged.read(["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"])
    if not merged.has_section("global"):
        merged.add_section("global")
    for name, value in sorted(environment.items()):
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            merged.set("global", name.removeprefix("PIP_").lower().replace("_", "-"), value)
    lines: list[str] = []
    for section in merged.sections():
        lines += [
            f"[{section}]",
            *(f"{key} = {_fold(text)}" for key, text in merged.items(section)),
        ]
    return "\n".join(lines) + "\n"


def pip_folders(config: str) -> list[Path]:
    """Return the folders of this host that a pip configuration reads packages from.

    An index is a folder beside the one with its files: of a path deep enough, the parent is meant.
    """
    found = set()
    for word in re.split(r"[\s=]+", config):
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.is_dir():
            found.add(path.parent if len(path.parts) > 3 else path)
    return sorted(found)


def certificates() -> list[Path]:
    """Return the certificate authorities that somebody added to this host's own."""
    return sorted(CERTIFICATES.glob("**/*.crt"))


def _fold(text: str) -> str:
    """A value of several lines, indented as the format wants it."""
    return "\n    ".join(text.split("\n"))


def _deb822(text: str) -> list[tuple[list[str], list[str]]]:
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        fields = dict(line.split(":", 1) for line in lines if re.match(r"[A-Za-z-]+:", line))
        if "deb" in fields.get("Types", "").split() and fields.get("URIs", "").split():
            found.append((fields["URIs"].split(), fields.get("Suites", "").split()))
    return found


def _one_line(text: str) -> list[tuple[list[str], list[str]]]:
    lines = re.finditer(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE)
    return [([match[1]], [match[2]]) for match in lines]
