"""Random damage to a good inventory: validation answers, and what passes it makes a pillar."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pigsty import topology, validate
from pigsty.findings import Finding, has_errors
from pigsty.pillar import compile_pillar
from pigsty.pillar.site import Site
from pigsty.platform import load as platform

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = (ROOT / "pillar/inventory/sandbox.yml").read_text("utf-8")
SIMU = (ROOT / "pillar/inventory/simu.yml").read_text("utf-8")
SITE = Site(key=bytes(32), ca="stand-in")

#: Values that people and programs put in the wrong place.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            "", "~", "off", "{{", "{{ x }}", "{% if", "{{ pg_cluster }}", "${admin_ip}", "${", "\0",
            "10.10.10.10", "10.10.10.11/24", "::1", "é" * 70, "a" * 300, "0640", "1_0", "1e9",
            "22:22", "x\ny",
        ]
    ),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers()), max_size=3),
)  # fmt: skip
#: Pieces of text that change what YAML makes of its surroundings.
PIECES = ["", "\n", "\t", "'", '"', "{", "- ", ": ", "&a ", "*a", "#", "\x07"]
#: Parameters that a mutation may set: those that the states look at closely, and an unknown one.
NAMES = st.sampled_from(
    [
        *(p.name for p in validate.catalogue.load().parameters),
        "pg_prot", "ansible_user", "pg_clean", "node_conf",
    ]
)  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value in nested data."""
    found = [path] if path else []
    if isinstance(data, dict):
        for key, value in data.items():
            found += places(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            found += places(value, (*path, index))
    return found


def parent(data: Any, path: tuple[Any, ...]) -> Any:
    """Return what holds the last step of a path."""
    for step in path[:-1]:
        data = data[step]
    return data


GOOD = yaml.safe_load(SANDBOX)
PLACES = places(GOOD)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return the sandbox's inventory with a few values replaced, removed or added."""
    data = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES))
        try:
            holder = parent(data, path)
            action = draw(st.sampled_from(["replace", "remove", "add"]))
            if action == "replace":
                holder[path[-1]] = draw(ODD)
            elif action == "remove":
                del holder[path[-1]]
            elif isinstance(holder[path[-1]], dict):
                holder[path[-1]][draw(NAMES)] = draw(ODD)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier step took it away
    return yaml.safe_dump(data, allow_unicode=True)


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """Return the sandbox's inventory with one more global parameter of an odd value."""
    data = copy.deepcopy(GOOD)
    data["all"]["vars"][draw(NAMES)] = draw(ODD)
    return yaml.safe_dump(data, allow_unicode=True)


@st.composite
def torn(draw: st.DrawFn) -> str:
    """Return the text of an inventory with characters lost, doubled or put in."""
    text = draw(st.sampled_from([SANDBOX, SIMU]))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 40))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at + length :]
    return text


def judge(folder: Path, text: str) -> None:
    """Validate a text; when there are no errors, every host must get its pillar."""
    file = folder / "pigsty.yml"
    file.write_text(text, "utf-8", errors="surrogateescape")
    findings = validate.validate(file)
    assert all(isinstance(finding, Finding) and finding.message for finding in findings)
    assert not [f for f in findings if f.message.startswith(validate.DEFECT)], findings
    assert list(findings) == sorted(findings, key=lambda f: f.line or 0)
    if not has_errors(findings):
        found = topology.load(file)
        for ip in found.nodes:
            compile_pillar(found, ip, SITE, platform())


def effort(examples: int) -> Any:
    """Return the settings of a test: so many examples, the same at every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@effort(120)
@given(text=damaged())
def test_damaged_values_are_findings(tmp_path: Path, text: str) -> None:
    judge(tmp_path, text)


@effort(200)
@given(text=parameters())
def test_odd_parameters_are_findings(tmp_path: Path, text: str) -> None:
    judge(tmp_path, text)


@effort(60)
@given(text=torn())
def test_torn_text_is_a_finding(tmp_path: Path, text: str) -> None:
    judge(tmp_path, text)


@pytest.mark.parametrize("name", ["meta", "sandbox", "trio", "slim", "simu"])
def test_ready_made_inventories_are_sound(name: str) -> None:
    file = ROOT / f"pillar/inventory/{name}.yml"
    assert not has_errors(validate.validate(file))
    found = topology.load(file)
    for ip in found.nodes:
        compile_pillar(found, ip, SITE, platform())


#: What makes a host what it is: with these broken, the other rules have nothing to look at.
IDENTITY = ("pg_cluster", "pg_seq", "pg_role", "etcd_seq", "infra_seq", "admin_ip")


@pytest.mark.parametrize("level", ["all", "cluster", "host"])
@pytest.mark.parametrize("broken", [IDENTITY, ()], ids=["identity too", "identity sound"])
@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**80, 1.5, "", "x", "{{ x }}", "${x}", "a\nb", [], [None], ["x"], [[]],
        [{}], [{"name": None}], [{"name": []}], [{"name": "a", "port": [], "selector": {}}], {},
        {"a": None}, {"a": []}, {"a": {"b": [1]}}, {"a": [1] * 10}, {"a": ["x"] * 10},
    ],
    ids=repr,
)  # fmt: skip
def test_no_rule_stumbles_over_any_parameter(
    tmp_path: Path, value: Any, broken: tuple[str, ...], level: str
) -> None:
    """Every parameter at once gets the value; a rule that fails would say so in a finding."""
    data = copy.deepcopy(GOOD)
    children = data["all"]["children"]
    targets = {
        "all": data["all"]["vars"],
        "cluster": children["pg-test"]["vars"],
        "host": children["pg-test"]["hosts"]["10.10.10.12"],
    }
    target = targets[level]
    names = {p.name for p in validate.catalogue.load().parameters} - set(IDENTITY) | set(broken)
    target.update(dict.fromkeys(sorted(names), value))
    judge(tmp_path, yaml.safe_dump(data))
