#!py
"""The highstate of a minion: the states of the modules that its pillar holds, in dependency order.

Salt runs states even when an ext_pillar could not be loaded (it only logs a CRITICAL line), so a
minion without our pillar must stop here, before anything is changed.
"""

# The repository comes first: on the admin node it is the source that every package comes from.
ORDER = (
    ("infra", "infra.repo"),
    ("node", "node"),
    ("infra", "infra"),
    ("etcd", "etcd"),
    ("pgsql", "pgsql"),
    ("node", "node.monitor"),
)


def run():
    """Return the top data of this minion."""
    pigsty = __pillar__.get("pigsty")  # noqa: F821
    if not pigsty:
        raise ValueError(
            "this minion has no `pigsty` pillar, so nothing is applied: look at "
            "`salt-run pillar.show_pillar <id>` and `pigsty validate` on the admin node"
        )
    modules = pigsty["meta"]["modules"]
    return {"base": {__opts__["id"]: [sls for module, sls in ORDER if module in modules]}}  # noqa: F821
