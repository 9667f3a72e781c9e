"""``genii deploy``: bring a release to hosts; ``deploy check``, ``init`` and ``unlock`` look after them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from genii.cli.deployment import add_common, carry_out, choose, run_interruptibly
from genii.cli.terminal import Paint, format_table
from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from genii.cli.deployment import Chosen
    from genii.deploy.deployer import Deployer, Member
    from genii.deploy.sources import Source

__all__ = ["configure", "run"]

PHASES = ("prepare", "publish", "finish")

_EPILOG = """\
examples:
  genii deploy                     the only deployment of genii.toml
  genii deploy shop --dry-run -v   what would be done on each host, step by step; changes nothing
  genii deploy shop --branch v1.4  another branch, tag or commit
  genii deploy shop --only web1    one host
  genii deploy check shop          would it work? asks all hosts, changes nothing
  genii deploy init shop           make the directories on new hosts; tell what is missing there
  genii deploy unlock shop         end a deployment that holds the lock of hosts

exit codes: 0 deployed, 1 failed (nothing was switched, or all was taken back), 2 usage or configuration"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("words", metavar="NAME", nargs="*", help="[check|init|unlock] and the deployment's name")
    parser.add_argument("--branch", metavar="NAME", default="", help="a branch, tag or commit instead of the declared")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="ask the hosts and show the plan (-v: its scripts)"
    )
    add_common(parser, changes=True)


def run(options: argparse.Namespace) -> int:
    """Deploy, or look after the hosts; return the exit code."""
    commands = {"check": _check, "init": _init, "unlock": _unlock}
    words: list[str] = options.words
    verb = words.pop(0) if words and words[0] in commands else ""
    if len(words) > 1:
        raise UsageError(f"one deployment at a time: {' '.join(words)}")
    chosen = choose(options, words[0] if words else "")
    if verb:
        return run_interruptibly(commands[verb](chosen, options))
    if options.branch and chosen.deployment.origin.kind != "git":
        raise UsageError(
            f"--branch is for git, and {chosen.deployment.name} comes from a {chosen.deployment.origin.kind}"
        )
    source = _source(chosen, options)
    if options.dry_run:
        return run_interruptibly(_preview(chosen, options, source))
    return carry_out(chosen, options, "deploy", lambda deployer, named: deployer.deploy(source, named))


def _source(chosen: Chosen, options: argparse.Namespace) -> Source:
    from genii.deploy.sources import Source

    return Source(chosen.deployment.origin, chosen.folder, options.branch)


# -- what would be done ------------------------------------------------------------------------------------------------


async def _preview(chosen: Chosen, options: argparse.Namespace, source: Source) -> int:
    transport = chosen.transport()
    deployer = chosen.deployer(transport)
    try:
        release = await deployer.preview(source)
    finally:
        await deployer.close()
        await transport.close()
    if options.json:
        _print_plans(deployer)
    else:
        print(f"release {release.name}: {release.branch} at {release.revision}")
        for member in deployer.members:
            _show_plan(member, scripts=options.verbose > 0)
        for warning in deployer.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    return 1 if any(member.error for member in deployer.members) else 0


def _print_plans(deployer: Deployer) -> None:
    from genii.cli.action import print_json

    print_json(
        {
            "release": deployer.release.name,
            "revision": deployer.release.revision,
            "hosts": {
                member.name: {
                    "error": member.error,
                    "round_trips": member.plan.round_trips,
                    "steps": [
                        {"phase": phase, "step": step.name, "note": step.note, "commands": list(step.commands),
                         "script": step.script}
                        for phase in PHASES
                        for step in getattr(member.plan, phase)
                    ],
                }
                for member in deployer.members
            },
        }
    )  # fmt: skip


def _show_plan(member: Member, *, scripts: bool) -> None:
    paint = Paint(sys.stdout)
    trips = f" ({member.plan.round_trips} round trips)" if scripts and not member.error else ""
    print(paint(member.name, "bold") + trips)
    if member.error:
        print(f"  {paint(member.error, 'red')}")
        return
    for phase in PHASES:
        for step in getattr(member.plan, phase):
            told = step.note or "; ".join(line for line in step.commands[0].splitlines()[:1])
            print(f"  {phase:<8} {paint(f'{step.name:<14}', 'cyan')} {told}")
            if scripts:
                for command in step.commands or (step.script,):
                    print("\n".join(f"             | {line}" for line in command.splitlines()))


# -- looking after hosts -----------------------------------------------------------------------------------------------


async def _check(chosen: Chosen, options: argparse.Namespace) -> int:
    transport = chosen.transport()
    deployer = chosen.deployer(transport)
    try:
        await deployer.preview(_source(chosen, options))
    finally:
        await deployer.close()
        await transport.close()
    paint = Paint(sys.stdout)
    rows = [
        (member.name, paint("ok", "green") if not member.error else paint(member.error, "red"))
        for member in deployer.members
    ]
    print("\n".join(format_table(rows)))
    for warning in deployer.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 5 if any(member.error for member in deployer.members) else 0


async def _init(chosen: Chosen, options: argparse.Namespace) -> int:
    from genii.deploy.care import make_layout

    return await _cared(chosen, options, make_layout)


async def _unlock(chosen: Chosen, options: argparse.Namespace) -> int:
    from genii.deploy.care import unlock

    return await _cared(chosen, options, unlock)


async def _cared(chosen: Chosen, options: argparse.Namespace, care: object) -> int:
    from genii.cli.action import print_json

    assert callable(care)
    transport = chosen.transport()
    try:
        rows = await care(chosen.deployment, [host for host, _ in chosen.hosts()], transport, chosen.identity())
    finally:
        await transport.close()
    if options.json:
        print_json({host: {"ok": ok, "message": text} for host, ok, text in rows})
    else:
        paint = Paint(sys.stdout)
        print("\n".join(format_table([(host, paint(text, "green" if ok else "red")) for host, ok, text in rows])))
    return 0 if all(ok for _, ok, _ in rows) else 1
