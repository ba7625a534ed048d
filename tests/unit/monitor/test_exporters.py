"""What publishes a node's metrics: pillar to units, without a secret in a command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from pigsty.render import exporters, queries, targets
from pigsty.render.daemon import command


def units(compiled, made, ip, present=()):
    spec = compiled(made, ip)["node"]["monitor"]
    return {daemon.unit: daemon for daemon in exporters.daemons(spec, present)}


def drop_in(daemon):
    return next(file.contents for file in daemon.files if file.path.endswith("pigsty.conf"))


def test_a_member_publishes_all_of_its_programs(deployment, compiled):
    found = units(compiled, deployment(), "10.1.1.2")
    assert sorted(found) == [
        "prometheus-node-exporter.service",
        "prometheus-pgbackrest-exporter.service",
        "prometheus-pgbouncer-exporter.service",
        "prometheus-postgres-exporter.service",
    ]
    for daemon in found.values():
        assert "listen-address=10.1.1.2:" in drop_in(daemon)


def test_what_is_off_is_stopped_and_what_was_never_there_stays_away(deployment, compiled):
    made = deployment(pg_exporter_enabled="false", node_exporter_enabled="false")
    found = units(compiled, made, "10.1.1.2")
    assert not found["prometheus-postgres-exporter.service"].running
    assert not found["prometheus-node-exporter.service"].running
    assert "prometheus-nginx-exporter.service" not in found


def test_no_secret_is_in_a_file_that_others_read(deployment, compiled):
    made = deployment(
        pg_monitor_password="'to%ken @1'",
        pgbouncer_exporter_url="'postgresql://watch:other-token@10.1.1.2:6432/pgbouncer'",
    )
    for daemon in units(compiled, made, "10.1.1.2").values():
        for file in daemon.files:
            text = file.contents or ""
            if "token" in text or "to%25ken%20%401" in text:
                assert (file.mode, file.user, file.secret) == ("0600", "root", True), file.path
    found = units(compiled, made, "10.1.1.2")["prometheus-postgres-exporter.service"]
    connection = next(file for file in found.files if file.path.endswith("postgres.env"))
    # A comma would part two connections.
    assert "dbuser_monitor:to%25ken%20%401@127.0.0.1:5432/postgres?" in connection.contents
    assert "," not in connection.contents.splitlines()[-1]
    pooler = units(compiled, made, "10.1.1.2")["prometheus-pgbouncer-exporter.service"]
    assert "postgresql://watch@10.1.1.2:6432/pgbouncer" in drop_in(pooler)


def test_the_pooler_is_asked_as_the_superuser_by_its_socket(deployment, compiled):
    found = units(compiled, deployment(), "10.1.1.2")["prometheus-pgbouncer-exporter.service"]
    text = drop_in(found)
    assert "User=postgres" in text
    assert "postgresql:///pgbouncer?host=/var/run/postgresql&port=6432&user=postgres" in text


def test_a_watched_server_has_a_unit_of_its_own_until_it_is_watched_no_more(deployment, compiled):
    made = deployment()
    found = units(compiled, made, "10.1.1.1", ("pg_exporter_gone-1.service",))
    own = found["pg_exporter_rds-1.service"]
    assert [file.path for file in own.files] == [
        "/etc/systemd/system/pg_exporter_rds-1.service",
        "/etc/prometheus/pg_exporter_rds-1.env",
        "/etc/prometheus/pg_queries_remote.yml",
    ]
    assert ":far@192.0.2.9:5432/postgres" in own.files[1].contents
    assert not found["pg_exporter_gone-1.service"].running


@pytest.mark.parametrize(
    ("option", "word"),
    [("a b", '"a b"'), ("100%", "100%%"), ("$HOME", "$$HOME"), ('say "x"', '"say \\"x\\""')],
)
def test_options_reach_the_program_as_they_are(option, word):
    assert command("/bin/x", option) == ("ExecStart=", f"ExecStart=/bin/x {word}")


def test_the_end_of_certificates_is_a_metric():
    end = datetime(2027, 1, 1, tzinfo=UTC)
    text = exporters.certificates({("pgsql", "/pg/cert/server.crt"): end})
    row = 'pigsty_certificate_end{role="pgsql",path="/pg/cert/server.crt"} 1798761600\n'
    assert text.endswith(row)
    assert exporters.certificates({}) is None


def test_queries_fit_the_version_and_have_each_name_once():
    for version in (None, 14, 16, 17, 18):
        body = yaml.safe_load(queries.text(version))
        assert ("pg_checkpoint" in body) is (version is not None)
        names = [query.name for query in queries.ALL if query.fits(version)]
        assert len(names) == len(set(names))
    assert "pg_stat_checkpointer" in queries.text(17)
    assert "pg_stat_checkpointer" not in queries.text(16)


@pytest.mark.parametrize("query", queries.ALL, ids=lambda query: f"{query.name}-{query.since}")
def test_a_query_names_every_column_that_it_declares(query):
    columns = [*query.labels, *(name for name, _said in (*query.gauges, *query.counters))]
    assert len(columns) == len(set(columns))
    for column in columns:
        assert column in query.sql, column
    # What is asked in every database says of which it speaks.
    assert query.once or "current_database() AS datname" in query.sql
    assert ";" not in query.sql


def test_certificates_that_people_bring_for_the_portal_are_watched(deployment, compiled):
    made = deployment(
        infra_portal="{ home: { domain: h.p }, wiki: { domain: w.p, endpoint: '10.1.1.9:80',"
        " cert: /etc/wiki.crt, key: /etc/wiki.key } }"
    )
    known = {ip: compiled(made, ip)["node"]["monitor"]["certificates"] for ip in made.nodes}
    assert known["10.1.1.1"]["portal wiki"] == "/etc/wiki.crt"
    assert not [role for role in known["10.1.1.2"] if role.startswith("portal")]


def test_only_where_no_infra_node_is_its_programs_stop(deployment, compiled):
    made = deployment()
    idle = {ip: compiled(made, ip)["node"]["monitor"]["idle"] for ip in ("10.1.1.1", "10.1.1.2")}
    assert idle["10.1.1.1"] == []
    assert {
        "prometheus.service",
        "prometheus-nginx-exporter.service",
        "grafana-server.service",
    } <= set(idle["10.1.1.2"])


def test_exporters_answer_only_to_who_shows_a_certificate_of_ours(deployment, compiled):
    monitor = compiled(deployment(), "10.1.1.2")["node"]["monitor"]
    assert monitor["tls"]
    for daemon in exporters.daemons(monitor):
        assert f"--web.config.file={exporters.WEB}" in daemon.restart[0].contents
    told = exporters.web(True).contents
    assert '"client_auth_type": "RequireAndVerifyClientCert"' in told
    assert exporters.KEY in told
    # PgBouncer's and pgBackRest's run as the database's superuser, who isn't the key's owner.
    readers = [d.unit for d in exporters.daemons(monitor)
               if "SupplementaryGroups=prometheus" in d.restart[0].contents]  # fmt: skip
    assert len(readers) == 2


def test_plain_http_where_the_inventory_wants_it(deployment, compiled):
    made = deployment(exporter_tls="false")
    monitor = compiled(made, "10.1.1.2")["node"]["monitor"]
    assert not monitor["tls"]
    assert all("web.config" not in d.restart[0].contents for d in exporters.daemons(monitor))
    assert exporters.web(False).contents is None
    assert "__scheme__" not in "".join(targets.files(made).values())


def test_a_node_without_exporters_needs_no_certificate_for_them(deployment, compiled):
    programs = ("node", "pg", "pgbouncer", "pgbackrest")
    off = {f"{name}_exporter_enabled": "false" for name in programs}
    made = deployment(**off)
    assert not compiled(made, "10.1.1.2")["node"]["monitor"]["tls"]
    assert compiled(made, "10.1.1.1")["node"]["monitor"]["tls"], "it watches a server elsewhere"


def test_haproxy_and_patroni_are_asked_as_ever(deployment):
    blocks = yaml.safe_load(targets.files(deployment())["node/10.1.1.2.yml"])
    schemes = {b["labels"]["component"]: b["labels"].get("__scheme__") for b in blocks}
    assert schemes == {"node": "https", "haproxy": None}
    plain = yaml.safe_load(
        targets.files(deployment(patroni_ssl_enabled="false"))["pgsql/pg-a-1.yml"]
    )
    assert {b["labels"]["component"] for b in plain if "__scheme__" not in b["labels"]} == {
        "patroni"
    }
