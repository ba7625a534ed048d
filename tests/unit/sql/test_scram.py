"""Verifiers: the vector of RFC 7677, determinism, SASLprep, and what passes through unchanged."""

from __future__ import annotations

import base64
import time

import pytest

from pigsty.sql import scram

KEY = b"k" * 32
# The exchange of RFC 7677 §3 (user "user", password "pencil") gives these keys for this salt.
RFC_7677 = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_known_vector():
    assert scram.build("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")) == RFC_7677


def test_same_input_same_verifier():
    scram.verifier.cache_clear()
    first = scram.verifier("DBUser.Meta", "dbuser_meta", KEY)
    scram.verifier.cache_clear()
    assert scram.verifier("DBUser.Meta", "dbuser_meta", KEY) == first
    assert scram.is_hashed(first)


@pytest.mark.parametrize(
    ("password", "user", "key"),
    [("other", "u", KEY), ("p", "other", KEY), ("p", "u", b"x" * 32)],
)
def test_salt_depends_on_all_three(password, user, key):
    salt = scram.verifier("p", "u", KEY).split("$")[1]
    assert scram.verifier(password, user, key).split("$")[1] != salt


def test_user_and_password_do_not_run_together():
    salts = {scram.verifier(p, u, KEY).split("$")[1] for p, u in (("bc", "a"), ("c", "ab"))}
    assert len(salts) == 2


@pytest.mark.parametrize("hashed", [RFC_7677, "md5" + "0af" * 10 + "12"])
@pytest.mark.parametrize("method", ["scram-sha-256", "md5"])
def test_hashed_password_is_kept(hashed, method):
    assert scram.verifier(hashed, "user", KEY, method) == hashed


@pytest.mark.parametrize(
    "plain",
    [
        "md5",
        "md5 of something",
        "md5" + "g" * 32,
        "md5" + "A" * 32,
        "SCRAM-SHA-256$4096:short",
        RFC_7677 + "\n",
        RFC_7677[:-1],
        RFC_7677.replace("4096", "0"),
    ],
)
def test_what_only_looks_hashed_is_hashed(plain):
    assert not scram.is_hashed(plain)
    assert scram.verifier(plain, "user", KEY) != plain


def test_md5():
    # printf secretjoe | md5sum
    assert scram.verifier("secret", "joe", KEY, "md5") == "md5c59ec932d911ffdf487595b5a2adf973"


def test_empty_password_is_refused():
    with pytest.raises(ValueError, match="empty"):
        scram.verifier("", "joe", KEY)


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("pencil", "pencil"),
        ("tab\tand\x7fcontrol stay in ascii", "tab\tand\x7fcontrol stay in ascii"),
        ("I\u00adX", "IX"),  # soft hyphen maps to nothing (RFC 4013 §3)
        ("\u00aa", "a"),  # NFKC (RFC 4013 §3)
        ("\u2168", "IX"),  # roman numeral nine (RFC 4013 §3)
        ("a\u00a0b", "a b"),  # no-break space maps to space
        ("a\u200bb", "a b"),  # in both tables: mapped to space, which is looked at first
        ("pässword", "pässword"),
        ("pa\u0308ssword", "pässword"),
        ("\u0627\u0031", "\u0627\u0031"),  # bidi broken (RFC 4013 §3): raw
        ("\u06271\u0628", "\u06271\u0628"),
        ("a\u0627", "a\u0627"),  # left and right mixed: raw
        ("\u00e4\u0007\u2168", "\u00e4\u0007\u2168"),  # control character: raw, not normalised
        ("\u2168\U000e0001", "\u2168\U000e0001"),  # tagging character: raw
        ("\u2168\u0221", "\u2168\u0221"),  # unassigned in Unicode 3.2: raw
        ("\u00ad", "\u00ad"),  # nothing left: raw
        ("\u2168\u0341", "\u2168\u0341"),  # prohibited, although it normalises to another: raw
    ],
)
def test_saslprep(given, prepared):
    assert scram.saslprep(given) == prepared.encode()


def test_cached():
    scram.verifier("warm", "up", KEY)
    begin = time.perf_counter()
    for _ in range(1000):
        scram.verifier("warm", "up", KEY)
    assert time.perf_counter() - begin < 0.05
