#!/bin/sh
# Make the virtual environment: sh tools/setup.sh VENV [GROUP].  Used by the Makefile.
set -eu
venv=$1 group=${2:-dev} python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "genii needs Python 3.11 or newer; set PYTHON=" >&2; exit 1; }
if [ ! -x "$venv/bin/python" ]; then
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own.
        rm -rf "$venv"
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "install python3-venv first: apt install python3-venv" >&2; exit 1; }
        apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3-venv
        "$python" -m venv "$venv"
    fi
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9' || echo "uv is not to be had; going on with pip" >&2
if [ -x "$venv/bin/uv" ]; then
    VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --constraint constraints.txt --editable . --group "$group"
else
    "$venv/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
    "$venv/bin/python" -m pip install --quiet --constraint constraints.txt --editable . --group "$group"
fi
[ "$group" != dev ] || touch "$venv/.ready"
