"""genii for bench.py: ``python3 bench.py --adapters genii_peer.py --peers floor,supervisord,genii``.

``GENII`` is the command to measure (default: ``genii``).
"""


class Genii(Peer):  # noqa: F821 -- bench.py gives the base
    name = "genii"
    capture_default = True

    def argv0(self):
        return os.environ.get("GENII", "genii")  # noqa: F821

    def env(self):
        return {"PYTHONDONTWRITEBYTECODE": ""}

    def configure(self, progs):
        out = ['[supervisor]\nlog_level = "warning"\n']
        for name, argv in progs:
            log = (
                f'logs = {{ stdout = "{self.logdir}/{name}", size = {ROTATE}, backups = {BACKUPS} }}'  # noqa: F821
                if self.capture
                else 'logs = { stdout = "none" }'
            )
            out.append(f'[program.{name}]\ncommand = {json.dumps(argv)}\nrestart = "always"\n{log}\n')  # noqa: F821
        self.file("genii.toml", "".join(out))

    def argv(self):
        return [self.argv0(), "up", "-q", "-c", self.dir + "/genii.toml"]

    def status_cmd(self):
        return [self.argv0(), "-c", self.dir + "/genii.toml", "status"]
