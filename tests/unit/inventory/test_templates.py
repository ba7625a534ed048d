"""``{{ … }}`` and ``${…}`` in an inventory: what they become, lazily, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pigsty import inventory, topology
from pigsty.errors import TemplateError
from pigsty.template import render
from pigsty.variables import HostVars

IP = "10.0.0.1"
FACTS: dict[str, Any] = {
    "number": 7, "text": "Hello", "flag": True, "items": [1, 2, 3], "map": {"a": 1, "b": 2},
    "nothing": None, "net": "10.1.2.3/24", "name": "pg-test-1",
}  # fmt: skip


def of(text: str) -> Any:
    """Render one template over the facts."""
    return render(text, FACTS.__getitem__)


def host(variables: str, ip: str = IP, more: str = "") -> HostVars:
    """Return the variables of a host of an inventory."""
    text = f"all:\n  vars: {{{variables}}}\n  hosts: {{{IP}: , 10.0.0.2: {{who: two}}}}\n{more}"
    return topology.build(inventory.parse(text.encode())).nodes[ip].vars


class TestResults:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            # a single expression keeps its type
            ("{{ number }}", 7),
            ("{{ items }}", [1, 2, 3]),
            ("{{ map }}", {"a": 1, "b": 2}),
            ("{{ flag }}", True),
            ("{{ nothing }}", None),
            ("{{ none }}", None),
            ("{{ 5 }}", 5),
            ("{{ '3.10' }}", "3.10"),
            ("{{ '010' }}", "010"),
            ("{{ [1, 'a'] }}", [1, "a"]),
            ("{{ (1, 2) }}", [1, 2]),
            # anything around it makes it text
            ("{{ number }}{{ number }}", "77"),
            ("n={{ number }}", "n=7"),
            ("{% for i in items %}{{ i }},{% endfor %}", "1,2,3,"),
            ("{% if flag %}yes{% else %}no{% endif %}", "yes"),
            ("{{ text ~ '-' ~ number }}", "Hello-7"),
            ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
            # the filters of Ansible that inventories use
            ("{{ unknown | default('x') }}", "x"),
            ("{{ '' | default('x', true) }}", "x"),
            ("{{ flag | ternary('on', 'off') }}", "on"),
            ("{{ 'yes' | bool }}", True),
            ("{{ 'no' | bool }}", False),
            ("{{ '7' | int + 1 }}", 8),
            ("{{ number | string }}", "7"),
            ("{{ name | regex_replace('-[0-9]+$', '') }}", "pg-test"),
            ("{{ name | regex_search('[0-9]+') }}", "1"),
            ("{{ name | regex_findall('[a-z]+') }}", ["pg", "test"]),
            ("{{ net | ipaddr('address') }}", "10.1.2.3"),
            ("{{ net | ipaddr('network') }}", "10.1.2.0"),
            ("{{ net | ipaddr('prefix') }}", 24),
            ("{{ net | ipaddr('1') }}", "10.1.2.1/24"),
            ("{{ 'x' | ipaddr }}", False),
            ("{{ map | to_json }}", '{"a": 1, "b": 2}'),
            ("{{ '[1, 2]' | from_json }}", [1, 2]),
            ("{{ items | join('-') }}", "1-2-3"),
            ("{{ text | lower }}", "hello"),
            ("{{ text | upper }}", "HELLO"),
            ("{{ text | replace('l', 'L') }}", "HeLLo"),
            ("{{ text.replace('l', 'L') }}", "HeLLo"),
            ("{{ map | combine({'b': 3}) }}", {"a": 1, "b": 3}),
            ("{{ map | combine({'b': {'c': 1}}, recursive=true) }}", {"a": 1, "b": {"c": 1}}),
            ("{{ map | dict2items }}", [{"key": "a", "value": 1}, {"key": "b", "value": 2}]),
            ("{{ map | dict2items | items2dict }}", {"a": 1, "b": 2}),
            ("{{ 'a' | hash('sha256') | length }}", 64),
            ("{{ 'a' | b64encode }}", "YQ=="),
            ("{{ 'YQ==' | b64decode }}", "a"),
            ("{{ [[1], [2, [3]]] | flatten }}", [1, 2, 3]),
            ("{{ items | union([4]) | difference([1]) }}", [2, 3, 4]),
            ("{{ items | intersect([3, 9]) }}", [3]),
            ("{{ items | reject('equalto', 2) | list }}", [1, 3]),
            ("{{ items | map('string') | list }}", ["1", "2", "3"]),
            ("{{ '/a/b.c' | basename }}", "b.c"),
            ("{{ 'a b' | quote }}", "'a b'"),
            ("{{ map | json_query('a') }}", 1),
            ("{{ name is match('pg-') and name is search('test') }}", True),
            ("{{ range(3) | list }}", [0, 1, 2]),
        ],
    )
    def test_expression(self, text: str, value: Any) -> None:
        result = of(text)
        assert result == value
        assert type(result) is type(value)

    def test_templates_within_lists_and_mappings(self) -> None:
        assert of("x") == "x"
        value = {"{{ name }}": ["{{ number }}", {"k": "a{{ number }}"}], "plain": 1}
        assert render(value, FACTS.__getitem__) == {"pg-test-1": [7, {"k": "a7"}], "plain": 1}

    def test_values_are_not_changed_by_templates(self) -> None:
        with pytest.raises(TemplateError, match="append"):
            of("{{ items.append(4) }}")
        assert FACTS["items"] == [1, 2, 3]


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{{ unknown }}", "'unknown' is undefined"),
            ("{{ map.zz.y }}", "has no attribute 'zz'"),
            ("{{ x", "unexpected end"),
            ("{{ text | nofilter }}", "nofilter"),
            ("{{ items | random }}", "random is not available"),
            ("{{ 'a' | password_hash }}", "password_hash is not available"),
            ("{{ lookup('env', 'HOME') }}", "lookup is not available"),
            ("{{ query('file', '/etc/passwd') }}", "query is not available"),
            ("{% include '/etc/passwd' %}", "no loader"),
            ("{{ ''.__class__.__mro__ }}", "unsafe"),
            ("{{ text.__init__.__globals__ }}", "unsafe"),
            ("{{ 1 / 0 }}", "division by zero"),
            ("{{ '{:>9}'.format(1) }}", "the method format is not available"),
            ("{{ '{a:>9}'.format_map(map) }}", "the method format_map is not available"),
            ("{{ 'a' | regex_replace('(', '') }}", "bad regular expression"),
            ("{{ map | json_query('[') }}", "bad JMESPath"),
            ("{{ items | mandatory and zz | mandatory }}", "mandatory"),
        ],
    )
    def test_with_a_reason(self, text: str, words: str) -> None:
        with pytest.raises(TemplateError) as caught:
            render(text, FACTS.__getitem__, "all.vars.x", 12)
        assert words in str(caught.value)
        assert (caught.value.path, caught.value.line) == ("all.vars.x", 12)

    @pytest.mark.parametrize(
        "text",
        [
            "{{ range(10**9) | list }}",
            "{{ range(10**30) | list }}",
            "{{ range(10**6, 0, -1) | list }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% for a in 'x' * 99999 %}{% for b in 'x' * 99999 %}{% endfor %}{% endfor %}",
            "{{ 'a' * 10**9 }}",
            "{{ [0] * 10**9 }}",
            "{{ 10 ** (10 ** 9) }}",
            "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x=n.x*n.x %}{% endfor %}",
            "{% set n = namespace(x='a') %}{% for i in items*9 %}{% set n.x=n.x~n.x %}{% endfor %}",
            "{% set n = namespace(x='a') %}{% for i in items*9 %}{% set n.x=n.x+n.x %}{% endfor %}",
            "{{ 'a' | center(10**9) }}",
            "{{ 'a'.ljust(10**9) }}",
            "{{ '%1000000000d' % 1 }}",
            "{{ '{:>1000000000}'.format(1) }}",
            "{{ (1).to_bytes(10**9, 'big') }}",
            "{{ ('a' * 10**6) | replace('a', 'a' * 10**6) }}",
            "{{ ('a' * 10**6).replace('a', 'a' * 10**6) }}",
            "{{ ('a' * 10**6).join('b' * 10**5) }}",
            "{{ [1] | batch(10**9, 1) | list }}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        ],
    )
    def test_what_would_exhaust_the_machine(self, text: str) -> None:
        start = time.process_time()
        with pytest.raises(TemplateError):
            of(text)
        assert time.process_time() - start < 2


class TestVariables:
    def test_names_of_other_variables(self) -> None:
        found = host("a: 'x{{ b }}', b: '{{ c }}', c: 5")
        assert (found["a"], found["b"]) == ("x5", 5)

    def test_defaults_of_the_catalogue_count(self) -> None:
        assert host("a: 'v{{ pg_version }}'")["a"] == "v17"

    def test_the_result_has_the_declared_type(self) -> None:
        found = host(
            "v: 16, pg_version: '{{ v }}', pg_port: '{{ 5000 + 432 }}x', pg_cluster: '{{ v }}'"
        )
        assert found["pg_version"] == 16
        assert found["pg_port"] == "5432x"
        assert found["pg_cluster"] == "16"
        assert host("pg_seq: 'x', pg_version: '1{{ 6 }}'")["pg_version"] == 16
        assert host("w: false, patroni_watchdog_mode: '{{ w }}'")["patroni_watchdog_mode"] == "off"
        assert host("pg_rto: '{{ 15 * 2 }}'")["pg_rto"] == "norm"

    def test_the_host_its_groups_and_other_hosts(self) -> None:
        more = "  children: {g: {hosts: {10.0.0.1: }}}\n"
        text = (
            "a: '{{ inventory_hostname }}', b: \"{{ groups['all'] | length }}\","
            " c: '{{ group_names }}', d: \"{{ hostvars['10.0.0.2'].who }}\","
            " e: \"{{ hostvars[groups['g'][0]].pg_port }}\""
        )
        found = host(text, more=more)
        assert [found[n] for n in "abcde"] == [IP, 2, ["g"], "two", 5432]

    def test_the_systems_own_defaults(self) -> None:
        found = host("node_default_packages: \"{{ node_packages_default + ['x'] }}\"")
        assert found["node_default_packages"] == ["node-main", "x"]

    def test_former_names_within_templates(self) -> None:
        assert host("pg_fs_backup: /b, x: '{{ pg_fs_bkup }}'")["x"] == "/b"

    @pytest.mark.parametrize(
        ("variables", "cycle"),
        [
            ("a: '{{ a }}'", "a → a"),
            ("a: '{{ b }}', b: '{{ c }}', c: '{{ a }}'", "a → b → c → a"),
            ("a: \"{{ hostvars['10.0.0.2'].a }}\"", "a → a"),
            ("admin_ip: '${admin_ip}'", "admin_ip → admin_ip"),
        ],
    )
    def test_a_cycle_is_named(self, variables: str, cycle: str) -> None:
        found = host(variables)
        with pytest.raises(TemplateError) as caught:
            found[variables.partition(":")[0]]
        assert cycle in str(caught.value)
        assert caught.value.line == 2

    def test_nothing_is_rendered_before_somebody_looks(self) -> None:
        found = host("bad: '{{ nowhere }}', good: 1")
        assert (found["good"], "bad" in found, len(found) > 300) == (1, True, True)
        with pytest.raises(TemplateError):
            found["bad"]

    def test_a_value_is_rendered_once(self) -> None:
        found = host("a: '{{ [1, 2] }}'")
        assert found["a"] is found["a"]

    def test_values_are_not_shown_by_accident(self) -> None:
        assert "hunter2" not in repr(host("pg_admin_password: hunter2"))


class TestTokens:
    @pytest.mark.parametrize(
        ("variables", "name", "value"),
        [
            ("node_dns_servers: ['${admin_ip}']", "node_dns_servers", ["10.9.9.9"]),
            ("own: {a: ['x ${admin_ip} y']}", "own", {"a": ["x 10.9.9.9 y"]}),
            ("pg_version: 16, pg_packages: ['postgresql-${pg_version} x']", "pg_packages",
             ["postgresql-16 x"]),
            ("pg_cluster: c, pgbackrest_repo: {m: {path: '/x/${pg_cluster}'}}", "pgbackrest_repo",
             {"m": {"path": "/x/c"}}),
            ("minio_cluster: m, minio_seq: 2", "minio_node", "m-2.pigsty"),
            ("pg_listen: '${ip},${lo}'", "pg_listen", "10.0.0.1,127.0.0.1"),
            ("pg_listen: '${ip}, ${vip}'", "pg_listen", "10.0.0.1"),
            ("pg_listen: '${ip},${vip}', pg_vip_enabled: true, pg_vip_address: 10.0.0.9/24",
             "pg_listen", "10.0.0.1,10.0.0.9"),
            ("pg_listen: '${ip},${vip}', pg_vip_enabled: true, pg_vip_address: 127.0.0.1/24",
             "pg_listen", "10.0.0.1"),
            ("pg_admin_username: boss, pg_hba_rules: [{user: '${admin}', addr: world, auth: ssl}]",
             "pg_hba_rules", [{"user": "boss", "addr": "world", "auth": "ssl"}]),
            # a token that is a part of a user's name, or in another place, is somebody else's
            ("pg_hba_rules: [{user: 'x${admin}', db: '${dbsu}', addr: world, auth: ssl}]",
             "pg_hba_rules",
             [{"user": "x${admin}", "db": "${dbsu}", "addr": "world", "auth": "ssl"}]),
            ("node_crontab: ['* * * * * root echo ${HOME} ${ip}']", "node_crontab",
             ["* * * * * root echo ${HOME} ${ip}"]),
        ],
    )  # fmt: skip
    def test_are_replaced_where_pigsty_replaces_them(
        self, variables: str, name: str, value: Any
    ) -> None:
        assert host(f"admin_ip: 10.9.9.9, {variables}")[name] == value

    def test_the_admin_node_is_the_first_infra_node_when_nobody_says(self) -> None:
        found = host(
            "a: '${admin_ip}'", more="  children: {infra: {hosts: {10.0.0.2: {infra_seq: 1}}}}\n"
        )
        assert (found["a"], found["admin_ip"]) == ("10.0.0.2", "10.0.0.2")

    def test_the_default_rules_name_the_configured_users(self) -> None:
        found = host("pg_dbsu: pgboss, pg_replication_username: repl")
        assert [rule["user"] for rule in found["pg_default_hba_rules"]][:3] == [
            "pgboss",
            "pgboss",
            "repl",
        ]
