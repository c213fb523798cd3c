#!/usr/bin/env python3
"""Writes models/unicode_additions.h: the characters that the `tokenizers` library's Unicode tables
have and Unicode 14 (PCRE2 10.42, this script's Python 3.11) has not, per general category.

For developers:  pip install tokenizers==0.23.3 && python3.11 tests/golden/make_unicode_additions.py
"""
import pathlib
import unicodedata

from tokenizers import Regex, __version__, pre_tokenizers

CATEGORIES = ["L", "Lu", "Ll", "Lm", "Lo", "M", "N", "Nd", "P", "S"]
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(code_points):
    found = []
    for c in sorted(code_points):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def escape(code_points):
    def one(c):
        return "\\\\x{%X}" % c
    return [one(a) if a == b else one(a) + "-" + one(b) for a, b in ranges(code_points)]


def added(category):
    """What the library's \\p{category} matches beyond Unicode 14."""
    split = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "removed")
    library = {c for c in CHARACTERS if not split.pre_tokenize_str(c)}
    base = {c for c in CHARACTERS if unicodedata.category(c).startswith(category)}
    assert base <= library, (category, sorted(base - library)[:5])
    return {ord(c) for c in library - base}


def numeric():
    """What Digits splits off beyond Unicode 14's \\p{N} (Rust's char::is_numeric)."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    library = {c for c in CHARACTERS if len(digits.pre_tokenize_str("a" + c)) == 2}
    base = {c for c in CHARACTERS if unicodedata.category(c).startswith("N")}
    assert base <= library
    return {ord(c) for c in library - base}


def lines(pieces, width=84):
    row = ""
    for piece in pieces:
        if row and len(row) + len(piece) > width:
            yield row
            row = ""
        row += piece
    yield row


def entry(name, code_points):
    body = "\n".join('     "%s"' % row for row in lines(escape(code_points)))
    return '    {"%s",\n%s},\n' % (name, body)


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    table = "".join(entry(c, added(c)) for c in CATEGORIES) + entry("numeric", numeric())
    text = f"""// Made by tests/golden/make_unicode_additions.py from tokenizers {__version__}; do not edit.
// Characters that the reference's Unicode tables have and Unicode 14 (PCRE2 10.42) has not, as
// ranges for a PCRE2 character class. With a newer PCRE2 they repeat what it knows: harmless.
#pragma once

namespace crossloom::models {{

struct UnicodeAddition {{
  const char* category;
  const char* ranges;
}};

// clang-format off
inline constexpr UnicodeAddition kUnicodeAdditions[] = {{
{table}}};
// clang-format on

}}  // namespace crossloom::models
"""
    root = pathlib.Path(__file__).resolve().parents[2]
    (root / "models" / "unicode_additions.h").write_text(text)


if __name__ == "__main__":
    main()
