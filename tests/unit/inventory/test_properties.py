"""What holds for every file: nothing but our own errors, and the order of precedence."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pigsty import catalogue, inventory, topology
from pigsty.errors import InventoryError
from pigsty.findings import Finding

NAMES = sorted(catalogue.load())
#: Words that YAML, Ansible, jinja2 or we give a meaning to.
WORDS = [
    "all", "vars", "hosts", "children", "infra", "etcd", "on", "off", "~", "null", "<<", "- ", ": ",
    "{", "}", "[", "]", "&a ", "*a ", "!vault ", "!!int ", "|\n", ">-\n", "\n", "  ", "\t", "'",
    '"', "#", "---\n", "...\n", "%YAML", "{{ ", " }}", "{% for x in y %}", "{% endfor %}",
    "${admin_ip}", "10.0.0.1", "0640", "1:2:3", "1e9", "\x00", "\ufeff", "é",
    "pg_seq", "pg_cluster", "pg_users",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=40).map("".join)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["{{ pg_port }}", "{{ a }}", "{{ b }}", "{{ nowhere }}", "${admin_ip}"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["name", "port"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
VARS = st.dictionaries(st.sampled_from(NAMES) | st.sampled_from("abc"), VALUES, max_size=5)
GROUPS = st.recursive(
    st.fixed_dictionaries({}, optional={"vars": VARS | VALUES}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "vars": VARS,
            "hosts": st.dictionaries(st.sampled_from(["10.0.0.1", "10.0.0.2", "x"]), VARS) | VALUES,
            "children": st.dictionaries(st.sampled_from(["g", "h", "etcd", "infra"]), inner),
        },
    ),
    max_leaves=5,
)


def read_everything(data: bytes) -> None:
    """Read an inventory and every variable of every host; only our own errors may come out."""
    try:
        found = topology.build(inventory.parse(data))
    except InventoryError as error:
        assert str(error)
        return
    for finding in found.inventory.findings:
        assert isinstance(finding, Finding)
        json.dumps(finding.to_dict())
    for node in found.nodes.values():
        for name in node.vars:
            try:
                json.dumps(node.vars[name])
            except InventoryError as error:
                assert error.path


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes(data: bytes) -> None:
    read_everything(data)


@given(SOUP)
@settings(max_examples=150, deadline=None)
def test_any_text_of_yaml_like_pieces(text: str) -> None:
    read_everything(text.encode("utf-8", "surrogatepass"))
    read_everything(b"all: {vars: {a: " + text.encode("utf-8", "surrogatepass") + b"}}")


@given(GROUPS)
@settings(max_examples=100, deadline=None)
def test_any_inventory_like_structure(group: dict[str, Any]) -> None:
    read_everything(yaml.safe_dump({"all": group}, allow_unicode=True).encode())


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw groups in levels, one host in some of them, and what must win for each variable."""
    levels = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    rank: list[tuple[tuple[int, int, str], dict[str, str]]] = []
    names: dict[int, list[str]] = {0: ["all"]}
    groups: dict[str, dict[str, Any]] = {"all": {"vars": {"a": "all", "b": "all", "c": "all"}}}
    rank.append(((0, 1, "all"), groups["all"]["vars"]))
    for level, count in enumerate(levels, start=1):
        names[level] = [f"l{level}g{n}" for n in range(count)]
        for name in names[level]:
            variables = dict.fromkeys(draw(st.sets(st.sampled_from("abc"))), name)
            priority = draw(st.integers(1, 3))
            groups[name] = {"vars": {**variables, "ansible_group_priority": priority}}
            rank.append(((level, priority, name), variables))
            parent = groups[draw(st.sampled_from(names[level - 1]))]
            parent.setdefault("children", {})[name] = groups[name]
    parents = {child: name for name, group in groups.items() for child in group.get("children", {})}
    own = dict.fromkeys(draw(st.sets(st.sampled_from("abc"))), "host")
    members = draw(st.sets(st.sampled_from(sorted(groups)), min_size=1))
    over: set[str] = set()
    for member in members:
        groups[member]["hosts"] = {"10.0.0.1": dict(own)}
        step: str | None = member
        while step is not None:
            over.add(step)
            step = parents.get(step)
    expected: dict[str, str] = {}
    for (_, _, name), variables in sorted(rank, key=lambda entry: entry[0]):
        if name in over:
            expected.update(variables)
    return groups["all"], {**expected, **own}


@given(trees())
@settings(max_examples=100, deadline=None)
def test_precedence(drawn: tuple[dict[str, Any], dict[str, str]]) -> None:
    group, expected = drawn
    text = json.dumps({"all": group})  # JSON is YAML; it writes no anchors
    found = inventory.parse(text.encode()).variables("10.0.0.1")
    assert {name: variable.value for name, variable in found.items()} == expected


@given(st.permutations(["a", "b", "c"]))
def test_the_order_of_keys_changes_no_value(order: list[str]) -> None:
    lines = {"a": "    a: '{{ b }}'\n", "b": "    b: '{{ c }}1'\n", "c": "    c: x\n"}
    text = "all:\n  hosts: {10.0.0.1: }\n  vars:\n" + "".join(lines[name] for name in order)
    node = topology.build(inventory.parse(text.encode())).nodes["10.0.0.1"]
    assert [node.vars[name] for name in "abc"] == ["x1", "x1", "x"]
