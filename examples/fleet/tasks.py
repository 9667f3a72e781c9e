"""Tasks for a small fleet; `genii tasks` lists them, `genii task NAME` runs one.

Try them on this machine: `genii task uptime --local`, `genii task report /tmp --local`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import genii

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genii import AsyncRemote, Remote


@genii.task(hosts="web", desc="Get the uptime of all servers")
def uptime(host: Remote) -> None:
    print(host.run("uptime", changes=False))


@genii.task(hosts="web", desc="Tell how full a file system is")
async def report(host: AsyncRemote, path: str = "/", limit: int = 90) -> str:
    result = await host.run(f"df --output=pcent {path} | tail -n 1", changes=False)
    used = int(result.stdout.strip().rstrip("%"))
    return f"{path}: {used} % used{' (!)' if used > limit else ''}"


@genii.task(hosts="web", sudo=True, desc="Install Redis")
def setup_redis(host: Remote) -> None:
    host.package("redis-server")
    changed = host.line("/etc/redis/redis.conf", "maxmemory 256mb", matching=r"^#?\s*maxmemory\b").changed
    host.service("redis-server", running=True, enabled=True, restart=changed)


@genii.task(hosts="web", sudo=True, desc="Remove Redis")
def remove_redis(host: Remote) -> None:
    host.package("redis-server", state="absent", purge=True)


@genii.task(hosts=["staging", "web"], sudo=True, desc="Bring out the site: first on staging, then everywhere")
def site(host: Remote, mode: Literal["open", "closed"] = "open") -> None:
    host.file("/srv/site", state="directory", mode=0o755)
    host.file("/srv/site/index.html", content=f"The shop is {mode}.\n")
    # The whole configuration is judged with the new file in place; if it is wrong, the old one is put back.
    new = host.template("/etc/nginx/conf.d/site.conf", source="site.conf.j2", check="nginx -t")
    if new.changed:
        host.service("nginx", reload=True, check="nginx -t")


@site.around
def out_of_rotation(host: Remote) -> Iterator[None]:
    """Take the host from the balancer for as long as it is worked on."""
    host.file("/srv/site.maintenance", state="touch")
    yield
    host.file("/srv/site.maintenance", state="absent")
