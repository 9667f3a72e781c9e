"""``genii echo_supervisord_conf``: a supervisord.conf to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["SAMPLE", "configure", "run"]

SAMPLE = """\
; A file in supervisord's language: see https://supervisord.org/configuration.html
; A comment begins with ';' or '#' at the start of a line or after a blank. %(ENV_HOME)s stands for $HOME, %(here)s for
; the folder of this file. 'genii check FILE' tells what is wrong with it.

[unix_http_server]
file=/tmp/supervisor.sock        ; where supervisorctl finds it
;chmod=0700                      ; mode of the socket
;chown=nobody:nogroup            ; its owner
;username=user                   ; a password covers everything that is served there
;password={SHA}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d

;[inet_http_server]              ; the page, and supervisorctl over TCP
;port=127.0.0.1:9001             ; '*:9001': from everywhere, not without a password
;username=user
;password=123

[supervisord]
logfile=/tmp/supervisord.log     ; the main log; its folder must exist
logfile_maxbytes=50MB            ; rotate when it is this big; 0: never
logfile_backups=10               ; old files that are kept
loglevel=info                    ; critical, error, warn, info, debug, trace, blather
pidfile=/tmp/supervisord.pid
nodaemon=false                   ; true: stay in the foreground
silent=false                     ; true: no log on standard output there
minfds=1024                      ; open files that the system must allow
minprocs=200                     ; processes that the system must allow
;umask=022                       ; of the daemon
;user=nobody                     ; become this user; needs root
;directory=/tmp                  ; of the daemon
;identifier=supervisor           ; its name, in AUTO logs and events
;nocleanup=true                  ; keep old AUTO logs
;childlogdir=/tmp                ; where AUTO logs go
;environment=KEY="value"         ; for all programs
;strip_ansi=false                ; true: take colours out of logs

[rpcinterface:supervisor]        ; without this section supervisorctl can't do anything
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///tmp/supervisor.sock
;username=user
;password=123
;prompt=supervisor
;history_file=~/.sc_history      ; lines typed in earlier shells

;[program:web]
;command=/usr/local/bin/web      ; run without a shell; it must not go into the background
;process_name=%(program_name)s   ; with numprocs, add _%(process_num)02d
;numprocs=1
;directory=/srv/web
;umask=022
;priority=999                    ; lower ones are started first and stopped last
;autostart=true
;startsecs=1                     ; up for longer than this, it is RUNNING
;startretries=3                  ; failed starts in a row until it is FATAL
;autorestart=unexpected          ; true, false, or when the exit code is none of exitcodes
;exitcodes=0
;stopsignal=TERM
;stopwaitsecs=10                 ; then it is killed
;stopasgroup=false               ; signal all of its process group
;killasgroup=false
;user=www-data
;redirect_stderr=true            ; errors into the same log
;stdout_logfile=/var/log/web.log ; a file, AUTO, NONE, /dev/stdout
;stdout_logfile_maxbytes=50MB
;stdout_logfile_backups=10
;stdout_capture_maxbytes=0       ; for events of PROCESS_COMMUNICATION
;stdout_events_enabled=false     ; for events of PROCESS_LOG
;stdout_syslog=false
;environment=PORT="8000",NAME="web"
;serverurl=AUTO

;[eventlistener:mail]
;command=/usr/local/bin/mail-about-events
;events=PROCESS_STATE_FATAL,PROCESS_STATE_EXITED
;buffer_size=10                  ; events that may wait for it

;[fcgi-program:php]
;command=/usr/bin/php-cgi
;socket=unix:///run/php.sock     ; or tcp://127.0.0.1:9000; standard input of all its processes
;process_name=%(program_name)s_%(process_num)02d
;numprocs=4

;[group:site]
;programs=web,php
;priority=999

;[include]
;files=conf.d/*.conf             ; relative to this file
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no option."""
    parser.epilog = """Examples:
  genii echo_supervisord_conf > supervisord.conf"""


def run(_options: argparse.Namespace) -> int:
    """Print the file."""
    print(SAMPLE, end="")
    return 0
