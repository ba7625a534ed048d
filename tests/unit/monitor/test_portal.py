"""The portal: sub-paths, machines, services of their own, and who may pass."""

from __future__ import annotations

import pytest

from pigsty.render import htpasswd, nginx


def site(compiled, made, ip="10.1.1.1"):
    return compiled(made, ip)["infra"]["nginx"]


def location(text, path):
    """Return the lines of a location."""
    return text.split(f"location {path} {{")[1].split("\n    }")[0]


def test_what_listens_on_the_loopback_is_behind_the_portal(deployment, compiled):
    text = nginx.config(site(compiled, deployment()))
    for path, port in (("prometheus", 9090), ("alertmgr", 9059), ("blackbox", 9115)):
        assert f"proxy_pass http://127.0.0.1:{port};" in location(text, f"/{path}/")
    assert "proxy_pass http://10.1.1.3:9101/;" in location(text, "/haproxy/pg-a-2/")
    assert "auth_basic" not in text


def test_what_is_off_has_no_path(deployment, compiled):
    made = deployment(alertmanager_enabled="false", haproxy_enabled="false")
    text = nginx.config(site(compiled, made))
    assert "/alertmgr/" not in text
    assert "/haproxy/" not in text


def test_where_grafana_does_not_answer_a_page_says_why(deployment, compiled):
    text = nginx.config(site(compiled, deployment()))
    assert "error_page 502 504 =503 /portal/grafana.html;" in location(text, "/ui/")
    assert text.count("error_page") == 1, "others' errors stay their own"
    off = nginx.config(site(compiled, deployment(grafana_enabled="false")))
    assert "error_page" not in off
    assert "location /ui/" not in off


def test_users_pass_by_password_and_infra_nodes_without(deployment, compiled):
    found = site(compiled, deployment(nginx_users="{ ann: 'sec ret' }"))
    text = nginx.config(found)
    guarded = location(text, "/prometheus/")
    assert guarded.index("allow 10.1.1.4;") < guarded.index("deny all;")
    assert "satisfy any;" in guarded
    # Nodes install from here, and newcomers fetch the CA.
    assert "auth_basic" not in text.split("location /prometheus/")[0]
    known = next(file for file in nginx.files("/x", found) if file.path == nginx.USERS)
    assert (known.mode, known.group, known.secret) == ("0640", "www-data", True)
    assert "sec ret" not in known.contents
    assert known.contents.splitlines()[1].startswith("ann:$6$")


def test_without_users_there_is_no_file_of_theirs(deployment, compiled):
    found = nginx.files("/x", site(compiled, deployment()))
    assert next(file for file in found if file.path == nginx.USERS).contents is None


def test_services_have_servers_under_their_own_names(deployment, compiled):
    portal = (
        "{ home: { domain: i.example }, wiki: { domain: w.example, domains: [wiki.example],"
        ' endpoint: "10.1.1.9:8080", websocket: true },'
        " files: { domain: f.example, path: /srv/files, enforce_https: true, cert: /c, key: /k } }"
    )
    text = nginx.config(site(compiled, deployment(infra_portal=portal)))
    servers = [block for block in text.split("server {") if "server_name" in block]
    default, files_plain, files, wiki = servers
    assert "default_server" in default
    assert "server_name w.example wiki.example;" in wiki
    assert "proxy_pass http://10.1.1.9:8080;" in wiki
    assert "proxy_set_header Upgrade $http_upgrade;" in wiki
    assert "return 301 https://" in files_plain
    assert "ssl_certificate /c;" in files
    assert "root /srv/files;" in files
    assert text.count("default_server") == 2


@pytest.mark.parametrize("mode", ["disable", "enforce"])
def test_the_mode_holds_for_services_too(deployment, compiled, mode):
    portal = '{ wiki: { domain: w.example, endpoint: "10.1.1.9:8080" } }'
    made = deployment(infra_portal=portal, nginx_sslmode=mode)
    text = nginx.config(site(compiled, made))
    parts = text.split("server_name w.example;")
    if mode == "disable":
        assert "ssl" not in text
    else:
        assert len(parts) == 3
        assert "return 301" in parts[1]


@pytest.mark.parametrize(
    ("password", "salt", "wanted"),
    [
        (
            "secret",
            "abcDEF12",
            "$6$abcDEF12$ohzkr/fvCKdoQQa8UsFhnZWzvD0bTsKzRg76pPGkdtZjjXdv/L8SjasqWd6dpnpyBv86M/"
            "4/y4uAKxSi.gKUb0",
        ),
    ],
)
def test_passwords_are_hashed_as_crypt_does(password, salt, wanted):
    assert htpasswd.crypt(password, salt) == wanted


def test_a_salt_is_the_same_at_every_look_and_another_for_each_user(deployment, compiled):
    made = deployment(nginx_users="{ ann: same, bob: same }")
    users = site(compiled, made)["users"]
    assert users == site(compiled, made)["users"]
    assert users["ann"] != users["bob"]
