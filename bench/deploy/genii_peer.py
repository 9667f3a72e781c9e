"""How the harness tells genii to deploy what it has the peers deploy: ``bench.py -a genii_peer.py -a capistrano``."""

import os
import shutil

from adapters import DEPLOY_TO, HOOK, KEEP, Adapter, Cmd, _out

FILE = """\
[fleet]
ssh_config = "{ssh_config}"

[deploy.demo]
repository = "{repository}"
branch = "main"
to = "{to}"
keep = {keep}
hosts = ["h[1-{hosts}]"]
linked_files = ["config/settings.env"]
linked_dirs = ["log", "tmp/pids"]
install = "{build}"
check = "{configtest}"
health = {{ command = "{health}" }}

[deploy.demo.steps]
restart = "{restart}"
"""


class Tool(Adapter):
    name = "genii"
    features = {"lock", "health", "configtest", "dryrun"}
    program = os.environ.get("GENII", "genii")

    def why_not(self):
        return None if shutil.which(self.program) else f"there is no {self.program}; set GENII"

    def version(self):
        return _out(self.program, "--version")

    def setup(self, context):
        super().setup(context)
        hooks = {name: HOOK.format(name) for name in ("build", "configtest", "health", "restart")}
        text = FILE.format(
            ssh_config=context.ssh_config, repository=context.repo, to=DEPLOY_TO, keep=KEEP, hosts=len(context.hosts), **hooks
        )
        self.put("genii.toml", text)

    def deploy(self, hosts, ref="main", dry=False):
        return self.command(hosts, "deploy", "--branch", ref, *(["--dry-run"] if dry else []))

    def rollback(self, hosts):
        return self.command(hosts, "rollback")

    def run(self, hosts, shell):
        words = [self.program, "-c", f"{self.c.work}/genii.toml", "run", "--on", ",".join(host.name for host in hosts)]
        return Cmd([*words, "--", shell], str(self.c.work))

    def command(self, hosts, verb, *words):
        names = ",".join(host.name for host in hosts)
        return Cmd([self.program, "-c", f"{self.c.work}/genii.toml", verb, "demo", "--only", names, *words], str(self.c.work))
