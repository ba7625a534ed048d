"""Masking: by the name of a key, by value wherever it stands, and by form."""

from __future__ import annotations

import pytest

from pigsty.mask import MASK, RecordingSite, mask
from pigsty.pillar.site import Site

SITE = RecordingSite(bytes(32), "")


@pytest.mark.parametrize(
    "name",
    ["password", "pg_admin_password", "secret_key", "cipher_pass", "vip_auth_pass", "private_key"],
)
def test_a_secret_name_hides_whatever_it_holds(name: str) -> None:
    assert mask({name: "x"}) == {name: MASK}
    assert mask({"list": [{name: 12345}]}) == {"list": [{name: MASK}]}


@pytest.mark.parametrize("name", ["pg_pwd_enc", "password_encryption", "key", "passage", "title"])
def test_other_names_hide_nothing(name: str) -> None:
    assert mask({name: "value"}) == {name: "value"}


def test_an_unset_password_is_shown_as_unset() -> None:
    assert mask({"password": "", "pg_dbsu_password": None}) == {
        "password": "",
        "pg_dbsu_password": None,
    }


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("Long-Secret", "host=x password=Long-Secret port=1", "host=x password=******** port=1"),
        ("a/b c@d-long", "postgres://u:a%2Fb%20c%40d-long@h/db", "postgres://u:********@h/db"),
        ("it's-a-secret", "PASSWORD 'it''s-a-secret'", "PASSWORD '********'"),
        ("pigsty", "stats auth 'admin:pigsty'", "stats auth 'admin:********'"),
        ("pigsty", "/www/pigsty is a folder", "/www/pigsty is a folder"),
        ("test", "database test, user test", "database test, user test"),
    ],
)
def test_a_secret_value_is_hidden_in_a_text(secret: str, text: str, shown: str) -> None:
    assert mask({"text": text}, [secret]) == {"text": shown}


def test_the_longer_secret_wins() -> None:
    assert mask("secret-one-and-more", ["secret-one", "secret-one-and-more"]) == MASK


def test_verifiers_and_private_keys_are_hidden_by_their_form() -> None:
    verifier = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"
    key = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    hidden = mask({"a": f'"u" "{verifier}"', "b": f"x\n{key}\ny", "c": "md5" + "0" * 32})
    assert hidden == {"a": f'"u" "{MASK}"', "b": f"x\n{MASK}\ny", "c": MASK}


def test_a_password_in_a_url_is_hidden() -> None:
    assert mask({"url": "postgres://u:pass@h:5432/db"}) == {"url": f"postgres://u:{MASK}@h:5432/db"}
    assert mask({"url": "https://10.10.10.10:443/a@b"}) == {"url": "https://10.10.10.10:443/a@b"}


def test_certificates_are_public() -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"
    assert mask({"ca": certificate}) == {"ca": certificate}


def test_a_recording_site_derives_the_same_and_remembers() -> None:
    secret = SITE.secret("pg-test", "x")
    assert secret == Site(bytes(32), "").secret("pg-test", "x")
    assert secret in SITE.issued
    assert secret not in repr(SITE)
