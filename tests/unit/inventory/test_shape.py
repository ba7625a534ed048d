"""Groups, hosts and variables: where they stand, who wins, and what is wrong with a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pigsty import inventory
from pigsty.errors import InventoryError
from pigsty.shape import Inventory


def read(text: str) -> Inventory:
    """Return an inventory."""
    return inventory.parse(text.encode())


def value(found: Inventory, ip: str, name: str) -> object:
    """Return a variable of a host."""
    return found.variables(ip)[name].value


NESTED = """
all:
  vars: {a: all, b: all, c: all, d: all, pg_version: 15}
  children:
    parent:
      vars: {b: parent, c: parent, d: parent}
      children:
        child:
          vars: {c: child, d: child}
          hosts:
            10.0.0.1: {d: host}
            10.0.0.2:
"""


class TestPrecedence:
    def test_all_then_parent_then_child_then_host(self) -> None:
        found = read(NESTED)
        assert [value(found, "10.0.0.1", n) for n in "abcd"] == ["all", "parent", "child", "host"]
        assert [value(found, "10.0.0.2", n) for n in "abcd"] == ["all", "parent", "child", "child"]

    def test_the_catalogue_has_no_say_here(self) -> None:
        assert set(read(NESTED).variables("10.0.0.2")) == {"a", "b", "c", "d", "pg_version"}

    def test_groups_beside_each_other_apply_by_name(self) -> None:
        text = """
all:
  children:
    zebra: {vars: {x: zebra}, hosts: {10.0.0.1: }}
    ant: {vars: {x: ant}, hosts: {10.0.0.1: }}
"""
        assert value(read(text), "10.0.0.1", "x") == "zebra"

    def test_a_priority_goes_before_the_name(self) -> None:
        text = """
all:
  children:
    zebra: {vars: {x: zebra}, hosts: {10.0.0.1: }}
    ant: {vars: {x: ant, ansible_group_priority: 10}, hosts: {10.0.0.1: }}
"""
        found = read(text)
        assert value(found, "10.0.0.1", "x") == "ant"
        assert "ansible_group_priority" not in found.variables("10.0.0.1")

    def test_depth_goes_before_the_priority(self) -> None:
        text = """
all:
  children:
    shallow: {vars: {x: shallow, ansible_group_priority: 99}, hosts: {10.0.0.1: }}
    above:
      children:
        deep: {vars: {x: deep}, hosts: {10.0.0.1: }}
"""
        assert value(read(text), "10.0.0.1", "x") == "deep"

    def test_the_longest_way_counts_as_depth(self) -> None:
        text = """
all:
  children:
    deep: {vars: {x: deep}, hosts: {10.0.0.1: }}
    above: {vars: {x: above}, children: {middle: {vars: {x: middle}, children: {deep: }}}}
"""
        found = read(text)
        assert found.groups["deep"].depth == 3
        assert found.groups["deep"].parents == ("all", "middle")
        assert value(found, "10.0.0.1", "x") == "deep"

    def test_override_replaces_and_never_merges(self) -> None:
        text = """
all:
  vars: {pg_parameters: {a: 1, b: 2}, pg_libs: x}
  children: {g: {hosts: {10.0.0.1: {pg_parameters: {c: 3}}}}}
"""
        assert value(read(text), "10.0.0.1", "pg_parameters") == {"c": 3}

    def test_a_host_in_several_groups_has_the_variables_of_all(self) -> None:
        text = """
all:
  children:
    infra: {hosts: {10.0.0.1: {infra_seq: 1}}}
    etcd: {hosts: {10.0.0.1: {etcd_seq: 2}}}
    pg: {vars: {pg_cluster: pg}, hosts: {10.0.0.1: {pg_seq: 3}}}
"""
        found = read(text)
        assert found.hosts["10.0.0.1"].groups == ("infra", "etcd", "pg")
        assert {n: value(found, "10.0.0.1", n) for n in ("infra_seq", "etcd_seq", "pg_seq")} == {
            "infra_seq": 1, "etcd_seq": 2, "pg_seq": 3,
        }  # fmt: skip
        assert found.findings == ()

    def test_two_values_of_one_host_are_a_warning_and_the_later_wins(self) -> None:
        text = """
all:
  children:
    a: {hosts: {10.0.0.1: {nodename: one}}}
    b:
      hosts:
        10.0.0.1: {nodename: two}
