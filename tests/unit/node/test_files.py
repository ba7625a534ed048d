"""Files as values, marked blocks, and the module that puts files on the machine."""

from __future__ import annotations

import errno
import getpass
import grp
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from salt.exceptions import CommandExecutionError

from pigsty.render import files
from pigsty.render.files import Directory, File, block_lines, diff, with_block

LINE = st.text(st.characters(codec="ascii", exclude_characters="\r\n\v\f\x1c\x1d\x1e"), max_size=8)
ME = {"user": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def module(loader):
    return loader("_modules", "pigsty_file")


@given(st.lists(LINE), st.lists(LINE, min_size=1))
def test_a_block_is_found_again_and_taken_out_without_a_trace(rest, block):
    old = "".join(f"{line}\n" for line in rest)
    new = with_block(old, "x", block)
    assert block_lines(new, "x") == block
    assert with_block(new, "x", block) == new
    assert with_block(new, "x", ()) == old


def test_a_block_stays_where_it_is():
    old = "a\n# BEGIN pigsty x\nold\n# END pigsty x\nb\n"
    assert with_block(old, "x", ["new"]) == "a\n# BEGIN pigsty x\nnew\n# END pigsty x\nb\n"


def test_a_new_block_can_go_to_the_top():
    assert with_block("a\n", "x", ["n"], top=True).endswith("# END pigsty x\na\n")


def test_a_block_without_its_end_costs_nobody_a_line():
    assert with_block("a\n# BEGIN pigsty x\nmine?\nb\n", "x", ()) == "a\nmine?\nb\n"


def test_blocks_of_other_names_are_left_alone():
    old = with_block("", "other", ["1"])
    assert block_lines(with_block(old, "x", ["2"]), "other") == ["1"]


def test_a_secret_is_in_no_diff():
    assert diff("old", "token-1", "/f", secret=True) == files.HIDDEN
    assert diff("same", "same", "/f", secret=True) == ""


def test_a_diff_says_when_a_file_comes_or_goes():
    assert "+new" in diff(None, "new\n", "/f") and "/dev/null" in diff(None, "new\n", "/f")
    assert "-old" in diff("old\n", None, "/f")


def test_a_missing_last_newline_is_a_difference():
    assert diff("a", "a\n", "/f")


def test_a_file_is_written_once(module, tmp_path):
    wanted = File(str(tmp_path / "sub/f"), "text\n", mode="0640", **ME)
    assert "diff" in module.changes([wanted])[wanted.path]
    assert module.converge([wanted])
    assert (tmp_path / "sub/f").read_text() == "text\n"
    assert (tmp_path / "sub/f").stat().st_mode & 0o777 == 0o640
    inode = (tmp_path / "sub/f").stat().st_ino
    assert module.converge([wanted]) == {}
    assert (tmp_path / "sub/f").stat().st_ino == inode
    assert [entry.name for entry in (tmp_path / "sub").iterdir()] == ["f"]


def test_permissions_alone_are_a_difference(module, tmp_path):
    path = tmp_path / "f"
    path.write_text("x")
    path.chmod(0o644)
    wanted = File(str(path), "x", mode="0600", **ME)
    assert module.converge([wanted]) == {str(path): {"mode": {"old": "0644", "new": "0600"}}}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_is_never_readable_by_others_not_even_for_a_moment(module, tmp_path, monkeypatch):
    seen = []
    real = os.fchmod

    def fchmod(handle, mode):
        seen.append(os.fstat(handle).st_mode & 0o777)
        real(handle, mode)

    monkeypatch.setattr(module.os, "fchmod", fchmod)
    module.converge([File(str(tmp_path / "key"), "secret", mode="0600", secret=True, **ME)])
    assert seen == [0o600]


def test_a_file_is_removed_once(module, tmp_path):
    path = tmp_path / "f"
    path.write_text("x\n")
    assert "-x" in module.converge([File(str(path), None)])[str(path)]["diff"]
    assert not path.exists()
    assert module.converge([File(str(path), None)]) == {}


def test_a_directory_is_made_once(module, tmp_path):
    wanted = Directory(str(tmp_path / "d"), mode="0700", **ME)
    assert module.converge([wanted]) == {wanted.path: {"directory": "created"}}
    assert module.converge([wanted]) == {}
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700


def test_comparing_needs_no_user(module, tmp_path):
    wanted = File(str(tmp_path / "f"), "x", user="nobody-yet", group="nobody-yet")
    assert list(module.changes([wanted])) == [wanted.path]
    with pytest.raises(CommandExecutionError, match="no such user or group"):
        module.converge([wanted])
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text_survive_a_block(module, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"caf\xe9\n")
    new = with_block(module.read(str(path)), "x", ["ours"])
    module.converge([File(str(path), new, mode=f"{path.stat().st_mode & 0o777:04o}", **ME)])
    assert path.read_bytes().startswith(b"caf\xe9\n")


def test_a_folder_that_is_a_file_says_so(module, tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(CommandExecutionError, match="cannot write"):
        module.converge([File(str(tmp_path / "f/g"), "x", **ME)])


def test_on_a_full_disk_the_old_file_stays_as_it_was(module, tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("old")

    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(CommandExecutionError, match="No space left on device"):
        module.converge([File(str(path), "new", **ME)])
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
