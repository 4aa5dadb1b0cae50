#!/usr/bin/env python3
"""Writes a C++ source that holds the files of a folder: embed_web.py [FOLDER] OUTPUT."""

import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
HEAD = """// Made by cmake/embed_web.py; do not edit.
#include "src/ports/web_files.h"

namespace nudge {
namespace {

"""


def request_path(name):
    return "/" + name


def array(index, data):
    lines = [f"constexpr std::uint8_t kFile{index}[] = {{"]
    for start in range(0, len(data), 32):
        lines.append(",".join(str(byte) for byte in data[start:start + 32]) + ",")
    return "\n".join(lines + ["};\n"])


def source(files):
    """`files`: (request path, content type, bytes), sorted by path."""
    text = HEAD
    rows = []
    for index, (path, content_type, data) in enumerate(files):
        text += array(index, data)
        etag = hashlib.sha256(data).hexdigest()[:32]
        rows.append(f'    {{"{path}", "{content_type}", kFile{index}, "\\"{etag}\\""}},')
    if not rows:
        return text + "}  // namespace\n\nstd::span<const WebFile> web_files() { return {}; }\n\n}  // namespace nudge\n"
    text += "\nconstexpr WebFile kFiles[] = {\n" + "\n".join(rows) + "\n};\n"
    text += "\n}  // namespace\n\nstd::span<const WebFile> web_files() { return kFiles; }\n\n}  // namespace nudge\n"
    return text


def files_of(folder):
    found = []
    for path in folder.iterdir():
        if path.suffix not in TYPES:
            sys.exit(f"error: {path.name}: no content type is known for it; add it to embed_web.py")
        found.append((request_path(path.name), TYPES[path.suffix], path.read_bytes()))
    if not any(path == "/index.html" for path, _, _ in found):
        sys.exit(f"error: {folder} has no index.html; was the page built?")
    return sorted(found)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    output = pathlib.Path(sys.argv[-1])
    files = files_of(pathlib.Path(sys.argv[1])) if len(sys.argv) == 3 else []
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(source(files), encoding="ascii")


if __name__ == "__main__":
    main()