"""
        found = read(text)
        assert value(found, "10.0.0.1", "nodename") == "two"
        [finding] = found.findings
        assert (finding.severity, finding.line) == ("warning", 7)
        assert "line 4" in finding.message

    def test_a_group_may_stand_in_several_places(self) -> None:
        text = """
all:
  children:
    g: {vars: {x: 1}, hosts: {10.0.0.1: }}
    h: {children: {g: {vars: {y: 2}, hosts: {10.0.0.2: }}}}
"""
        found = read(text)
        assert found.groups["g"].hosts == ("10.0.0.1", "10.0.0.2")
        assert (value(found, "10.0.0.1", "y"), value(found, "10.0.0.2", "x")) == (2, 1)

    def test_groups_beside_all_are_its_children(self) -> None:
        found = read("pg: {vars: {x: pg}, hosts: {10.0.0.1: }}\nall: {vars: {x: all, y: all}}")
        assert [value(found, "10.0.0.1", n) for n in "xy"] == ["pg", "all"]


class TestPlaces:
    def test_every_variable_knows_its_line_and_path(self) -> None:
        text = """all:
  children:
    pg:
      vars:
        pg_cluster: pg
        pg_users:
          - name: a
            roles: [x,
                    y]
          - { name: b }
      hosts:
        10.0.0.1:
          pg_seq: 1
"""
        found = read(text)
        users = found.groups["pg"].variables["pg_users"]
        assert (users.path, users.line) == ("all.children.pg.vars.pg_users", 6)
        assert users.place(0, "name") == ("all.children.pg.vars.pg_users[0].name", 7)
        assert users.place(0, "roles", 1) == ("all.children.pg.vars.pg_users[0].roles[1]", 9)
        assert users.place(1, "missing") == ("all.children.pg.vars.pg_users[1].missing", 10)
        seq = found.hosts["10.0.0.1"].variables["pg_seq"]
        assert (seq.path, seq.line) == ("all.children.pg.hosts.10.0.0.1.pg_seq", 13)
        assert (found.groups["pg"].line, found.hosts["10.0.0.1"].line) == (3, 12)


class TestFormerNames:
    def test_a_former_name_is_entered_under_the_current_one(self) -> None:
        found = read("all:\n  vars:\n    pg_fs_bkup: /backup\n")
        assert set(found.groups["all"].variables) == {"pg_fs_backup"}
        [finding] = found.findings
        assert (finding.severity, finding.path, finding.line) == (
            "warning", "all.vars.pg_fs_bkup", 3,
        )  # fmt: skip
        assert "pg_fs_backup" in finding.hint

    @pytest.mark.parametrize(
        "order", [("pg_fs_bkup", "pg_fs_backup"), ("pg_fs_backup", "pg_fs_bkup")]
    )
    def test_the_current_name_wins_in_either_order(self, order: tuple[str, str]) -> None:
        values = {"pg_fs_bkup": "/old", "pg_fs_backup": "/new"}
        text = "all:\n  vars:\n" + "".join(f"    {name}: {values[name]}\n" for name in order)
        found = read(text)
        assert found.groups["all"].variables["pg_fs_backup"].value == "/new"
        messages = [finding.message for finding in found.findings]
        assert any("pg_fs_bkup is ignored" in message for message in messages)
        assert {finding.severity for finding in found.findings} == {"warning"}

    def test_a_former_name_nearer_to_the_host_wins_over_the_current_one(self) -> None:
        found = read("all: {vars: {pg_fs_backup: /all}, hosts: {10.0.0.1: {pg_fs_bkup: /h}}}")
        assert value(found, "10.0.0.1", "pg_fs_backup") == "/h"

    @pytest.mark.parametrize(
        ("old", "text", "new", "meant"),
        [
            ("node_disable_firewall", "true", "node_firewall_mode", "off"),
            ("node_disable_firewall", "no", "node_firewall_mode", "none"),
            ("node_disable_selinux", "yes", "node_selinux_mode", "disabled"),
            ("node_repo_method", "both", "node_repo_modules", "local,node,infra,pgsql"),
            ("patroni_citus_db", "meta", "pg_primary_db", "meta"),
            ("vmetrics_enabled", "false", "prometheus_enabled", False),
        ],
    )
    def test_values_of_former_names_are_translated(
        self, old: str, text: str, new: str, meant: object
    ) -> None:
        variables = read(f"all: {{vars: {{{old}: {text}}}}}").groups["all"].variables
        assert {name: v.value for name, v in variables.items()} == {new: meant}


class TestYaml:
    def test_anchors_aliases_and_merge_keys(self) -> None:
        text = """
