"""Packages and extensions of PostgreSQL that the inventory asks for, and libraries to load."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty import platform
from pigsty.findings import Finding
from pigsty.render import libraries
from pigsty.rules.context import Context, Use
from pigsty.rules.extensions import EXTENSIONS
from pigsty.rules.scalars import nearest, quote
from pigsty.sql.settings import elements

#: Libraries of PostgreSQL's own that can be preloaded; they have no package.
CONTRIB = (
    "auth_delay", "auto_explain", "basebackup_to_shell", "basic_archive", "passwordcheck",
    "pg_prewarm", "pg_stat_statements", "pg_walinspect", "sepgsql", "test_decoding",
)  # fmt: skip
#: How near an unknown name has to be to a known one to be taken for a slip.
NEAR = 0.8


def known(ctx: Context) -> Iterator[Finding]:
    """Report unknown names in the lists of packages, and extensions that have no package here."""
    data = platform.load().modules
    aliases = {name: names for m in data.values() for name, names in m.get("packages", {}).items()}
    extensions = data["extensions"]["packages"]
    for use in ctx.uses:
        if use.name in ("pg_extensions", "pg_packages", "repo_extra_packages"):
            value = use.variable.value
            for at, entry in enumerate(value if isinstance(value, list) else ()):
                for token in str(entry).replace(",", " ").split():
                    yield from _token(ctx, use, at, token, aliases, extensions)


def _token(
    ctx: Context,
    use: Use,
    at: int,
    token: str,
    aliases: dict[str, list[str]],
    extensions: dict[str, list[str]],
) -> Iterator[Finding]:
    place = use.place.inside(at)
    if token in aliases:
        if token in extensions and not extensions[token]:
            text = f"{platform.REFERENCE} has no package of {token}: it is left out"
            hint = "where repo_upstream brings one, name the package itself (postgresql-$v-…)"
            yield ctx.warning(place, text, hint)
        return
    # A package's own name: what has a dash, a version or a pattern in it is no alias.
    if set(token) & set("-$*=.+{") or use.name != "pg_extensions":
        return
    near = nearest(token, [*extensions, *EXTENSIONS], cutoff=NEAR)
    if near and near not in extensions:
        near = ""
    if near:
        yield ctx.error(place, f"unknown extension {quote(token)}", f"did you mean {near}?")
    elif token in (*CONTRIB, *EXTENSIONS):
        text = f"{token} comes with PostgreSQL or with another extension's package"
        yield ctx.warning(place, text, "remove it; CREATE EXTENSION belongs into pg_databases")
    else:
        text = f"{quote(token)} is no known extension: it is taken for a package's name"
        yield ctx.warning(place, text, "look with `apt-cache search postgresql-17-`")


def preloaded(ctx: Context) -> Iterator[Finding]:
    """Report libraries that look misspelled, or that no declared package brings."""
    data = platform.load().modules["extensions"]["packages"]
    names = {*CONTRIB, *data, *libraries.LIBRARIES, *libraries.FIRST, *libraries.BEHIND}
    names |= {name for found in libraries.LIBRARIES.values() for name in found}
    for use in ctx.uses:
        if use.name == "pg_libs" and isinstance(use.variable.value, str):
            for token in elements(use.variable.value):
                near = "" if token in names else nearest(token, sorted(names), cutoff=NEAR)
                if near:
                    text = f"pg_libs: unknown library {quote(token)}"
                    yield ctx.error(use.place, text, f"did you mean {near}?")
        elif use.name == "pg_parameters" and libraries.SETTING in (use.variable.value or ()):
            place = use.place.inside(libraries.SETTING)
            text = f"{libraries.SETTING} takes the place of pg_libs"
            yield ctx.warning(place, text, "write the libraries into pg_libs")


def patroni_mode(ctx: Context) -> Iterator[Finding]:
    """Say what patroni_mode and pg_files do not do here."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name == "patroni_mode" and value == "remove":
            text = "patroni_mode: remove has no effect: Patroni goes on running the cluster"
            yield ctx.warning(use.place, text, "remove it; `pigsty pgsql pause` stops its actions")
        elif use.name == "patroni_mode" and value == "pause":
            text = "patroni_mode: pause counts only when the cluster is made"
            hint = "`pigsty pgsql pause` and `resume` begin and end maintenance of a living cluster"
            yield ctx.warning(use.place, text, hint)
        elif use.name == "pg_files" and value:
            text = "pg_files has no effect: no files are copied into the data folder"
            yield ctx.warning(use.place, text, "put them elsewhere, and name their full path")
