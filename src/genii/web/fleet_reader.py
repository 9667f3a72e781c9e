"""Read what a configuration says of hosts and releases, in a process of its own: it needs memory only once.

Executed by itself (``python -I -S fleet_reader.py CONFIG``); prints JSON of ``genii.web.releases.Fleet``.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> int:
    """Print the fleet of the configuration that is named in the command line; 1 and the problem if it is wrong."""
    sys.path[:0] = os.environ.pop("GENII_SYS_PATH", "").split(os.pathsep)
    import msgspec

    from genii.config.load import load_deployments, load_fleet
    from genii.errors import GeniiError
    from genii.fleet.inventory import from_settings

    try:
        inventory = from_settings(load_fleet(sys.argv[1]))
        deployments, _ = load_deployments(sys.argv[1])
        found = {
            "hosts": [
                {"name": host.name, "address": host.address, "user": host.user, "port": host.port}
                for name in inventory.names()
                for host in inventory.select(name)
            ],
            "groups": {name: [str(term) for term in terms] for name, terms in inventory.groups.items()},
            "deployments": {name: {"to": one.to, "hosts": list(one.hosts)} for name, one in deployments.items()},
        }
    except GeniiError as error:
        found = {"problem": str(error)}
    with open(1, "wb", closefd=False) as out:
        out.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