all:
  vars:
    base: &base {a: 1, b: 2}
    more: &more {b: 3, c: 4}
    both: {<<: [*base, *more], d: 5}
    own: {<<: *base, a: 9}
    list: &list [x]
    again: *list
"""
        found = {n: v.value for n, v in read(text).groups["all"].variables.items()}
        assert found["both"] == {"a": 1, "b": 2, "c": 4, "d": 5}
        assert found["own"] == {"a": 9, "b": 2}
        assert found["again"] == ["x"]

    def test_merge_keys_between_groups(self) -> None:
        text = """
all:
  children:
    a: {vars: &v {pg_version: 16}, hosts: {10.0.0.1: }}
    b: {vars: {<<: *v, pg_cluster: b}, hosts: {10.0.0.2: }}
"""
        assert value(read(text), "10.0.0.2", "pg_version") == 16

    @pytest.mark.parametrize(
        "text",
        [
            "all:\n  vars:\n    a: 1\n    a: 2\n",
            "all:\n  vars: {a: 1,\n\n    a: 2}\n",
        ],
    )
    def test_a_key_that_stands_twice_is_an_error_with_both_lines(self, text: str) -> None:
        found = read(text)
        [finding] = found.findings
        assert (finding.severity, finding.path, finding.line) == ("error", "all.vars.a", 4)
        assert f"line {text[: text.index('a: 1')].count(chr(10)) + 1}" in finding.message

    def test_the_key_within_a_value_too(self) -> None:
        [finding] = read("all: {vars: {pg_users: [{name: a, name: b}]}}").findings
        assert finding.path == "all.vars.pg_users[0].name"

    def test_a_bom_and_windows_lines_are_fine(self) -> None:
        found = inventory.parse("\ufeffall:\r\n  vars:\r\n    a: 1\r\n".encode())
        assert found.groups["all"].variables["a"].line == 3


class TestOddShapes:
    """Wrong, but the rest can still be looked at: a finding."""

    @pytest.mark.parametrize(
        ("text", "path", "words"),
        [
            ("all: 1", "all", "must be a mapping"),
            ("all: {hosts: [10.0.0.1]}", "all.hosts", "not a list"),
            ("all: {vars: [a]}", "all.vars", "not a list"),
            ("all: {children: {a: [x]}}", "all.children.a", "not a list"),
            ("all: {hosts: {10.0.0.1: 5}}", "all.hosts.10.0.0.1", "not a single value"),
            ("all: {pg_version: 17}", "all.pg_version", "`pg_version` means nothing here"),
            ("all: {children: {a: {host: {}}}}", "all.children.a.host", "means nothing"),
            ("all: {vars: {ansible_group_priority: x}}", "all.vars.ansible_group_priority",
             "must be a number"),
        ],
    )  # fmt: skip
    def test_is_an_error_finding(self, text: str, path: str, words: str) -> None:
        [finding] = read(text).findings
        assert (finding.severity, finding.path) == ("error", path)
        assert words in finding.message

    def test_a_parameter_beside_vars_is_told_where_it_belongs(self) -> None:
        [finding] = read("all: {pg_version: 17}").findings
        assert "`vars`" in finding.hint

    @pytest.mark.parametrize("text", ["all:", "all: {}", "all: {hosts: , vars: ~, children: null}"])
    def test_nothing_is_no_error(self, text: str) -> None:
        found = read(text)
        assert (dict(found.hosts), found.findings) == ({}, ())


class TestUnreadable:
    """Can't be read as an inventory at all: an exception with a place and a hint."""

    @pytest.mark.parametrize(
        ("data", "words", "line"),
        [
            (b"", "empty", None),
            (b"# nothing but a comment\n", "empty", None),
            (b"~", "empty", None),
            (b"- a\n- b\n", "a list", 1),
            (b"text", "a single value", 1),
            (b"pgsql: {}\n", "no key `all`", 1),
            (b"all:\n  vars:\n    a: \xff\n", "not UTF-8", 3),
            (b"all:\n\tvars: {}\n", "tab", 2),
            (b"all:\n  vars:\n    a: 'x\n", "not valid YAML", 4),
            (b"all:\n  vars: {a: 1\n  x: ]\n", "not valid YAML", 3),
            (b"all:\n---\nall:\n", "several YAML documents", 2),
            (b"all:\n  vars:\n    p: !vault |\n      abc\n", "Vault", 3),
            (b"all:\n  vars:\n    p: !custom abc\n", "!custom", 3),
            (b"all:\n  vars: !!python/object:os.system {}\n", "python", 2),
            (b"all:\n  vars:\n    a: {{ b }}\n", "a key must be text", 3),
            (b"all:\n  vars:\n    a: *nowhere\n", "undefined alias", 3),
            (b"all:\n  vars:\n    <<: 5\n", "merge key", 3),
            (b"all: {children: {a: {children: {b: {children: {a: }}}}}}", "contain each other", 1),
            (b"all: {children: {a: {children: {a: }}}}", "contain each other", 1),
            (b"all: &a {children: {b: *a}}", "levels deep", 1),
            (b"all: {vars: &a {x: *a}}", "levels deep", 1),
            (b"all: {vars: &a {<<: *a}}", "levels deep", 1),
            (b"[" * 100000, "levels deep", 1),
            (b"- " * 100000, "levels deep", 1),
            (b"? " * 100000, "levels deep", 1),
            (b"{a: " * 100000, "levels deep", 1),
            (b"\x00", "control characters", None),
            ("all: \ud800".encode("utf-8", "surrogatepass"), "not UTF-8", 1),
        ],
    )
    def test_says_what_and_where(self, data: bytes, words: str, line: int | None) -> None:
        with pytest.raises(InventoryError) as caught:
            inventory.parse(data)
        assert words in str(caught.value)
        assert caught.value.line == line

    def test_an_unquoted_template_is_told_to_be_quoted(self) -> None:
        with pytest.raises(InventoryError) as caught:
            read("all:\n  vars:\n    a: {{ b }}\n")
        assert "quote" in caught.value.hint
        assert caught.value.path == "all.vars.a"

    def test_a_bomb_of_aliases_is_refused_fast(self) -> None:
        lines = ["all:", "  vars:", "    a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"    a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        with pytest.raises(InventoryError, match="aliases"):
            read("\n".join(lines))

    def test_aliases_that_people_use_are_fine(self) -> None:
        lines = [
            "all:",
            "  vars:",
            "    u: &u [" + ", ".join(["{name: x}"] * 100) + "]",
            "  children:",
        ]
        lines += [f"    g{i}: {{vars: {{pg_users: *u}}}}" for i in range(200)]
        assert len(read("\n".join(lines)).groups) == 201

    def test_a_huge_file_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inventory, "MAX_BYTES", 100)
        with pytest.raises(InventoryError, match="larger than"):
            read("all: {}" + "#" * 100)


