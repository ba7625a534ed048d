"""Our verifiers against PostgreSQL's own: the same password and salt must give the same text."""

from __future__ import annotations

import base64

from psycopg.sql import SQL, Literal

from pigsty.sql import scram

PASSWORDS = (
    "pencil",
    " spaces ",
    "tab\tnew\nline",
    "quote'double\"back\\slash",
    "pässword",
    "pa\u0308ssword",
    "I\u00adX",
    "\u00aa\u2168\ufb01",
    "a\u00a0b\u2003c\u3000d",
    "a\u200bb",
    "zero\u200djoiner",
    "\ufeffmark",
    "\u0627\u0628",
    "\u0627\u0031",
    "\u06271\u0628",
    "a\u0627",
    "\u05d0x\u05d0",
    "\u00e4\u0007",
    "\u00e4\u0080",
    "\u2168\U000e0001",
    "\u2168\u0221",
    "\u2168\ufffd",
    "\u2168\ue000",
    "\u2168\u2028",
    "\u2168\u200e",
    "\u2168\u2ff0",
    "\u2168\ufdd0",
    "\u00ad",
    "日本語パスワード",
    "ﾊﾟｽﾜｰﾄﾞ",
    "\U0001f600 emoji",
    "Ω\u2126",
    "\u1e9b\u0323",
    "\u03d4\u0341",
    "\u037a\u0384",
    "\U0002f868\u2f00",
    "\u0958\u2adc",
    "\ufb1d\ufb2a",
    "\ufdfa\u0628",
    "\u3164\uffa0",
    "x" * 2000,
)


def test_same_verifier_for_the_same_salt(instance):
    different = []
    for password in PASSWORDS:
        statement = SQL("CREATE ROLE probe PASSWORD {}").format(Literal(password))
        instance.query(statement)
        (found,) = instance.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'probe'")[0]
        salt = base64.b64decode(found.split(":")[1].split("$")[0])
        if scram.build(password, salt) != found:
            different.append(password)
        instance.query("DROP ROLE probe")
    assert different == []


def test_given_verifier_is_stored_as_it_is(instance):
    verifier = scram.verifier("pässword", "probe", b"k" * 32)
    instance.query(SQL("CREATE ROLE probe PASSWORD {}").format(Literal(verifier)))
    found = instance.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'probe'")
    assert found == [(verifier,)]
