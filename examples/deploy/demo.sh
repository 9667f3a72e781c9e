#!/bin/sh
# A small web program with a history, deployed to two hosts on this machine; the last version is broken.
set -eu
cd "$(dirname "$0")"
GENII=${GENII:-genii}; export GENII
RUN=$PWD/run

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
down() { for host in east west; do [ ! -e "$RUN/$host/shop/genii.toml" ] || $GENII -c "$RUN/$host/shop/genii.toml" down >/dev/null 2>&1 || :; done; }
release() { # version [broken]
  echo "$1" >"$RUN/shop/VERSION"
  rm -f "$RUN/shop/BROKEN"; [ $# = 1 ] || touch "$RUN/shop/BROKEN"
  git -C "$RUN/shop" add -A
  git -C "$RUN/shop" -c user.name=demo -c user.email=demo@example.org commit -q -m "version $1"
}
ask() { for host in east west; do port=$(cat "$RUN/$host/shop/port")
  printf '%s: ' "$host"; python3 shop/ask.py "$port"; done; }

trap down EXIT
down; rm -rf run; mkdir -p run
cp -r shop run/shop; git -C run/shop init -q -b main; release 1.0

say "two new hosts"
for host in east west; do
  mkdir -p "run/$host/shop"; cp host.toml "run/$host/shop/genii.toml"
  python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])" >"run/$host/shop/port"
done
$GENII deploy init || :
for host in east west; do echo "COLOUR=green" >"run/$host/shop/shared/settings.env"; done
$GENII deploy init

say "the first release, before anything runs: --dry-run shows what will be done"
$GENII deploy --dry-run --only east
for host in east west; do SHOP_PORT=$(cat "run/$host/shop/port") $GENII -c "run/$host/shop/genii.toml" up -d shop >/dev/null 2>&1 || :; done
$GENII deploy; ask

say "version 1.1"
release 1.1; $GENII deploy; ask

say "version 2.0 is broken: the canary notices, and it is taken back by itself"
release 2.0 broken; $GENII deploy || echo "(exit status $?)"; ask

say "and back to 1.0 by hand"
$GENII rollback; ask

say "what is where, and the record"
$GENII releases; $GENII releases --log
