"""The keys that the Salt master has."""

from __future__ import annotations

from pathlib import Path

from salt.utils.crypt import pem_finger

from pigsty.clients import keys
from pigsty_cli.bootstrap import keys as own


def test_keys_are_read_with_their_states(tmp_path: Path) -> None:
    for folder, name in (("minions", "b"), ("minions_denied", "b"), ("minions_pre", "a")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(f"-----BEGIN\n{folder}\n-----END\n")
    (tmp_path / "minions" / ".half").write_text("x")
    found = keys.read(tmp_path)
    assert [(key.id, key.state) for key in found] == [
        ("a", "pending"),
        ("b", "accepted"),
        ("b", "denied"),
    ]
    assert len({key.fingerprint for key in found}) == 3
    assert keys.read(tmp_path / "nowhere") == ()


def test_the_fingerprint_is_that_of_salt_key(tmp_path: Path) -> None:
    public = own.public_of(own.generate()).decode()
    path = tmp_path / "key"
    path.write_text(public)
    assert keys.fingerprint(public) == pem_finger(str(path))
