"""A Salt master with the real ext_pillar, and a minion, on loopback.

The master is configured as ``salt/master.d`` does it, with the paths of a temporary deployment. The
minion has the id of a host of the inventory that is shipped as the sandbox.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: The host of the inventory that the minion plays: a member of pg-test.
MEMBER = "10.10.10.11"
#: Seconds until a daemon answers; on two busy cores a master needs about 10.
START = 90


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below this folder as functional."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.functional)


@dataclass(frozen=True)
class Deployment:
    """The files that the ext_pillar reads.

    Attributes:
        inventory: what a test may edit; :meth:`reset` brings it back.
        key: the deployment's key.
        ca: the CA certificate.
    """

    inventory: Path
    key: Path
    ca: Path

    def reset(self) -> None:
        """Write the sandbox's inventory."""
        shutil.copyfile(ROOT / "pillar/inventory/sandbox.yml", self.inventory)

    @property
    def options(self) -> dict[str, Any]:
        """What the master's configuration needs for the ext_pillar."""
        arguments = {"inventory": str(self.inventory), "key": str(self.key), "ca": str(self.ca)}
        return {
            "ext_pillar": [{"pigsty": arguments}],
            "module_dirs": [str(ROOT / "extmods")],
            "file_roots": {"base": [str(ROOT / "states"), str(ROOT / "extmods")]},
            "pillar_roots": {"base": [str(ROOT / "pillar")]},
        }


@pytest.fixture(scope="session")
def salt_factories_config() -> Iterator[dict[str, Any]]:
    """Everything of this run in a folder of its own, with a short path: it holds unix sockets."""
    with tempfile.TemporaryDirectory(prefix="pigsty-", dir="/tmp") as folder:
        yield {"root_dir": folder, "log_server_level": "error"}


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment's key, CA and inventory."""
    folder = tmp_path_factory.mktemp("deployment")
    found = Deployment(folder / "pigsty.yml", folder / "secret.key", folder / "ca.crt")
    found.key.write_text("5a" * 32, "ascii")
    found.ca.write_text("-----BEGIN CERTIFICATE-----\nstand-in\n-----END CERTIFICATE-----\n")
    found.reset()
    return found


@pytest.fixture
def inventory(deployment: Deployment) -> Iterator[Path]:
    """The master's inventory, which the test may edit; it is restored afterwards."""
    yield deployment.inventory
    deployment.reset()


@pytest.fixture(scope="session")
def master(salt_factories: Any, deployment: Deployment) -> Iterator[Any]:
    """A running Salt master."""
    factory = salt_factories.salt_master_daemon(
        "pigsty-master",
        defaults=deployment.options,
        overrides={
            "interface": "127.0.0.1",
            "worker_threads": 3,
            "log_level_logfile": "warning",
            "pillar_opts": False,
            # As in salt/master.d: the one function that minions may call of another.
            "peer": {".*": ["pigsty_pki[.]sign$"]},
            "on_demand_ext_pillar": [],
        },
        start_timeout=START,
    )
    with factory.started():
        yield factory


@pytest.fixture(scope="session")
def minion(master: Any) -> Iterator[Any]:
    """A running minion, with the id of a member of pg-test."""
    factory = master.salt_minion_daemon(
        MEMBER,
        overrides={
            "log_level_logfile": "warning",
            "file_client": "remote",
            "module_dirs": [str(ROOT / "extmods")],
        },
        start_timeout=START,
    )
    with factory.started():
        yield factory
