#!/usr/bin/env python3
"""Unpack the members of a wheel (a zip file) that match given patterns, all or nothing.

    unpack_wheel.py WHEEL PREFIX TARGET PATTERN...

Members `PREFIX/...` that match a pattern (fnmatch, relative to PREFIX) are written to a folder
beside TARGET, checked (zipfile compares each member's CRC-32), and the folder is renamed to TARGET,
which must not exist. With a wheel there is no need for pip to install anything.
"""
import fnmatch
import os
import shutil
import sys
import tempfile
import zipfile


def unpack(wheel, prefix, target, patterns):
    """Returns (files, bytes) written."""
    target = os.path.abspath(target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    unfinished = tempfile.mkdtemp(prefix=".unpacking.", dir=os.path.dirname(target))
    files = size_bytes = 0
    unmatched = set(patterns)
    try:
        os.chmod(unfinished, 0o755)
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if member.is_dir() or not member.filename.startswith(prefix + "/"):
                    continue
                name = member.filename[len(prefix) + 1:]
                matched = [p for p in patterns if fnmatch.fnmatchcase(name, p)]
                if not matched:
                    continue
                unmatched.difference_update(matched)
                path = os.path.join(unfinished, name)
                if not os.path.realpath(path).startswith(os.path.realpath(unfinished) + os.sep):
                    raise ValueError(f"member {member.filename} points outside the folder")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(member) as source, open(path, "wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                files += 1
                size_bytes += member.file_size
        if unmatched:
            raise ValueError(f"nothing matches {sorted(unmatched)}")
        os.rename(unfinished, target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return files, size_bytes


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    wheel, prefix, target, *patterns = sys.argv[1:]
    try:
        files, size_bytes = unpack(wheel, prefix, target, patterns)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f"unpack_wheel: {wheel}: {error}")
    print(f"{files} files, {size_bytes / 1e6:.0f} MB -> {target}")


if __name__ == "__main__":
    main()
