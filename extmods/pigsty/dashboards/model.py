"""What a dashboard is made of. It says what is shown; renderers say how.

Two renderers read these: :mod:`pigsty.render.portal` for the pages that the portal draws itself,
and :mod:`pigsty.render.grafana`. Expressions are PromQL; ``$name`` in them stands for a variable's
value. A variable that offers "all" is matched by ``=~``, any other by ``=``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["timeseries", "stat", "table", "bars", "alerts"]
Unit = Literal[
    "number", "ratio", "bytes", "bytes/s", "seconds", "ms", "ops", "rows/s", "time", "up", "yes"
]
#: Widths are twelfths of a page.
COLUMNS = 12
#: Seconds for which a mark's series is there at least. Who asks less often may miss it.
MARKED = 240

#: What begins the name of a metric -> the program that publishes it, as targets call it.
PROGRAMS = {
    "pg_": "postgres",
    "pg:": "postgres",
    "pgbouncer": "pgbouncer",
    "pgbackrest_": "pgbackrest",
    "patroni_": "patroni",
    "node_": "node",
    # In a text file for the node exporter.
    "keepalived_": "node",
    "node:": "node",
    "pigsty_": "node",
    "haproxy": "haproxy",
    "etcd": "etcd",
    "probe_": "ping",
    "prometheus_": "prometheus",
    "alertmanager_": "alertmanager",
    "nginx_": "nginx",
    "infra:": "prometheus",
}
_WORD = re.compile(r"(?<![\w:])[a-zA-Z_:][a-zA-Z0-9_:]*")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_VARIABLE = re.compile(r"\$(\w+)")
_FUNCTION = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*\()")
_WORDS = frozenset(("and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on"))


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another page.

    Attributes:
        to: the page's ``uid``.
        carry: the page's variables, each with the label or variable that gives its value.
        title: what is written on it, where it stands by itself; empty for the page's title.
    """

    to: str
    carry: Mapping[str, str] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a value is coloured; low values are the bad ones when ``bad < warn``.

    Attributes:
        warn: worth a look.
        bad: something is wrong.
    """

    warn: float
    bad: float


@dataclass(frozen=True, slots=True)
class Query:
    """An expression.

    Attributes:
        expr: PromQL.
        legend: name of each of its series, with labels as ``{{label}}``.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        expr: PromQL; it is reduced to the table's keys (and to ``label``) by its greatest value.
        unit: of its values.
        limits: from where on a value is coloured.
        label: the label that is shown in place of the value.
        link: where its cells lead.
    """

    title: str
    expr: str
    unit: Unit = "number"
    limits: Limits | None = None
    label: str = ""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A label that tells a table's rows apart, and is its first columns.

    Attributes:
        label: the label.
        title: the column's head.
        link: where its cells lead.
    """

    label: str
    title: str
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. The functions below make them: a panel is no place to think about its kind.

    Attributes:
        title: what it shows.
        kind: how.
        unit: of its values.
        queries: what is drawn; of a table, see ``columns``.
        keys: labels that tell a table's rows apart.
        columns: columns of a table beside the keys.
        width: twelfths of the page.
        height: rows of some 40 pixels.
        limits: from where on a value is coloured.
        stack: whether series are drawn on top of one another.
        top: how many of the greatest are shown, 0 for all.
        meaning: a sentence for who sees it for the first time.
        empty: what it means that there is nothing, where that is no fault.
        link: where a series, a value or a bar leads.
    """

    title: str
    kind: Kind
    unit: Unit = "number"
    queries: tuple[Query, ...] = ()
    keys: tuple[Key, ...] = ()
    columns: tuple[Column, ...] = ()
    width: int = 4
    height: int = 6
    limits: Limits | None = None
    stack: bool = False
    top: int = 0
    meaning: str = ""
    empty: str = ""
    link: Link | None = None

    def expressions(self) -> tuple[Query, ...]:
        """Return what is asked for it: the queries, or those of a table's columns."""
        if self.kind != "table":
            return self.queries
        found = []
        for column in self.columns:
            labels = [key.label for key in self.keys]
            labels += [column.label] if column.label else []
            found.append(Query(f"max by ({', '.join(labels)}) ({column.expr})", column.title))
        return tuple(found)

    def links(self) -> Iterator[Link]:
        """Yield every way out of it."""
        parts: tuple[Panel | Key | Column, ...] = (self, *self.keys, *self.columns)
        for part in parts:
            if part.link is not None:
                yield part.link

    def programs(self) -> tuple[str, ...]:
        """Return the programs whose metrics it shows, as targets call them."""
        names = (name for query in self.expressions() for name in metrics(query.expr))
        return tuple(sorted({program(name) for name in names} - {""}))


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading.

    Attributes:
        title: the heading, empty for none.
        panels: from left to right, as many in a line as fit.
    """

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """What is marked in every chart of a page, by a line from top to bottom: something happened.

    Attributes:
        title: what happens.
        expr: PromQL; where one of its series begins, it happened.
        legend: what is written at the line, with labels as ``{{label}}``.
        bad: whether it is a matter of concern.
    """

    title: str
    expr: str
    legend: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice above a page: a label's values.

    Attributes:
        name: how expressions call it: ``$name``.
        title: what is written in front of it.
        metric: the series whose label it is, with a selector.
        label: the label.
        all: whether all values together may be chosen; then that is what is chosen first.
    """

    name: str
    title: str
    metric: str
    label: str
    all: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page.

    Attributes:
        uid: its address.
        title: its name.
        group: under which heading of the menu it stands.
        meaning: what it is for, one sentence.
        variables: choices above it, each may depend on those before it.
        rows: what is on it.
        links: pages beside it.
        marks: what is marked in its charts.
        hidden: whether it is left out of the menu, because it means something only from elsewhere.
    """

    uid: str
    title: str
    group: str
    meaning: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    links: tuple[Link, ...] = ()
    marks: tuple[Mark, ...] = ()
    hidden: bool = False

    def logged(self) -> tuple[str, ...]:
        """Return those of its variables by which the logs can be searched as well."""
        names = (variable.name for variable in self.variables if not variable.all)
        return tuple(name for name in names if name in ("cls", "ins"))

    def panels(self) -> Iterator[Panel]:
        """Yield all panels from top to bottom."""
        for row in self.rows:
            yield from row.panels


def q(expr: str, legend: str = "{{ins}}") -> Query:
    """Return a query, by default with a series for each instance."""
    return Query(expr, legend)


def metrics(expr: str) -> set[str]:
    """Return the names of the metrics in an expression."""
    plain = _TEXT.sub('""', expr)
    plain = _LABELS.sub(" ", plain)
    plain = _RANGE.sub(" ", plain)
    functions = set(_FUNCTION.findall(plain))
    words = set(_WORD.findall(_VARIABLE.sub(" ", plain)))
    return {word for word in words - functions if word not in _WORDS}


def variables(expr: str) -> set[str]:
    """Return the names of the variables in an expression."""
    return set(_VARIABLE.findall(expr))


def program(metric: str) -> str:
    """Return the program that publishes a metric, empty for Prometheus's own (``up``, ALERTS)."""
    found = [name for begin, name in PROGRAMS.items() if metric.startswith(begin)]
    return found[0] if found else ""


