"""From declared and existing contents of one database (schemas, extensions …) to changes.

The default privileges come first, so that a schema made afterwards already has them. Besides the
steps, the contents as they will be are returned: a database that is copied from this one starts
with those, so that a run in test mode tells the same changes as a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from psycopg.sql import Composed

from pigsty.sql import lookup, names, roles, snapshot
from pigsty.sql import statements as sql
from pigsty.sql.change import Change, Note, Refusal, Step
from pigsty.sql.databases import acl_changes
from pigsty.sql.desired import PRIVILEGES
from pigsty.sql.model import (
    ADMIN_ROLE,
    MONITOR,
    PUBLIC,
    Actual,
    Contents,
    DefaultGrant,
    Extension,
    Grant,
    Lookup,
    Object,
    Schema,
    Wanted,
    WantedDatabase,
    WantedExtension,
)

#: The first release with the privilege MAINTAIN on tables.
_MAINTAIN = 17


@dataclass(slots=True)
class Differ:
    """The comparison of one database.

    Attributes:
        want: the declared database.
        wanted: everything that is declared.
        actual: everything that exists.
        after: the contents as they will be; at first as they are.
    """

    want: WantedDatabase
    wanted: Wanted
    actual: Actual
    after: Contents
    _refused: set[str] = field(default_factory=set)

    def steps(self) -> Iterator[Step]:
        """Yield the steps, and bring ``after`` up to date along the way."""
        for grantor in self._grantors():
            yield from self._default_privileges(grantor)
        yield from self._schemas()
        yield from self._public()
        if self.wanted.auth_query:
            yield from self._lookup()
        for extension in self.want.extensions:
            yield from self._extension(extension)
        for schema in self.want.schemas:
            if schema.absent and schema.name in self.after.schemas:
                yield self._change("schema", schema.name, "dropped", sql.drop_schema(schema.name))

    def _about(self, kind: str, name: str) -> Object:
        return Object(kind, name, self.want.name)

    def _change(self, kind: str, name: str, what: str, statement: Composed) -> Change:
        """A change from not there to there, or the other way."""
        gone = what == "dropped"
        return Change(
            self._about(kind, name), what, gone or None, not gone, (statement,), self.want.name
        )

    # Default privileges.

    def _grantors(self) -> list[str]:
        """Who makes objects here: the superuser, the administrator, the admin role, the owner."""
        candidates = [self.wanted.dbsu, self.wanted.admin, ADMIN_ROLE]
        if self.want.managed:
            candidates.append(self.want.owner)
        return [name for name in dict.fromkeys(candidates) if self._known(name)]

    def _known(self, role: str) -> bool:
        return roles.known(role, self.wanted, self.actual)

    def _default_privileges(self, grantor: str) -> Iterator[Step]:
        due: set[DefaultGrant] = set()
        denied: set[DefaultGrant] = set()
        grantees: set[str] = set()
        for line in self.wanted.privileges:
            for role in line.roles:
                if role != PUBLIC and not self._known(role):
                    yield Note(f"default privileges name {role}, which doesn't exist")
                    continue
                grants = {
                    DefaultGrant(grantor, line.on, role, privilege)
                    for privilege in self._expanded(line.privileges, line.on)
                    if role != grantor
                }
                if line.grant:
                    due, denied = due | grants, denied - grants
                else:
                    due, denied = due - grants, denied | grants
                grantees.add(role)
        held = snapshot.privileges_of(self.after, grantor)
        # Privileges of other roles were given by somebody on purpose: they stay.
        ours = {name for name, role in self.wanted.roles.items() if role.system} | grantees
        ours -= {PUBLIC, grantor, self.want.owner}
        extra = {grant for grant in held if grant.grantee in ours and grant not in due}
        extra |= denied & held
        missing = due - held
        places = sorted({(grant.on, grant.grantee) for grant in missing | extra})
        for on, grantee in places:
            yield self._default_privilege(grantor, on, grantee, held, missing, extra)
        kinds = {(grantor, on) for on, _ in places}
        others = {grant for grant in self.after.privileges if grant.grantor != grantor}
        self.after = replace(
            self.after,
            privileges=frozenset(others | ((held | missing) - extra)),
            touched=self.after.touched | kinds,
        )

    def _default_privilege(
        self,
        grantor: str,
        on: str,
        grantee: str,
        held: set[DefaultGrant],
        missing: set[DefaultGrant],
        extra: set[DefaultGrant],
    ) -> Change:
        def pick(grants: set[DefaultGrant]) -> list[str]:
            return sorted(g.privilege for g in grants if (g.on, g.grantee) == (on, grantee))

        statements: list[Composed] = []
        for granted, grants in ((True, missing), (False, extra)):
            if privileges := pick(grants):
                statements.append(
                    sql.default_privileges(grantor, on, privileges, grantee, granted=granted)
                )
        old, new = (", ".join(pick(grants)) for grants in (held, (held | missing) - extra))
        return Change(
            self._about("default privileges of", grantor),
            f"{on} to {grantee}",
            old or None,
            new or None,
            tuple(statements),
            self.want.name,
        )

    def _expanded(self, privileges: tuple[str, ...], on: str) -> Iterator[str]:
        for name in privileges:
            for privilege in PRIVILEGES[on] if name == "ALL" else (name,):
                if privilege != "MAINTAIN" or self.actual.major >= _MAINTAIN:
                    yield privilege

    # Schemas.

    def _schemas(self) -> Iterator[Step]:
        declared = {schema.name: schema for schema in self.want.schemas}
        for schema in declared.values():
            about = self._about("schema", schema.name)
            if reason := names.why_not(schema.name, "schema"):
                yield Refusal(about, reason)
            elif schema.absent:
                continue
            elif schema.owner and not self._known(schema.owner):
                yield Refusal(about, f"is to be owned by {schema.owner}, which doesn't exist")
            elif schema.name not in self.after.schemas:
                yield self._created_schema(schema.name, schema.owner)
            elif schema.owner and self.after.schemas[schema.name].owner != schema.owner:
                old = self.after.schemas[schema.name].owner
                statement = sql.owner("schema", schema.name, schema.owner)
                yield Change(
                    about, "owner", old, schema.owner, (statement,), database=self.want.name
                )
        for extension in self.want.extensions:
            name = extension.schema
            if (
                name
                and not extension.absent
                and extension.name not in self.after.extensions
                and name not in self.after.schemas
                and not names.why_not(name, "schema")
            ):
                yield self._created_schema(name, "")

    def _created_schema(self, name: str, owner: str) -> Change:
        schemas = {**self.after.schemas, name: Schema(owner or self.wanted.dbsu)}
        self.after = replace(self.after, schemas=schemas)
        return self._change("schema", name, "created", sql.create_schema(name, owner))

    def _public(self) -> Iterator[Step]:
        """Objects in schema public are made by administrators, not by everybody."""
        have = self.after.schemas.get("public")
        if have is None:
            return
        about = self._about("schema", "public")
        grants = set(have.acl)
        for grantee, due in ((PUBLIC, frozenset[str]()), (ADMIN_ROLE, frozenset({"CREATE"}))):
            if grantee == PUBLIC or self._known(grantee):
                held = {g.privilege for g in have.acl if g.grantee == grantee} & {"CREATE"}
                yield from acl_changes(about, "schema", grantee, held, due, self.want.name)
                grants -= {Grant(grantee, "CREATE")}
                grants |= {Grant(grantee, privilege) for privilege in due}
        schemas = {**self.after.schemas, "public": Schema(have.owner, frozenset(grants))}
        self.after = replace(self.after, schemas=schemas)

    # PgBouncer's function.

    def _lookup(self) -> Iterator[Step]:
        have = self.after.lookup
        due = Lookup(lookup.SOURCE, frozenset({self.wanted.monitor}))
        if have == due:
            return
        if MONITOR not in self.after.schemas:
            yield self._created_schema(MONITOR, "")
        # A new function can be called by whom the default privileges name: too many for this one.
        granted = snapshot.privileges_of(self.after, self.wanted.dbsu)
        callers = {grant.grantee for grant in granted if grant.on == "functions"}
        extra = (have.callers if have else frozenset(callers)) - due.callers
        what = "created" if have is None else "definition"
        if have and have.source == due.source:
            what = "callers"
        yield Change(
            self._about("function", f"{MONITOR}.{lookup.NAME}"),
            what,
            ", ".join(sorted(have.callers)) if have and what == "callers" else None,
            self.wanted.monitor if what == "callers" else True,
            lookup.statements(self.wanted.monitor, sorted(extra)),
            self.want.name,
        )
        self.after = replace(self.after, lookup=due)

    # Extensions.

    def _extension(self, extension: WantedExtension) -> Iterator[Step]:
        about = self._about("extension", extension.name)
        have = self.after.extensions.get(extension.name)
        if reason := names.why_not(extension.name, "extension"):
            yield Refusal(about, reason)
        elif extension.absent:
            if have is not None:
                yield self._change(
                    "extension", extension.name, "dropped", sql.drop_extension(extension.name)
                )
        elif have is None:
            yield from self._created_extension(about, extension)
        else:
            yield from self._changed_extension(about, extension, have)

    def _created_extension(self, about: Object, extension: WantedExtension) -> Iterator[Step]:
        available = self.actual.extensions.get(extension.name)
        if available is None and extension.default:
            yield Note(f"the default extension {extension.name} is not available on this server")
            return
        if available is None:
            yield Refusal(about, "is not available on this server: its package is not installed")
            return
        version = extension.version or available
        # An extension that is given no schema goes where the session's search_path begins.
        schema = extension.schema or "public"
        statement = sql.create_extension(extension.name, extension.schema, extension.version)
        shown = f"version {version}, schema {schema}" if extension.schema else f"version {version}"
        yield Change(about, "created", None, shown, (statement,), self.want.name)
        extensions = {**self.after.extensions, extension.name: Extension(schema, version)}
        self.after = replace(self.after, extensions=extensions)

    def _changed_extension(
        self, about: Object, extension: WantedExtension, have: Extension
    ) -> Iterator[Step]:
        if extension.version and extension.version != have.version:
            statement = sql.extension_version(extension.name, extension.version)
            yield Change(
                about, "version", have.version, extension.version, (statement,), self.want.name
            )
        if extension.default or not extension.schema or extension.schema == have.schema:
            return
        if not have.relocatable:
            yield Refusal(
                about,
                f"is in schema {have.schema} and can't be moved to {extension.schema}: "
                "drop it first, or declare the schema where it is",
            )
            return
        statement = sql.extension_schema(extension.name, extension.schema)
        yield Change(about, "schema", have.schema, extension.schema, (statement,), self.want.name)
