#!/usr/bin/env bash
# Runs the black-box tests against the built binary. Arguments go to pytest.
#
#   tests/run.sh                      everything
#   tests/run.sh tests/api -k times   some of it
#
# WIDEYE_BIN   the binary (default target/release/wideye)
# WIDEYE_VENV  where the Python packages are installed (default .venv)
# Python 3.11 or later, Node 20.6 or later.
set -euo pipefail
cd "$(dirname "$0")/.."

export WIDEYE_BIN="${WIDEYE_BIN:-$PWD/target/release/wideye}"
venv="${WIDEYE_VENV:-$PWD/.venv}"
requirements=tests/clients/requirements.txt
js=tests/clients/js

if [ ! -x "$WIDEYE_BIN" ]; then
  echo "no binary at $WIDEYE_BIN: run 'cargo build --release -p wideye', or set WIDEYE_BIN" >&2
  exit 1
fi

# Install only what has changed since the last run.
if ! cmp -s "$requirements" "$venv/.wideye-requirements"; then
  python="$(command -v python3.11 || command -v python3)"
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/.wideye-requirements"
fi
if ! cmp -s "$js/package-lock.json" "$js/node_modules/.wideye-lock"; then
  (cd "$js" && npm ci --no-audit --no-fund --silent)
  cp "$js/package-lock.json" "$js/node_modules/.wideye-lock"
fi

exec "$venv/bin/python" -m pytest -c tests/pytest.ini --rootdir tests --durations 15 "$@"
