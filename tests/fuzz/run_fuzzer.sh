#!/bin/sh
# Runs one libFuzzer target for its share of CROSSLOOM_FUZZ_SECONDS (default 10, all targets
# together).   run_fuzzer.sh BINARY TARGETS WORK_FOLDER DICTIONARY SEED_FOLDER…
# New inputs are kept in WORK_FOLDER/corpus, a crashing one in WORK_FOLDER.
set -eu
binary=$1 targets=$2 work=$3 dictionary=$4
shift 4
seconds=$((${CROSSLOOM_FUZZ_SECONDS:-10} / targets))
[ "$seconds" -ge 1 ] || seconds=1
mkdir -p "$work/corpus"
# Leaks are looked for by the unit tests in this build; after millions of inputs the search takes minutes.
export ASAN_OPTIONS=detect_leaks=0
exec "$binary" -max_total_time="$seconds" -timeout=60 -detect_leaks=0 -rss_limit_mb=2048 -malloc_limit_mb=512 \
  -max_len=20000 -dict="$dictionary" -print_final_stats=1 -artifact_prefix="$work/" \
  "$work/corpus" "$@"
