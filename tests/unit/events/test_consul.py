"""What Consul's answers mean: differences of two answers, and addresses."""

from __future__ import annotations

import pytest

from pigsty.clients.consul import Address, ConsulError, ConsulStore, differences, parse_url


def test_what_is_gone_comes_before_what_is_new() -> None:
    old = {"/pg/a/leader": "a-1", "/pg/a/status": "1", "/pg/a/members/a-1": "{}"}
    new = {"/pg/a/leader": "a-2", "/pg/a/status": "1", "/pg/a/members/a-2": "{}"}
    assert differences(old, new) == [
        ("/pg/a/members/a-1", None),
        ("/pg/a/leader", "a-2"),
        ("/pg/a/members/a-2", "{}"),
    ]


def test_the_same_answer_twice_is_no_difference() -> None:
    assert differences({"/pg/a/leader": "a-1"}, {"/pg/a/leader": "a-1"}) == []


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://127.0.0.1:8500", ("http", "127.0.0.1", 8500)),
        ("https://consul.example/", ("https", "consul.example", 8500)),
        ("http://[::1]:8501", ("http", "::1", 8501)),
    ],
)
def test_an_address(url: str, parts: tuple[str, str, int]) -> None:
    assert parse_url(url) == parts


@pytest.mark.parametrize(
    "url",
    ["", "consul:8500", "ftp://consul:8500", "http://:8500", "http://consul:x", "http://c/v1/kv"],
)
def test_what_is_no_address_says_what_would_be_right(url: str) -> None:
    with pytest.raises(ConsulError, match="pg_consul_url"):
        parse_url(url)


def test_a_bad_address_is_told_when_the_store_is_asked() -> None:
    with pytest.raises(ConsulError, match="expected http://HOST:PORT"):
        ConsulStore(Address("consul:8500")).read("/pg/")
