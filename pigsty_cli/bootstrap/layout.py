"""Where things are on a Pigsty machine, and where this repository is on the one at hand."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

SOURCE = "/opt/pigsty/src"
VENV = "/opt/pigsty/venv"
WHEELS = "/opt/pigsty/wheels"
"""Salt and all that it needs, as wheels for the admin node's Python: nodes get theirs from here."""
REQUIREMENTS = REPOSITORY / "salt/requirements.txt"
PYCACHE = "/var/cache/pigsty/pycache"
INVENTORY = "/etc/pigsty/pigsty.yml"
SECRET_KEY = "/etc/pigsty/secret.key"  # noqa: S105 - a path
CA_KEY = "/etc/pigsty/pki/ca.key"
CA_CERTIFICATE = "/etc/pigsty/pki/ca.crt"
MASTER_ID = "pigsty"
"""`id` in salt/master.d/pigsty.conf, after which Salt names the files of the master's key."""
MASTER_PKI = "/etc/salt/pki/master"
MASTER_KEY = f"{MASTER_PKI}/{MASTER_ID}.pem"
MINION_PKI = "/etc/salt/pki/minion"
UNITS = "/etc/systemd/system"
ENABLED = f"{UNITS}/multi-user.target.wants"
COMMANDS = "/usr/local/bin"
