#!/usr/bin/env bash
# Installs what a bare Debian machine lacks for the named purposes; does nothing where it is there.
#
#   scripts/need.sh build          Rust and a C compiler (SQLite, zstd and the allocator are C)
#   scripts/need.sh build python node valgrind
set -euo pipefail

missing=()
want() { # command, Debian packages
  command -v "$1" >/dev/null 2>&1 || missing+=("${@:2}")
}

for purpose in "$@"; do
  case "$purpose" in
  build)
    want cc gcc libc6-dev
    if ! command -v cargo >/dev/null 2>&1; then
      echo "need: Rust is not installed; get rustup from your system's packages or from the Rust project, then run this again" >&2
      exit 1
    fi
    ;;
  python)
    want python3 python3
    python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)
    ;;
  node) want npm nodejs npm ;;
  valgrind) want valgrind valgrind ;;
  *)
    echo "need: unknown purpose $purpose" >&2
    exit 2
    ;;
  esac
done

if [ ${#missing[@]} -gt 0 ]; then
  echo "need: installing ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    echo "need: not root; run: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
fi
