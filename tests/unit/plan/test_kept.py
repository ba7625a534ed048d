"""What is kept is secret, complete, and gone when nobody needs it; the last good one is served."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from editions import SANDBOX, cluster, edited, site

from pigsty import kept as module
from pigsty import topology
from pigsty.errors import PillarError
from pigsty.kept import Basis, Kept
from pigsty.rotation import Rotation


def test_a_basis_comes_back_as_it_was(kept: Kept) -> None:
    basis = edited(own=site(rotation=Rotation({("all", "x"): 3}), old_ca="OLD",
                            operator_keys=("ssh-ed25519 AAAA me",)))  # fmt: skip
    kept.save(basis)
    found = kept.load(basis.id, basis.site.key)
    assert found is not None
    assert (found.id, found.site, found.text) == (basis.id, basis.site, basis.text)
    assert found.topology.inventory.hosts == basis.topology.inventory.hosts


def test_another_key_makes_other_pillars_of_the_same_text(kept: Kept) -> None:
    basis = edited()
    kept.save(basis)
    assert kept.load(basis.id, b"o" * 32) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"around": {}, "text": "all: {}"}'])
def test_a_damaged_basis_counts_as_none(kept: Kept, tmp_path: Path, damage: str) -> None:
    basis = edited()
    kept.save(basis)
    (tmp_path / "inventory" / f"{basis.id}.json").write_text(damage)
    assert kept.load(basis.id, basis.site.key) is None
    assert kept.load("../../etc/passwd", basis.site.key) is None


def test_nobody_else_may_read_it_and_the_key_is_not_in_it(kept: Kept, tmp_path: Path) -> None:
    kept.save(edited())
    kept.keep_good(b"all: {}")
    folder = tmp_path / "inventory"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    for path in folder.iterdir():
        assert b"kkkkkkkk" not in path.read_bytes()


def test_what_no_host_needs_is_forgotten_and_the_good_one_stays(kept: Kept, tmp_path: Path) -> None:
    first, second = edited(), edited(lambda data: cluster(data)["vars"].update(pg_rto="fast"))
    for basis in (first, second):
        kept.save(basis)
    kept.keep_good(b"all: {}")
    kept.prune([second.id])
    names = {path.name for path in (tmp_path / "inventory").iterdir()}
    assert names == {f"{second.id}.json", "good.yml"}


def test_every_input_of_a_pillar_makes_another_id() -> None:
    ids = {
        edited(own=own).id
        for own in (
            site(),
            site(rotation=Rotation({("all", "x"): 2})),
            site(next_ca="N"),
            site(old_ca="O"),
            site(operator_keys=("ssh-rsa A",)),
        )
    }
    assert len(ids) == 5
    assert edited().id == edited().id


def test_a_file_that_is_another_one_by_now_is_no_basis(tmp_path: Path) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_bytes(SANDBOX.read_bytes())
    found = topology.load(file)
    basis = Basis.now(found, site())
    assert basis is not None
    assert basis.id == edited().id, "wherever the file is"
    file.write_bytes(SANDBOX.read_bytes() + b"# more\n")
    assert Basis.now(found, site()) is None
    file.unlink()
    assert Basis.now(found, site()) is None


# -- the last good one ---------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "pigsty.yml"
    found.write_bytes(SANDBOX.read_bytes())
    return found


def test_a_good_inventory_is_served_as_it_is(file: Path, kept: Kept) -> None:
    served = module.serving(file, kept.good)
    assert served.trouble == ""
    assert served.topology.inventory.file == str(file)


def test_while_the_file_has_errors_the_last_good_one_is_served(file: Path, kept: Kept) -> None:
    kept.keep_good(file.read_bytes())
    before = module.serving(file, kept.good).topology.inventory.checksum
    file.write_text("all: [")
    served = module.serving(file, kept.good)
    assert served.topology.inventory.checksum == before
    assert str(file) in served.trouble and "pigsty validate" in served.trouble


def test_a_file_that_is_gone_is_a_file_with_errors(file: Path, kept: Kept) -> None:
    kept.keep_good(file.read_bytes())
    file.unlink()
    assert "can't read" in module.serving(file, kept.good).trouble


def test_without_a_good_one_a_bad_one_is_refused(file: Path, kept: Kept) -> None:
    file.write_text("all: [")
    for good in (None, kept.good):
        with pytest.raises(PillarError, match="pigsty validate"):
            module.serving(file, good)


def test_a_kept_one_that_is_bad_by_now_is_never_served(file: Path, kept: Kept) -> None:
    kept.keep_good(b"all: 3")
    file.write_text("all: [")
    with pytest.raises(PillarError, match=str(file)):
        module.serving(file, kept.good)
