#!/usr/bin/env python3
"""Checks the report of a pack: its structure as a screen reader meets it, and that a browser without a
network shows and prints it.

    report.py REPORT.html FOLDER_FOR_THE_SCREENSHOT
"""
import html.parser
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

problems = []


class Reader(html.parser.HTMLParser):
    VOID = {"meta", "br", "link", "img", "input", "hr"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.targets, self.headings = [], [], [], []
        self.lang = self.title = None
        self.tables = []

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "html":
            self.lang = at.get("lang")
        if "id" in at:
            self.ids.append(at["id"])
        if tag == "a":
            self.targets.append(at.get("href", ""))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "table":
            self.tables.append(set())
        if tag == "caption" and self.tables:
            self.tables[-1].add("caption")
        if tag == "th":
            self.tables[-1].add("th")
            if "scope" not in at:
                problems.append("a heading of a table has no scope")
        if tag == "svg" and not (at.get("role") == "img" and at.get("aria-label")):
            problems.append("a drawing has no words")
        for name in ("src", "srcset", "action"):
            if name in at:
                problems.append("<%s %s=%r> fetches something" % (tag, name, at[name]))
        if tag == "script" or any(name.startswith("on") for name in at):
            problems.append("there is a script")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            problems.append("</%s> closes something else" % tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "title":
            self.title = data


path, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
text = path.read_text(encoding="utf-8")
reader = Reader()
reader.feed(text)
if reader.open:
    problems.append("open at the end: %s" % reader.open)
if not reader.lang or not reader.title:
    problems.append("no language or no title")
if reader.headings.count(1) != 1 or any(b > a + 1 for a, b in zip(reader.headings, reader.headings[1:])):
    problems.append("headings leave a level out: %s" % reader.headings[:20])
if len(set(reader.ids)) != len(reader.ids):
    problems.append("an id is there twice")
for target in reader.targets:
    if not target.startswith("#") or target[1:] not in reader.ids:
        problems.append("a link leads to %r" % target)
if any(table != {"caption", "th"} for table in reader.tables):
    problems.append("a table has no caption or no headings")
if re.search(r"url\(|@import|https?://", text):
    problems.append("something is fetched from elsewhere")
print("structure: %d headings, %d tables, %d links" % (
    len(reader.headings), len(reader.tables), len(reader.targets)))

browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not browser:
    print("skipped: no browser")
else:
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
              "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=%s" % (folder / "profile")]

    def run(*more):
        subprocess.run([*common, *more, path.as_uri()], check=True, capture_output=True, timeout=120)

    def colours(png):
        """How many different colours a screenshot has, from its raw lines: a blank page has one."""
        place, data = 8, b""
        while place < len(png):
            length, kind = struct.unpack(">I4s", png[place:place + 8])
            if kind == b"IHDR":
                width, height, _, colour = struct.unpack(">IIBB", png[place + 8:place + 18])
            if kind == b"IDAT":
                data += png[place + 8:place + 8 + length]
            place += 12 + length
        raw = zlib.decompress(data)
        line = width * (4 if colour == 6 else 3) + 1
        return len({raw[i * line:(i + 1) * line] for i in range(height)})

    for name, width in [("wide", 1200), ("narrow", 420)]:
        shot = folder / ("report-%s.png" % name)
        run("--window-size=%d,1800" % width, "--screenshot=%s" % shot)
        lines = colours(shot.read_bytes())
        print("%s screenshot: %d different lines" % (name, lines))
        if lines < 200:
            problems.append("the %s screenshot is nearly empty" % name)
    pdf = folder / "report.pdf"
    run("--print-to-pdf=%s" % pdf, "--no-pdf-header-footer")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    print("print: %d pages" % pages)
    # Closed parts are opened on paper, so everything that is in the file is on it.
    if pages < 3:
        problems.append("the print has %d pages" % pages)
    shutil.rmtree(folder / "profile", ignore_errors=True)
for problem in sorted(set(problems)):
    print("FAIL ", problem)
sys.exit(1 if problems else 0)
