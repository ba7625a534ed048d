"""What all commands share: help without imports, exit codes, one message for an error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import click
import pytest

from pigsty.errors import InventoryError, PigstyError
from pigsty_cli import errors, exitcodes, main

PIGSTY = Path(sys.executable).parent / "pigsty"
#: Seconds of `pigsty --help`; the bound of the specification is 0.2 on an idle machine.
HELP_BOUND = 0.2


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> object:
    """A command `fail` that raises what a test wants."""

    def plug(error: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise error

        module = ModuleType("pigsty_cli.commands.fail")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pigsty_cli.commands.fail", module)
        monkeypatch.setitem(main.COMMANDS, "fail", "Fails.")

    return plug


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == exitcodes.OK
    text = capsys.readouterr().out
    for name in main.COMMANDS:
        assert f"\n  {name} " in text
    assert "Exit codes:" in text


def test_help_is_quick_and_imports_neither_salt_nor_rich() -> None:
    program = (
        "import sys; sys.argv = ['pigsty', '--help']\n"
        "from pigsty_cli.main import run\n"
        "run(['--help'])\n"
        "heavy = {'salt', 'rich', 'yaml', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([PIGSTY, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    # The quickest of several: what else the machine does is no matter of ours.
    assert min(seconds) <= HELP_BOUND, seconds


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_has_a_help_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([name, "--help"]) == exitcodes.OK
    text = capsys.readouterr().out
    assert "Usage: pigsty" in text
    examples = text.partition("Examples:")[2]
    assert f"  pigsty {name}" in examples, "an example shows how it is called"


def test_a_misspelled_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["valdate"]) == exitcodes.USAGE
    assert "did you mean 'validate'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PigstyError("that went wrong"), 1, "that went wrong"),
        (errors.UsageError("no such file"), 2, "no such file"),
        (errors.Partial("two of three"), 3, "two of three"),
        (errors.Refused("a safeguard"), 4, "a safeguard"),
        (InventoryError("odd", path="all.vars", line=3, hint="even"), 1, "line 3: all.vars: odd →"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)  # fmt: skip
def test_an_expected_error_is_one_message_and_an_exit_code(
    failing: object, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    failing(error)  # type: ignore[operator]
    assert main.run(["fail"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err
    assert "Traceback" not in err


def test_an_unexpected_error_says_that_it_is_a_defect(
    failing: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(ZeroDivisionError("by zero"))  # type: ignore[operator]
    assert main.run(["fail"]) == exitcodes.BUG
    err = capsys.readouterr().err
    assert "defect of pigsty" in err
    assert "by zero" in err
    assert "Traceback" not in err
    monkeypatch.setenv("PIGSTY_DEBUG", "1")
    assert main.run(["fail"]) == exitcodes.BUG
    assert "Traceback" in capsys.readouterr().err


def test_a_disk_that_is_full_or_broken_is_no_defect(
    failing: object, capsys: pytest.CaptureFixture[str]
) -> None:
    for code, file, text in (
        (errno.ENOSPC, "/var/lib/x", "pigsty: /var/lib/x: No space left on device"),
        (errno.EDQUOT, None, "pigsty: Disk quota exceeded"),
        (errno.EROFS, "/etc/y", "pigsty: /etc/y: Read-only file system\n"),
    ):
        failing(OSError(code, os.strerror(code), file))  # type: ignore[operator]
        assert main.run(["fail"]) == exitcodes.FAILED
        err = capsys.readouterr().err
        assert err.startswith(text) and err.count("\n") == 1
        assert ("make room" in err) is (code != errno.EROFS)
    failing(OSError(errno.EINVAL, "Invalid argument"))  # type: ignore[operator]
    assert main.run(["fail"]) == exitcodes.BUG


def test_the_disk_that_is_full_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(folder: str) -> SimpleNamespace:
        if folder == "/none":
            raise FileNotFoundError(folder)
        free = {"/full": 0, "/other": 2**30, "/files": 2**30}[folder]
        left = 0 if folder == "/files" else 9
        return SimpleNamespace(f_bavail=free, f_frsize=1, f_files=99, f_favail=left)

    monkeypatch.setattr(errors.os, "statvfs", look)
    folders = ("/other", "/full", "/none", "/files")
    text = errors.of_machine(OSError(errno.ENOSPC, "No space left on device"), folders)
    assert "(full: /files, /full); make room" in text
    # Another error has nothing to do with room.
    assert errors.of_machine(OSError(errno.EIO, "Input/output error"), folders) == (
        "Input/output error"
    )


def test_output_that_finds_no_room_is_one_message() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [PIGSTY, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert run.returncode == exitcodes.FAILED
    assert run.stderr.startswith("pigsty: No space left on device")
    assert run.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([PIGSTY, "schema"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert run.returncode == exitcodes.BROKEN_PIPE
    assert run.stderr == b""


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(exitcodes).items() if name.isupper() and name != "TABLE"}
    assert codes == set(exitcodes.TABLE)
