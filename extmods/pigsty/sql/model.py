"""Types of SQL objects: those that are declared (``Wanted…``) and those that exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Prefix of the settings by which this system marks a role or a database.
MARK = "pigsty."
#: Kind of object -> the letter of ``pg_default_acl.defaclobjtype``.
OBJECT_TYPES = {"tables": "r", "sequences": "S", "functions": "f", "types": "T", "schemas": "n"}
#: The role by which privileges on objects of others are administered.
ADMIN_ROLE = "dbrole_admin"
PUBLIC = "public"
#: Schema of what serves monitoring and the pooler.
MONITOR = "monitor"
TEMPLATE = "template1"
MAINTENANCE = "postgres"


@dataclass(frozen=True, slots=True)
class Object:
    """What a change is about.

    Attributes:
        kind: ``role``, ``database``, ``schema``, ``extension``, ``default privileges``.
        name: its name.
        database: the database that it lives in, "" for roles and databases.
    """

    kind: str
    name: str
    database: str = ""

    def __str__(self) -> str:
        """As a person reads it: ``extension pg_trgm in meta``."""
        where = f" in {self.database}" if self.database else ""
        return f"{self.kind} {self.name}{where}"


@dataclass(frozen=True, slots=True)
class Membership:
    """That a role is a member of another.

    Attributes:
        role: the role whose privileges it gets.
        admin: may grant the role to others.
        inherit: has its privileges without SET ROLE (kept per membership since PostgreSQL 16);
            None where nothing is declared: as the member's own attribute.
        set: may SET ROLE to it (since PostgreSQL 16).
        grantors: who granted it: several may have, since PostgreSQL 16; empty for a declared one.
    """

    role: str
    admin: bool = False
    inherit: bool | None = None
    set: bool = True
    grantors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A role, declared or existing.

    Attributes:
        attributes: ``login``, ``superuser`` … to whether it has them.
        connlimit: connections at a time, -1 without limit.
        password: the verifier, "" without a password.
        valid_until: ISO 8601 in UTC, "" for ever.
        parameters: settings of its sessions, as text.
        memberships: by the name of the role it is a member of.
        marks: what this system noted about it.
        bootstrap: it is the superuser that initdb made, whose attributes can't be changed.
        oid: 0 for a declared one.
    """

    name: str
    attributes: Mapping[str, bool]
    connlimit: int = -1
    password: str = field(default="", repr=False)
    valid_until: str = ""
    comment: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    memberships: Mapping[str, Membership] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    bootstrap: bool = False
    oid: int = 0


@dataclass(frozen=True, slots=True)
class WantedRole:
    """A declared role: ``role``, and what no existing role has.

    Attributes:
        expire_in: days of validity from the day it was first set, None without.
        absent: the role shall not exist.
        system: a default role or a user of the system, which is never dropped.
    """

    role: Role
    expire_in: int | None = None
    absent: bool = False
    system: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """A privilege that a role has: ``grantee`` is ``public`` for everybody."""

    grantee: str
    privilege: str


@dataclass(frozen=True, slots=True)
class DefaultGrant:
    """A privilege on objects yet to be made by ``grantor``; ``on`` is a key of OBJECT_TYPES."""

    grantor: str
    on: str
    grantee: str
    privilege: str


@dataclass(frozen=True, slots=True)
class Database:
    """An existing database; ``acl`` holds what others than its owner may do."""

    name: str
    oid: int
    owner: str
    encoding: str
    collate: str
    ctype: str
    tablespace: str
    template: bool
    allowconn: bool
    connlimit: int
    acl: frozenset[Grant]
    comment: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WantedSchema:
    """A declared schema; without an ``owner`` the one that made it keeps it."""

    name: str
    owner: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class WantedExtension:
    """A declared extension.

    Attributes:
        schema: where it belongs, "" for where it likes.
        version: the version to have, "" for the one that came with the package.
        absent: it shall not be there.
        default: from the list for every database: left out (with a note) where the package lacks
            it, and left in the schema where it is.
    """

    name: str
    schema: str = ""
    version: str = ""
    absent: bool = False
    default: bool = False


@dataclass(frozen=True, slots=True)
class WantedDatabase:
    """A declared database.

    Attributes:
        owner: always given: the superuser where the inventory names none.
        creation: options that count only when it is created (``encoding``, ``locale`` …), as text.
        template: the database to copy, "" for the usual one.
        tablespace: "" leaves it where it is.
        revokeconn: CONNECT only for the owner and the system's users.
        baseline: file of SQL that is run once, "" for none.
        managed: False for template1 and postgres, of which only the contents are looked after.
    """

    name: str
    owner: str
    creation: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    tablespace: str = ""
    is_template: bool = False
    allowconn: bool = True
    connlimit: int = -1
    revokeconn: bool = False
    comment: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    schemas: tuple[WantedSchema, ...] = ()
    extensions: tuple[WantedExtension, ...] = ()
    baseline: str = ""
    state: str = "create"
    managed: bool = True

    @property
    def absent(self) -> bool:
        """Whether the database shall not exist."""
        return self.state == "absent"


@dataclass(frozen=True, slots=True)
class DefaultPrivilege:
    """One declared default privilege, for every role that makes objects."""

    grant: bool
    privileges: tuple[str, ...]
    on: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that is declared for a cluster; ``auth_query``: PgBouncer looks passwords up."""

    dbsu: str
    admin: str
    replication: str
    monitor: str
    roles: Mapping[str, WantedRole]
    databases: Mapping[str, WantedDatabase]
    privileges: tuple[DefaultPrivilege, ...]
    auth_query: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """An existing schema; ``acl`` holds what others than its owner may do."""

    owner: str
    acl: frozenset[Grant] = frozenset()


@dataclass(frozen=True, slots=True)
class Extension:
    """An existing extension."""

    schema: str
    version: str
    relocatable: bool = True


@dataclass(frozen=True, slots=True)
class Lookup:
    """PgBouncer's function for passwords: its text, and who but the owner may call it."""

    source: str
    callers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds, as far as this system looks after it.

    Attributes:
        privileges: default privileges that ``pg_default_acl`` grants to others than the grantor.
        touched: the grantors and kinds with an entry there; others have PostgreSQL's own defaults.
        lookup: PgBouncer's function, None where it is missing or wasn't looked for.
    """

    schemas: Mapping[str, Schema]
    extensions: Mapping[str, Extension]
    privileges: frozenset[DefaultGrant] = frozenset()
    touched: frozenset[tuple[str, str]] = frozenset()
    lookup: Lookup | None = None


@dataclass(frozen=True, slots=True)
class Actual:
    """Everything that exists in a cluster, as far as this system looks after it.

    Attributes:
        version: ``server_version_num``.
        in_recovery: the server is a standby: nothing can be changed on it.
        extensions: available extensions, name to default version.
        contents: of the databases that were looked into, by name.
        holdings: of roles to be dropped: the databases in which something depends on them.
    """

    version: int
    in_recovery: bool
    roles: Mapping[str, Role]
    databases: Mapping[str, Database]
    tablespaces: frozenset[str]
    extensions: Mapping[str, str]
    contents: Mapping[str, Contents] = field(default_factory=dict)
    holdings: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """Major version."""
        return self.version // 10000
