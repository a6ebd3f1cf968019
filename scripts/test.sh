#!/usr/bin/env bash
# Runs every test, section by section, and goes on after a failed one. `make test` and CI call this.
#
#   scripts/test.sh            all sections
#   scripts/test.sh lint rust  some: lint rust binary outside kernels
set -uo pipefail
cd "$(dirname "$0")/.."

sections=("$@")
[ ${#sections[@]} -gt 0 ] || sections=(lint rust binary outside kernels)
passed=0
failed=0
report=()

section() { # title, command…
  local title=$1 start=$SECONDS
  shift
  printf '\n=== %s\n\n' "$title"
  if "$@"; then
    passed=$((passed + 1))
    report+=("ok      $title ($((SECONDS - start)) s)")
  else
    failed=$((failed + 1))
    report+=("FAILED  $title ($((SECONDS - start)) s)")
  fi
}

rust_tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast
  else
    cargo test --locked --workspace --no-fail-fast
  fi
}

for s in "${sections[@]}"; do
  case "$s" in
  lint)
    section "what the tests need" scripts/need.sh build python node
    section "format" cargo fmt --all --check
    section "clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
    ;;
  rust) section "Rust tests: units, properties, oracle, command line, docs, tidy" rust_tests ;;
  binary) section "release binary" cargo build --locked --release -p wideye ;;
  kernels) section "kernels: instructions against the baseline" make --no-print-directory bench-kernels ;;
  outside) section "black-box tests: API, real clients, durability" tests/run.sh ;;
  *)
    echo "test: unknown section $s" >&2
    exit 2
    ;;
  esac
done

printf '\n=== summary (%d min %d s)\n\n' $((SECONDS / 60)) $((SECONDS % 60))
printf '%s\n' "${report[@]}"
printf '\nsections: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
