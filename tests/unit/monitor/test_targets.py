"""What Prometheus is told to look at."""

from __future__ import annotations

import yaml

from pigsty.render import targets


def read(text):
    return yaml.safe_load(text)


def test_the_layout_is_the_known_one(deployment):
    assert sorted(targets.files(deployment())) == [
        "etcd/etcd-1.yml",
        "node/10.1.1.1.yml",
        "node/10.1.1.2.yml",
        "node/10.1.1.3.yml",
        "node/10.1.1.4.yml",
        "patroni/pg-a-1.yml",
        "patroni/pg-a-2.yml",
        "pgrds/rds.yml",
        "pgsql/pg-a-1.yml",
        "pgsql/pg-a-2.yml",
        "ping/10.1.1.1.yml",
        "ping/10.1.1.2.yml",
        "ping/10.1.1.3.yml",
        "ping/10.1.1.4.yml",
        "salt/10.1.1.1.yml",
    ]


def test_a_member_has_a_block_for_each_program(deployment):
    blocks = read(targets.files(deployment())["pgsql/pg-a-2.yml"])
    assert {block["labels"]["component"]: block["targets"] for block in blocks} == {
        "postgres": ["10.1.1.3:9630"],
        "pgbouncer": ["10.1.1.3:9631"],
        "pgbackrest": ["10.1.1.3:9854"],
    }
    for block in blocks:
        assert block["labels"].items() >= {"cls": "pg-a", "ins": "pg-a-2", "ip": "10.1.1.3"}.items()


def test_patroni_stands_with_the_others_where_it_speaks_plain_http(deployment):
    found = targets.files(deployment(patroni_ssl_enabled="false"))
    assert "patroni/pg-a-1.yml" not in found
    parts = [block["labels"]["component"] for block in read(found["pgsql/pg-a-1.yml"])]
    assert parts == ["postgres", "pgbouncer", "pgbackrest", "patroni"]


def test_what_is_off_is_no_target(deployment):
    made = deployment(
        pg_exporter_enabled="false",
        pgbouncer_exporter_enabled="false",
        pgbackrest_exporter_enabled="false",
        node_exporter_enabled="false",
        haproxy_enabled="false",
    )
    found = targets.files(made)
    assert not [path for path in found if path.startswith(("pgsql/", "node/"))]


def test_a_floating_address_is_pinged_from_each_of_its_nodes(deployment):
    made = deployment(pg_vip_enabled="true", pg_vip_address="10.1.1.9/24")
    (block,) = read(targets.files(made)["ping/10.1.1.9---10.1.1.2.yml"])
    assert block["targets"] == ["10.1.1.9"]
    assert block["labels"]["job"] == "pgsql-vip"
    assert block["labels"]["vip"] == "10.1.1.9"


def test_a_watched_server_is_asked_at_the_node_that_watches_it(deployment):
    (block,) = read(targets.files(deployment())["pgrds/rds.yml"])
    assert block["targets"] == ["10.1.1.1:20001"]
    assert block["labels"]["ins"] == "rds-1"
    assert block["labels"]["target"] == "192.0.2.9:5432"


def test_an_infra_node_asks_itself_at_the_loopback_and_others_at_their_portal(deployment):
    found = targets.infra_files(deployment(), "10.1.1.1")
    own, other = (read(found[f"infra/infra-{number}.yml"]) for number in (1, 2))
    assert [block["targets"] for block in own] == [
        ["127.0.0.1:9090"],
        ["127.0.0.1:9059"],
        ["127.0.0.1:9115"],
        ["127.0.0.1:9091"],
        ["10.1.1.1:9113"],
    ]
    assert other[0]["targets"] == ["10.1.1.4:443"]
    assert other[0]["labels"]["__scheme__"] == "https"
    assert other[0]["labels"]["__metrics_path__"] == "/prometheus/metrics"
    assert other[0]["labels"]["ins"] == "prometheus-2"


def test_the_declared_number_of_targets_is_that_of_the_files(deployment):
    made = deployment()
    counted: dict[str, int] = {}
    for path, text in {**targets.files(made), **targets.infra_files(made, "10.1.1.1")}.items():
        for block in read(text):
            job = block["labels"].get("job", path.partition("/")[0])
            counted[job] = counted.get(job, 0) + len(block["targets"])
    assert targets.counts(made, "10.1.1.1") == counted
    assert 'pigsty_targets{target_job="pgsql"} 6\n' in targets.metrics(counted)


def test_the_folders_are_those_of_the_jobs(deployment):
    made = deployment()
    paths = [*targets.files(made), *targets.infra_files(made, "10.1.1.1")]
    assert {path.partition("/")[0] for path in paths} == set(targets.JOBS)
