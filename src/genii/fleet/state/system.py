"""What kind of system a host is: distribution, package manager, services, who we are there. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from genii.fleet.state.plan import Question, fields

__all__ = ["SYSTEM", "System", "read_system"]

_TOOLS = (
    "apt-get dnf yum zypper apk pacman systemctl rc-service rc-update service update-rc.d chkconfig genii sudo "
    "useradd usermod adduser git python3 python3.13 python3.12 python3.11 curl wget"
)
_SCRIPT = f"""
echo user="$(id -un)"; echo uid="$(id -u)"; echo kernel="$(uname -s)"; echo release="$(uname -r)"
echo machine="$(uname -m)"; echo name="$(uname -n)"; echo home="$HOME"
for file in /etc/os-release /usr/lib/os-release; do
  if [ -r $file ]; then (. $file; echo id="$ID"; echo like="$ID_LIKE"; echo version="$VERSION_ID"); break; fi
done
for tool in {_TOOLS}; do
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v $tool >/dev/null 2>&1 && echo tool.$tool=1
done
[ -d /run/systemd/system ] && echo init=systemd
[ -d /run/openrc ] && echo init=openrc
[ -d /etc/init.d ] && echo initd=1
ls /lib/ld-musl-* >/dev/null 2>&1 && echo libc=musl
true
"""


@dataclass(frozen=True, slots=True)
class System:
    """What a host is."""

    user: str = ""
    uid: int = -1
    name: str = ""
    """Its node name."""
    home: str = ""
    kernel: str = ""
    release: str = ""
    machine: str = ""
    libc: str = "glibc"
    distribution: str = ""
    """``ID`` of os-release(5): ``debian``, ``alpine``, …"""
    like: tuple[str, ...] = ()
    """Which others it is like: ``rhel``, ``suse``, …"""
    version: str = ""
    packages: str = ""
    """``apt``, ``dnf``, ``yum``, ``zypper``, ``apk``, ``pacman``, or nothing."""
    services: str = ""
    """``systemd``, ``openrc``, ``sysv``, or nothing."""
    tools: frozenset[str] = frozenset()

    @property
    def is_root(self) -> bool:
        """Whether we are root there."""
        return self.uid == 0


_NATIVE = {
    "debian": "apt", "ubuntu": "apt", "fedora": "dnf", "rhel": "dnf", "centos": "dnf", "suse": "zypper",
    "opensuse": "zypper", "alpine": "apk", "arch": "pacman",
}  # fmt: skip
_COMMANDS = {"apt": "apt-get"}
_ANY = ("apt", "dnf", "yum", "zypper", "apk", "pacman")


def read_system(answer: bytes) -> System:
    """Read what the script tells."""
    said = fields(answer)
    tools = frozenset(key.removeprefix("tool.") for key in said if key.startswith("tool."))
    like = tuple(said.get("like", "").split())
    return System(
        user=said.get("user", ""),
        uid=int(said["uid"]) if said.get("uid", "").isdigit() else -1,
        name=said.get("name", ""),
        home=said.get("home", ""),
        kernel=said.get("kernel", ""),
        release=said.get("release", ""),
        machine=said.get("machine", ""),
        libc=said.get("libc", "glibc"),
        distribution=said.get("id", ""),
        like=like,
        version=said.get("version", ""),
        packages=_package_manager((said.get("id", ""), *like), tools),
        services=_service_manager(said, tools),
        tools=tools,
    )


def _package_manager(names: tuple[str, ...], tools: frozenset[str]) -> str:
    """Prefer the distribution's own: apt-get and pacman can be installed on others, too."""
    native = [_NATIVE[name] for name in names if name in _NATIVE]
    for manager in (*native, *(["yum"] if "dnf" in native else []), *_ANY):
        if _COMMANDS.get(manager, manager) in tools:
            return manager
    return ""


def _service_manager(said: dict[str, str], tools: frozenset[str]) -> str:
    if said.get("init") == "systemd" and "systemctl" in tools:
        return "systemd"
    if said.get("init") == "openrc" and "rc-service" in tools:
        return "openrc"
    return "sysv" if "initd" in said else ""


SYSTEM = Question(_SCRIPT, read_system)
"""Asks what kind of system a host is."""
