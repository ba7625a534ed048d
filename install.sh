#!/usr/bin/env bash
# Turn this machine (Debian or Ubuntu with systemd) into a singleton: the admin node of a deployment of one.
#
#   ./install.sh [-i INVENTORY] [-a ADDRESS] [-n]
#
#   -i   inventory to start from (default: pillar/inventory/meta.yml with this machine's address in it)
#   -a   this machine's address (default: the address of the interface with the default route)
#   -n   stop before `pigsty apply`, so that /etc/pigsty/pigsty.yml can be edited first
#
# It installs Python's venv and a compiler from the system's own sources, Salt and the pigsty command into
# /opt/pigsty/venv, a copy of this tree into /opt/pigsty/src, and then runs `pigsty init` and `pigsty apply`.
set -euo pipefail

fail() { echo "install.sh: $*" >&2; exit 2; }

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
inventory="" address="" apply=yes
while getopts "i:a:nh" option; do
  case $option in
    i) inventory=$(realpath "$OPTARG") ;;
    a) address=$OPTARG ;;
    n) apply=no ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  esac
done

[ "$(id -u)" = 0 ] || fail "it changes the system: run it as root"
[ -d /run/systemd/system ] || fail "systemd doesn't run here; 'make sandbox' needs no systemd on the host"
command -v apt-get >/dev/null || fail "only Debian and Ubuntu are supported"
if [ -z "$address" ]; then
  address=$(ip -4 route get 192.0.2.255 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p') || true
  [ -n "$address" ] || fail "can't tell this machine's address: give it with -a"
fi

echo "installing Python's venv and a compiler"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  python3-venv python3-dev gcc libc6-dev ca-certificates >/dev/null

echo "copying $source_dir to /opt/pigsty/src"
mkdir -p /opt/pigsty/src
if [ "$source_dir" != /opt/pigsty/src ]; then
  tar -C "$source_dir" --exclude=.venv --exclude=.git -cf - . | tar -C /opt/pigsty/src -xf -
fi

echo "installing Salt and the pigsty command into /opt/pigsty/venv (some minutes)"
[ -x /opt/pigsty/venv/bin/python ] || python3 -m venv /opt/pigsty/venv
# The wheels stay: `pigsty node add` brings Salt to the other machines from here.
pip() { /opt/pigsty/venv/bin/python -m pip "$@" --quiet --disable-pip-version-check; }
pip wheel --wheel-dir /opt/pigsty/wheels --requirement /opt/pigsty/src/salt/requirements.txt
pip install --no-index --find-links /opt/pigsty/wheels --requirement /opt/pigsty/src/salt/requirements.txt
pip install --no-deps --editable /opt/pigsty/src
ln -sf /opt/pigsty/venv/bin/{pigsty,salt,salt-call,salt-key,salt-run} /usr/local/bin/

if [ -z "$inventory" ]; then
  inventory=$(mktemp --suffix=.yml)
  trap 'rm -f "$inventory"' EXIT
  sed "s/10\.10\.10\.10/$address/g" /opt/pigsty/src/pillar/inventory/meta.yml >"$inventory"
fi
pigsty init -i "$inventory"
if [ "$apply" = yes ]; then
  pigsty apply --yes
  pigsty status --connect
else
  echo "edit /etc/pigsty/pigsty.yml, then run: pigsty apply"
fi
