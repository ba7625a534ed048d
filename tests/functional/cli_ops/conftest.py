"""A Salt master and a minion of their own, with harmless states: these tests really apply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: A host of the sandbox's inventory, played by the minion; another than that of the shared master,
#: which would take this one's key for a stranger's with a known id.
MEMBER = "10.10.10.13"
START = 90

STATES = {
    "top.sls": "base: {'*': [quick]}",
    "quick.sls": """
nothing:
  test.nop
slow:
  test.nop:
    - require: [{test: nothing}]
wait:
  module.run:
    - test.sleep: [{length: 1.5}]
    - require: [{test: slow}]
change:
  test.succeed_with_changes
""",
    "node.sls": """
broken:
  test.fail_without_changes:
    - comment: "it is broken"
waiting:
  test.nop:
    - require: [{test: broken}]
""",
    "node/monitor.sls": """
watched:
  test.nop
""",
    "telling.sls": """
backup:
  module.run:
    - pigsty_work.tell: [{phase: copies files}, {done: 43}, {total: 100}]
    - test.sleep: [{length: 1.5}]
""",
    "pgsql.sls": """
long:
  module.run:
    - test.sleep: [{length: 60}]
""",
}


@pytest.fixture(scope="module")
def ops_master(salt_factories: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Salt master whose states touch nothing."""
    states = tmp_path_factory.mktemp("states")
    for name, text in STATES.items():
        (states / name).parent.mkdir(exist_ok=True)
        (states / name).write_text(text, encoding="utf-8")
    factory = salt_factories.salt_master_daemon(
        "ops-master",
        overrides={
            "interface": "127.0.0.1",
            "worker_threads": 3,
            "log_level_logfile": "warning",
            "file_roots": {"base": [str(states), str(ROOT / "extmods")]},
            "fileserver_followsymlinks": True,
            "file_ignore_regex": ["/__pycache__/", r"\.pyc$"],
            "state_events": False,
        },
        start_timeout=START,
    )
    with factory.started():
        yield factory


@pytest.fixture(scope="module")
def ops_minion(ops_master: Any) -> Iterator[Any]:
    """A running minion."""
    factory = ops_master.salt_minion_daemon(
        MEMBER,
        overrides={"log_level_logfile": "warning", "file_client": "remote"},
        start_timeout=START,
    )
    with factory.started():
        yield factory
