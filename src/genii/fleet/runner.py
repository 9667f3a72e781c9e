"""The runner: a small program on a host that is fed with commands, and what is said between it and us.

It costs a host a fork and an exec for a command, where sshd needs three times as much for a channel. It is given to
``perl -e``, so nothing is installed. Each command gets pipes of its own, as from sshd: its output ends when the last
process that has it open ends, whoever that is.

A request is ``KIND SIZE`` and a newline, then so many bytes of shell text: ``S`` for sh(1), ``L`` for the user's login
shell. ``K`` and a newline kills the command that runs, and ends the runner. Its two streams first say ``READY``; then
come pieces of the command's output, each as ``SIZE``, a newline and so many bytes, and ``0 STATUS`` and a newline where
the command has ended. No I/O.
"""

from __future__ import annotations

import re
import shlex

from genii.fleet.command import encode

__all__ = ["KILL", "LONGEST_COMMAND", "READY", "Frames", "is_for_sh", "request", "start_line"]

READY = b"genii-runner 1\n"
KILL = b"K\n"
LONGEST_COMMAND = 100_000
"""Bytes; Linux lets an argument have 131,072."""

_HEADER = re.compile(rb"([1-9][0-9]{0,5}|0 ([0-9]{1,3}))\n")
_LONGEST_HEADER = 8

# Login shells of all families have to hand this on as it is: no single quote, no ! and no newline (which
# start_line() makes a blank). A command must find the environment that it has in a channel of its own. Where it is for
# the login shell (an argument says so), that has read its start-up files by now and will read them again: it must not
# change anything then; SHLVL and _ are each command's own. When a command's pipes have ended, its own end is a matter
# of microseconds, unless it has closed them before: Perl can't wait for that and for a request at once.
_PROGRAM = r"""
binmode STDIN; binmode STDOUT; open ERR, ">&STDERR"; binmode ERR; open STDERR, ">", "/dev/null";
sub put {
  my ($to, $data) = @_;
  while (length $data) { my $size = syswrite $to, $data or exit; substr $data, 0, $size, "" }
}
sub more { sysread STDIN, $in, 65536, length $in or exit }
sub plain { join "\0", sort grep { not /^(_|SHLVL)=/ } @_ }
if (@ARGV) {
  $shell = $ENV{SHELL}; exit unless $shell eq (getpwuid $<)[8];
  ($name) = $shell =~ m{([^/]+)$} or exit;
  unless ($name =~ /^(sh|dash|ash|ksh|mksh)$/) {
    open AGAIN, "-|", $shell, "-c", "exec env -0" or exit; { local $/; $seen = <AGAIN> } close AGAIN;
    exit unless plain(split /\0/, $seen) eq plain(map { "$_=$ENV{$_}" } keys %ENV);
  }
}
put(*STDOUT, "READY\n"); put(*ERR, "READY\n");
for (;;) {
  more until $in =~ /\n/;
  $in =~ s/^([SL]) ([0-9]+)\n// or exit; ($kind, $size) = ($1, $2);
  more while length $in < $size;
  $text = substr $in, 0, $size, "";
  @words = $kind eq "S" ? ("sh", "sh") : ($shell, $name);
  pipe OUT, OUTW or exit; pipe BAD, BADW or exit; defined($pid = fork) or exit;
  if ($pid == 0) {
    setpgrp 0, 0; open STDIN, "<", "/dev/null"; open STDOUT, ">&OUTW"; open STDERR, ">&BADW";
    exec {shift @words} @words, "-c", $text; exit 127;
  }
  setpgrp $pid, $pid; close OUTW; close BADW; $nap = 0.0001;
  %from = (fileno OUT, *OUT, fileno BAD, *BAD); %to = (fileno OUT, *STDOUT, fileno BAD, *ERR);
  until (not %from and waitpid($pid, 1) == $pid) {
    $set = ""; vec($set, $_, 1) = 1 for 0, keys %from;
    next if select($set, undef, undef, %from ? undef : ($nap = $nap < 0.1 ? 2 * $nap : 0.1)) < 0;
    if (vec $set, 0, 1) {
      more;
      if ($in =~ /^K\n/) { kill 9, -$pid; put(*ERR, "0 137\n"); put(*STDOUT, "0 137\n"); exit }
    }
    for $one (keys %from) {
      next unless vec $set, $one, 1;
      if (sysread $from{$one}, $data, 65536) { put($to{$one}, length($data) . "\n$data") }
      else { close $from{$one}; delete $from{$one} }
    }
  }
  $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
  put(*ERR, "0 $status\n"); put(*STDOUT, "0 $status\n");
}
"""


def start_line(*, login: bool) -> str:
    """Return the command that starts the runner; ``login``: it is to run commands by the login shell as well.

    Where it can't do that exactly as a channel of its own would, it ends without a word.
    """
    program = _PROGRAM.replace("READY\\n", READY.decode().replace("\n", "\\n")).replace("\n", " ").strip()
    return f"exec perl -e '{program}'{' login' if login else ''}"


def is_for_sh(line: str) -> str | None:
    """Return the text that a command line has sh(1) run, if that is all it does: then no login shell need read it."""
    if not line.startswith("exec sh -c "):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return words[3] if len(words) == 4 and shlex.join(words) == line else None


def request(line: str) -> bytes:
    """Return what has the runner run a command line of the login shell."""
    text = is_for_sh(line)
    kind, data = (b"L", encode(line)) if text is None else (b"S", encode(text))
    return b"%s %d\n%s" % (kind, len(data), data)


class Frames:
    """Take one command's share of a stream apart."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self.status: int | None = None
        """The exit status (128 + N after signal N), once the stream has ended."""

    def feed(self, data: bytes) -> bytes:
        """Return the output in the next bytes.

        Raises:
            ValueError: the runner would not say that.
        """
        found = []
        position = 0
        while position < len(data):
            if self.status is not None:
                raise ValueError("more than the end")
            if self._left:
                piece = data[position : position + self._left]
                found.append(piece)
                position += len(piece)
                self._left -= len(piece)
            else:
                position = self._read_header(data, position)
        return b"".join(found)

    def _read_header(self, data: bytes, position: int) -> int:
        known = len(self._header)
        self._header += data[position : position + _LONGEST_HEADER - known]
        end = self._header.find(b"\n")
        if end < 0:
            if len(self._header) == _LONGEST_HEADER:
                raise ValueError(f"no header: {self._header!r}")
            return len(data)
        match = _HEADER.fullmatch(self._header[: end + 1])
        if match is None:
            raise ValueError(f"no header: {self._header!r}")
        self._header = b""
        if match[2] is None:
            self._left = int(match[1])
        else:
            self.status = int(match[2])
        return position + end + 1 - known
