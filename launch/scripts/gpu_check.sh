#!/usr/bin/env bash
# What only a machine with a GPU can show: builds the CUDA part and its tests for that GPU in a
# build folder of its own (build/gpu_check), runs them, and prints a Markdown block for
# benchmarks/README.md.
#
#   launch/scripts/gpu_check.sh [PART_OF_A_TEST_NAME]
#
# Needs the CUDA toolkit (nvcc), NCCL, a driver and what launch/setup.sh installs; that script is
# run first where .deps is missing, and nothing else is fetched. The tests make their own small
# inputs. Exit code 0 only when every selected test ran and passed: here a skipped test is a
# failure, for it was the point. Logs stay in build/gpu_check.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

BUILD="$ROOT/build/gpu_check"
[ "$#" -le 1 ] || die "usage: launch/scripts/gpu_check.sh [PART_OF_A_TEST_NAME]"
wanted="${1:-.}"  # a regular expression of ctest

# gpu_fact NAME: one line about the first GPU, as the driver tells it.
gpu_fact() { nvidia-smi --id=0 --query-gpu="$1" --format=csv,noheader; }

check_machine() {
  [ -n "$(nvidia-smi --list-gpus 2>/dev/null | grep '^GPU' || true)" ] ||
    die "no GPU on this machine: nvidia-smi lists none." "Run this where a GPU and its driver are."
  command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] ||
    die "no CUDA toolkit on this machine: nvcc is not there." "Install it, with NCCL, and run this again."
}

# gpu_tests: the names of ctest's entries with the label gpu that were asked for.
gpu_tests() {
  ctest --test-dir "$BUILD" --show-only --label-regex '^gpu$' --tests-regex "$wanted" 2>/dev/null |
    sed -n 's/^ *Test *#[0-9]*: //p'
}

# build: the part and the test binaries, NAME_test for each entry NAME (cmake/CrossloomTest.cmake).
build() {
  local architecture targets=() started="$SECONDS"
  architecture="$(gpu_fact compute_cap | tr -d '. ')"
  say "build for sm_$architecture (log: build/gpu_check/build.log)"
  mkdir -p "$BUILD"
  cmake --preset cuda -B "$BUILD" -DCROSSLOOM_CUDA_ARCHITECTURES="$architecture" >"$BUILD/build.log" 2>&1 || fail_build
  mapfile -t targets < <(gpu_tests | sed 's/$/_test/')
  [ "${#targets[@]}" -gt 0 ] || die "no test with the label gpu has '$wanted' in its name."
  cmake --build "$BUILD" -j "$(build_jobs)" --target "${targets[@]}" >>"$BUILD/build.log" 2>&1 || fail_build
  say "build took $((SECONDS - started)) s"
}

fail_build() {
  grep -E -B2 -A12 'error|Error|FAILED' "$BUILD/build.log" | head -n 60 >&2 || true
  die "the build failed; all of it is in build/gpu_check/build.log"
}

# run_tests: ctest's output as it comes and in $BUILD/tests.log.
run_tests() {
  ctest --test-dir "$BUILD" --label-regex '^gpu$' --tests-regex "$wanted" --verbose 2>&1 | tee "$BUILD/tests.log"
}

# case_results: "name milliseconds verdict" of every GoogleTest case in the log.
case_results() {
  sed -n -E 's/^[0-9]+: \[ +(OK|FAILED|SKIPPED) +\] ([A-Za-z0-9_./]+) \(([0-9]+) ms\)$/\2 \3 \1/p' "$BUILD/tests.log"
}

print_block() {
  local commit name milliseconds verdict
  commit="$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo "unknown (no git folder here)")"
  [ -z "$(git -C "$ROOT" status --porcelain 2>/dev/null)" ] || commit="$commit with uncommitted changes"
  printf '\n## GPU tests\n\n'
  printf 'Commit %s; %s, driver %s, %s.\n' "$commit" "$(gpu_fact name)" "$(gpu_fact driver_version)" "$(nvcc_version)"
  # shellcheck disable=SC2016  # the backquotes are Markdown's
  printf '`launch/scripts/gpu_check.sh%s`\n\n' "${1:+ $1}"
  printf '| test | time | result |\n|---|---|---|\n'
  case_results | while read -r name milliseconds verdict; do
    printf '| %s | %s ms | %s |\n' "$name" "$milliseconds" "$verdict"
  done
  printf '\n'
}

nvcc_version() {
  { nvcc --version 2>/dev/null || /usr/local/cuda/bin/nvcc --version; } | sed -n 's/.*release \([0-9.]*\),.*/CUDA \1/p'
}

check_machine
cd "$ROOT"
[ -e "$DEPS/torch/lib/libtorch_cpu.so" ] || launch/setup.sh
build
passed=yes
run_tests || passed=no
print_block "$@"
[ "$passed" = yes ] || die "a test failed; the output is in build/gpu_check/tests.log"
# The one left out here is for machines without a GPU.
skipped="$(case_results | grep ' SKIPPED$' | grep -v '^CudaPart.WithoutAGpuNcclSaysSo ' || true)"
[ -z "$skipped" ] || die "tests were skipped although there is a GPU:" "$skipped"
say "all passed"
