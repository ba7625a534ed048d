"""Masking of secrets in data that is shown to people: by name, by value and by form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from pigsty.catalogue import Catalogue, load
from pigsty.pillar.site import Site
from pigsty.shape import Inventory

MASK = "********"
#: A key of this form holds a secret, whoever made it.
NAMES = re.compile(
    r"(^|_)(password|passwd|secret|secret_key|cipher_pass|auth_pass|pass|private_key|"
    r"verifier|token)$"
)
#: What looks like a secret wherever it stands: verifiers of PostgreSQL, and private keys.
FORMS = re.compile(
    r"SCRAM-SHA-256\$\d+:[^\s\"']+|\bmd5[0-9a-f]{32}\b|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)
#: The password in a URL.
URL = re.compile(r"(://[^\s:/@]*:)[^\s@/]+(?=@)")
#: Below this length a secret is masked under its own name, and in texts only where a password would
#: stand (``user:secret@host``, ``"secret"``, ``password=secret``): "test" is also a word.
SHORTEST = 8
#: How quotes are written within quotes: in SQL, in INI files, by a shell.
ESCAPES = {"'": ("''", "\\'", "'\"'\"'", "'\\''"), '"': ('""', '\\"')}
BEFORE = r"(?:(?<=[:\"'])|(?<=password=)|(?<=password: ))"
AFTER = r"(?=[\"'@\s]|$)"


@dataclass(frozen=True, slots=True)
class RecordingSite(Site):
    """A site that remembers the passwords that it derived, so that they can be masked.

    Attributes:
        issued: what :meth:`secret` has returned so far.
        asked: scope and name of each.
    """

    issued: set[str] = field(default_factory=set, repr=False)
    asked: set[tuple[str, str]] = field(default_factory=set)

    def secret(self, scope: str, name: str) -> str:
        """Derive a password and remember it (see :meth:`pigsty.pillar.site.Site.secret`)."""
        value = Site.secret(self, scope, name)
        self.issued.add(value)
        self.asked.add((scope, name))
        return value


def mask(data: Any, secrets: Iterable[str] = ()) -> Any:
    """Return plain data with every secret replaced by asterisks.

    Args:
        data: mappings, lists and scalars.
        secrets: values to mask wherever they stand, also within longer texts.
    """
    return mask_by(pattern(secrets), data)


def mask_by(found: re.Pattern[str] | None, data: Any) -> Any:
    """Do what :func:`mask` does with secrets of which :func:`pattern` was made before."""
    return _mask(data, found, _secret_names(load()))


def pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds secrets in texts, in every form in which they may stand there.

    For thousands of secrets it takes a tenth of a second to make.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    longest_first = sorted(forms, key=lambda text: (-len(text), text))
    long = "|".join(re.escape(form) for form in longest_first if len(form) >= SHORTEST)
    short = "|".join(re.escape(form) for form in longest_first if len(form) < SHORTEST)
    parts = [long] if long else []
    parts += [f"{BEFORE}(?:{short}){AFTER}"] if short else []
    return re.compile("|".join(parts)) if parts else None


def declared(inventory: Inventory) -> set[str]:
    """Return the values of everything secret that an inventory declares."""
    catalogue = load()
    names = _secret_names(catalogue)
    found: set[str] = set()
    scopes = [group.variables for group in inventory.groups.values()]
    scopes += [host.variables for host in inventory.hosts.values()]
    for variables in scopes:
        for name, variable in variables.items():
            found.update(_secrets({name: variable.value}, names))
    return found


def _mask(data: Any, pattern: re.Pattern[str] | None, names: frozenset[str]) -> Any:
    if isinstance(data, Mapping):
        return {
            key: MASK
            if _is_secret(str(key), names) and isinstance(value, (str, int, float)) and value != ""
            else _mask(value, pattern, names)
            for key, value in data.items()
        }
    if isinstance(data, (list, tuple)):
        return [_mask(entry, pattern, names) for entry in data]
    if isinstance(data, str):
        text = URL.sub(rf"\1{MASK}", FORMS.sub(MASK, data))
        return pattern.sub(MASK, text) if pattern else text
    return data


def _secrets(data: Any, names: frozenset[str], secret: bool = False) -> Iterator[str]:
    """Yield the texts that stand under a secret name."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _secrets(value, names, _is_secret(str(key), names))
    elif isinstance(data, (list, tuple)):
        for entry in data:
            yield from _secrets(entry, names, secret)
    elif secret and isinstance(data, str):
        yield data


def _is_secret(key: str, names: frozenset[str]) -> bool:
    return key in names or NAMES.search(key) is not None


def _secret_names(catalogue: Catalogue) -> frozenset[str]:
    """Return the names of parameters and fields that the catalogue marks as secret."""
    parameters = {p.name for p in catalogue.parameters if p.secret}
    fields = {f.name for kind in catalogue.objects.values() for f in kind.values() if f.secret}
    return frozenset(parameters | fields)


def _forms(secret: str) -> set[str]:
    """Return a secret as it is, and as it stands in a URL, in JSON or inside quotes."""
    escaped = ((quoted, way) for quoted, ways in ESCAPES.items() for way in ways)
    forms = {secret.replace(quoted, way) for quoted, way in escaped}
    return forms | {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
