"""Network partitions, as rules of the packet filter on the bridge.

Cables are matched, not addresses: a virtual IP is cut off together with its node. Two sets in the
kernel hold the whole state, so there is nothing to remember here.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pigsty_cli.sandbox.process import run

TABLE = "pigsty_sandbox"
RULES = f"""table bridge {TABLE} {{
  set alone {{ type ifname; }}
  set apart {{ type ifname . ifname; }}
}}
flush table bridge {TABLE}
table bridge {TABLE} {{
  chain incoming {{
    type filter hook input priority 0; policy accept;
    iifname @alone drop
  }}
  chain outgoing {{
    type filter hook output priority 0; policy accept;
    oifname @alone drop
  }}
  chain between {{
    type filter hook forward priority 0; policy accept;
    iifname @alone drop
    oifname @alone drop
    iifname . oifname @apart drop
  }}
}}
"""


def up() -> None:
    """Load the rules; partitions that are in force stay."""
    run(["nft", "-f", "-"], stdin=RULES)


def down() -> None:
    """Remove the rules, and with them every partition."""
    run(
        ["nft", "-f", "-"],
        stdin=f"table bridge {TABLE}\ndelete table bridge {TABLE}\n",
        check=False,
    )


def partition(link: str, others: Sequence[str] = ()) -> None:
    """Cut a node off.

    Args:
        link: the host's end of its cable.
        others: the cables of the nodes that it is cut off from, both ways; none means from
            everything, the host and the way out included.

    Raises:
        CommandError: the kernel refused.
    """
    if others:
        pairs = [pair for other in others for pair in ((link, other), (other, link))]
        _change("add", "apart", pairs)
    else:
        _change("add", "alone", [(link,)])


def heal(link: str | None = None) -> None:
    """Undo the partitions that a node has part in, or all.

    Args:
        link: the host's end of its cable; None for all nodes.

    Raises:
        CommandError: the kernel refused.
    """
    for name in ("alone", "apart"):
        gone = [element for element in elements(name) if link is None or link in element]
        if gone:
            _change("delete", name, gone)


def elements(name: str) -> list[tuple[str, ...]]:
    """Return what one of the two sets holds; empty when the rules are not loaded."""
    done = run(["nft", "-j", "list", "set", "bridge", TABLE, name], check=False)
    return parse_elements(done.stdout) if not done.returncode else []


def parse_elements(text: str) -> list[tuple[str, ...]]:
    """Read the elements out of what `nft -j list set` prints."""
    items: list[dict[str, Any]] = json.loads(text)["nftables"]
    content: dict[str, Any] = next((item["set"] for item in items if "set" in item), {})
    return [
        tuple(element["concat"]) if isinstance(element, dict) else (element,)
        for element in content.get("elem", [])
    ]


def _change(verb: str, name: str, changed: Iterable[tuple[str, ...]]) -> None:
    listed = ", ".join(" . ".join(f'"{link}"' for link in element) for element in changed)
    run(["nft", "-f", "-"], stdin=f"{verb} element bridge {TABLE} {name} {{ {listed} }}\n")