def chart(
    title: str,
    unit: Unit,
    *queries: Query | str,
    width: int = 4,
    height: int = 6,
    limits: Limits | None = None,
    stack: bool = False,
    meaning: str = "",
    empty: str = "",
    link: Link | None = None,
) -> Panel:
    """Return lines over time. A query that is a text has a line for each instance."""
    return Panel(
        title,
        "timeseries",
        unit,
        tuple(_query(query) for query in queries),
        width=width,
        height=height,
        limits=limits,
        stack=stack,
        meaning=meaning,
        empty=empty,
        link=link,
    )


def stat(
    title: str,
    unit: Unit,
    query: Query | str,
    *,
    width: int = 2,
    limits: Limits | None = None,
    meaning: str = "",
    empty: str = "",
    link: Link | None = None,
) -> Panel:
    """Return a number in large type, with its legend where it has one."""
    query = Query(query) if isinstance(query, str) else query
    return Panel(
        title,
        "stat",
        unit,
        (query,),
        width=width,
        height=2,
        limits=limits,
        meaning=meaning,
        empty=empty,
        link=link,
    )


def bars(
    title: str,
    unit: Unit,
    query: Query | str,
    *,
    top: int = 10,
    width: int = 4,
    height: int = 6,
    limits: Limits | None = None,
    meaning: str = "",
    empty: str = "",
    link: Link | None = None,
) -> Panel:
    """Return the greatest values of now, longest bar first."""
    return Panel(
        title,
        "bars",
        unit,
        (_query(query),),
        width=width,
        height=height,
        limits=limits,
        top=top,
        meaning=meaning,
        empty=empty,
        link=link,
    )


def table(
    title: str,
    keys: tuple[Key, ...],
    *columns: Column,
    width: int = COLUMNS,
    height: int = 6,
    top: int = 0,
    meaning: str = "",
    empty: str = "",
) -> Panel:
    """Return a table of now; with ``top``, the rows whose first column is greatest."""
    return Panel(
        title,
        "table",
        keys=keys,
        columns=columns,
        width=width,
        height=height,
        top=top,
        meaning=meaning,
        empty=empty,
    )


def alerts(title: str, selector: str, *, width: int = COLUMNS, height: int = 6) -> Panel:
    """Return the list of alerts that fire, those whose labels a selector matches."""
    expr = f'ALERTS{{alertstate="firing"{", " if selector else ""}{selector}}}'
    return Panel(
        title,
        "alerts",
        queries=(Query(expr, "{{alertname}}"),),
        width=width,
        height=height,
        empty="No alert fires.",
    )


def _query(query: Query | str) -> Query:
    return q(query) if isinstance(query, str) else query
