"""Packages of real dnf, zypper and pacman, from small archives of our own, each in a copy of this machine.

Debian has these programs; apk is not among them, and has its case files only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fleet.guest import Guest, open_guest

from genii.fleet.remote import RemoteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.timeout(600)]

SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: A sample
License: none
BuildArch: noarch
%description
A sample.
%install
mkdir -p %{{buildroot}}/opt
echo {version} >%{{buildroot}}/opt/{name}
%files
/opt/{name}
"""
DNF = "[local]\nname=local\nbaseurl=file:///srv/archive\nenabled=1\ngpgcheck=0\nmetadata_expire=0\n"
PACMAN = "[options]\nArchitecture = auto\nSigLevel = Never\n[own]\nServer = file:///srv/archive\n"
INFO = "pkgname = sample\npkgver = {version}-1\npkgdesc = A sample\nbuilddate = 1\nsize = 4\narch = any\n"


@pytest.fixture
def guest(sshd_program: str) -> Iterator[Guest]:
    with open_guest(sshd_program) as found:
        found.run("mkdir", "-p", "/srv/archive")
        yield found


def offer_rpm(guest: Guest, version: str, name: str = "sample") -> None:
    guest.write("/srv/sample.spec", SPEC.format(version=version, name=name))
    guest.run("rpmbuild", "--quiet", "-bb", "--define", "_rpmdir /srv/archive", "/srv/sample.spec")
    guest.run("createrepo_c", "-q", "/srv/archive")
    guest.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")  # Debian's rpm has it in the home of its user


def offer_to_pacman(guest: Guest, version: str) -> None:
    guest.run("mkdir", "-p", "/srv/tree/opt")
    guest.write("/srv/tree/opt/sample", f"{version}\n")
    guest.write("/srv/tree/.PKGINFO", INFO.format(version=version))
    package = f"/srv/archive/sample-{version}-1-any.pkg.tar.gz"
    guest.run("tar", "-C", "/srv/tree", "-czf", package, ".PKGINFO", "opt")
    guest.run("repo-add", "-q", "/srv/archive/own.db.tar.gz", package)


def package(guest: Guest, *names: str, dry_run: bool = False, **wanted: str) -> tuple[bool, str]:
    result = guest.reach(lambda host: host.package(*names, **wanted), dry_run=dry_run)  # type: ignore[arg-type]
    return result.changed, result.difference


def life_of_a_package(guest: Guest, offer: object) -> None:
    """Install, leave, upgrade and remove it; it is version 1.0 that is offered first."""
    assert callable(offer)
    offer(guest, "1.0")
    assert package(guest, "sample", dry_run=True)[0]
    assert package(guest, "sample") == (True, "+ sample newest\n")
    assert guest.run("cat", "/opt/sample") == "1.0\n"
    assert package(guest, "sample") == (False, "")
    offer(guest, "1.1")
    assert package(guest, "sample") == (False, "")
    guest.reach(lambda host: host.package("sample", state="latest", refresh=True))
    assert guest.run("cat", "/opt/sample") == "1.1\n"
    assert package(guest, "sample", state="latest") == (False, "")
    assert package(guest, "sample", state="absent") == (True, "- sample 1.1-1\n")
    assert package(guest, "sample", state="absent") == (False, "")
    with pytest.raises(RemoteFailed, match=r"(?i)no-such-thing"):
        package(guest, "no-such-thing")


def test_dnf(guest: Guest) -> None:
    guest.install("dnf", "rpm", "createrepo-c")
    guest.write("/etc/os-release", "ID=fedora\n")
    guest.run("rm", "-f", "/etc/yum.repos.d/*")
    guest.write("/etc/yum.repos.d/local.repo", DNF)
    life_of_a_package(guest, offer_rpm)


def test_zypper(guest: Guest) -> None:
    guest.install("zypper", "rpm", "createrepo-c")
    guest.write("/etc/os-release", "ID=opensuse-leap\nID_LIKE='suse opensuse'\n")
    guest.run("zypper", "-n", "addrepo", "-G", "-f", "file:///srv/archive", "local")
    offer_rpm(guest, "1.0", "other")
    guest.reach(lambda host: host.package("other"))  # without any package, its list can't be read
    life_of_a_package(guest, offer_rpm)


def test_pacman(guest: Guest) -> None:
    guest.install("pacman-package-manager", "makepkg", "libarchive-tools")
    guest.write("/etc/os-release", "ID=arch\n")
    guest.write("/etc/pacman.conf", PACMAN)
    guest.run("mkdir", "-p", "/var/lib/pacman/sync", "/var/cache/pacman/pkg")
    life_of_a_package(guest, offer_to_pacman)
