#!/usr/bin/env bash
# What the harness costs: p1 + p2 + c1 of the same sector by sealbench and by a bare main that calls the same crates, in turn.
# Usage: scripts/overhead.sh [PAIRS] [SECTOR-SIZE]      (default: 5 pairs of 8MiB)
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=${1:-5} size=${2:-8MiB} seed=5ea1
cargo build --release --bin sealbench --example bare_reference
target=${CARGO_TARGET_DIR:-target}/release
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export SEALBENCH_HOME=$scratch/home TMPDIR=$scratch

# Sums the figures that follow these keys in a line of JSON.
sum() { grep -oE "\"($1)\": ?[0-9.e-]+" | awk -F': ?' '{ s += $2 } END { printf "%.4f\n", s }'; }

bare() { "$target/examples/bare_reference" "$seed" "$size" | sum 'p1_s|p2_s|c1_s'; }

harness() {
    "$target/sealbench" run --engine reference --sector-size "$size" --seed "$seed" --phases p1,p2,c1 --json "$scratch/record.json" >/dev/null 2>&1
    # The summary's medians: one per phase.
    sum median <"$scratch/record.json"
}

# One pair that does not count: it makes the parent caches and warms the page cache.
bare >/dev/null
harness >/dev/null
printf '%10s %10s %8s\n' bare_s sealbench_s ratio
for _ in $(seq "$pairs"); do
    b=$(bare) h=$(harness)
    awk -v b="$b" -v h="$h" 'BEGIN { printf "%10.3f %10.3f %8.4f\n", b, h, h / b }'
done | tee "$scratch/pairs"
sort -k3,3n "$scratch/pairs" | awk '{ r[NR] = $3 } END { printf "median ratio %.4f\n", NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2 }'