class TestFiles:
    def test_the_same_object_until_the_file_changes(self, tmp_path: Path) -> None:
        file = tmp_path / "pigsty.yml"
        file.write_text("all: {vars: {a: 1}}")
        first = inventory.load(file)
        assert inventory.load(str(file)) is first
        file.write_text("all: {vars: {a: 2}}")
        os.utime(file, ns=(1, 1))
        second = inventory.load(file)
        assert second is not first
        assert second.groups["all"].variables["a"].value == 2
        assert second.checksum != first.checksum

    def test_a_file_that_broke_is_not_served_from_the_cache(self, tmp_path: Path) -> None:
        file = tmp_path / "pigsty.yml"
        file.write_text("all: {}")
        inventory.load(file)
        file.write_text("all: [")
        with pytest.raises(InventoryError):
            inventory.load(file)

    @pytest.mark.parametrize(
        ("name", "words"), [("missing.yml", "No such file"), (".", "folder"), ("a\0b", "null byte")]
    )
    def test_what_is_no_file(self, tmp_path: Path, name: str, words: str) -> None:
        with pytest.raises(InventoryError, match=words):
            inventory.load(tmp_path / name)

    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        file = tmp_path / "secret.yml"
        file.write_text("all: {}")
        file.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root reads everything, nobody does not
        try:
            with pytest.raises(InventoryError, match="Permission denied"):
                inventory.load(file)
        finally:
            os.seteuid(user)

    def test_a_pipe_is_read_and_not_cached(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for text in ("all: {vars: {a: 1}}", "all: {vars: {a: 2}}"):
            if os.fork() == 0:
                pipe.write_text(text)
                os._exit(0)
            assert inventory.load(pipe).groups["all"].variables["a"].value == int(text[-3])
            os.wait()

    def test_the_checksum_is_that_of_the_bytes(self) -> None:
        assert inventory.parse(b"all: {}").checksum == hashlib.sha256(b"all: {}").hexdigest()
