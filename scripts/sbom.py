#!/usr/bin/env python3
"""Writes a software bill of materials (CycloneDX 1.5, JSON) of what Nudge is built from.

It lists what scripts/dependencies.json names, the packages of the page's lock file, and the Python
package's requirements. Versions of system libraries are those installed here, as dpkg tells them; a
library that is not installed is listed without one. Equal inputs give equal bytes.

usage: scripts/sbom.py [OUTPUT]     without OUTPUT: to standard output
"""

import base64
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def installed_version(package):
    """Of a Debian package; None where there is none, or no dpkg."""
    try:
        found = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package],
            capture_output=True, text=True, check=False)
    except OSError:
        return None
    status, _, version = found.stdout.partition(" ")
    return version if found.returncode == 0 and status == "installed" else None


def licenses(expression):
    if re.search(r" (AND|OR) ", expression):
        return [{"expression": expression}]
    # "gnuplot" and "blessing" are names of licences, too; all are SPDX's.
    return [{"license": {"id": expression}}]


def scope(use):
    return "excluded" if use == "test" else "required"


def system_components(listed):
    for entry in listed:
        component = {"type": "library", "name": entry["name"],
                     "bom-ref": f"apt:{entry['apt']}", "scope": scope(entry["use"]),
                     "licenses": licenses(entry["license"])}
        if entry["use"] == "program":
            component["type"] = "application"
        version = installed_version(entry["apt"])
        if version is not None:
            component["version"] = version
            component["purl"] = f"pkg:deb/debian/{entry['apt']}@{version.replace(':', '%3A')}"
        yield component


def page_components(lock):
    for path, entry in sorted(lock["packages"].items()):
        if path == "":
            continue
        name = path.rsplit("node_modules/", 1)[1]
        component = {"type": "library", "name": name, "version": entry["version"],
                     "bom-ref": f"npm:{name}@{entry['version']}",
                     "scope": scope("test" if entry.get("dev") else "shared"),
                     "licenses": licenses(entry["license"]),
                     "purl": f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"}
        if entry.get("optional"):
            component["scope"] = "optional"
        algorithm, _, digest = entry["integrity"].partition("-")
        component["hashes"] = [{"alg": {"sha512": "SHA-512", "sha1": "SHA-1"}[algorithm],
                                "content": base64.b64decode(digest).hex()}]
        yield component


def python_components(listed):
    for entry in listed:
        yield {"type": "library", "name": entry["name"],
               "bom-ref": f"pypi:{entry['name'].lower()}", "scope": scope(entry.get("use", "")),
               "licenses": licenses(entry["license"]),
               "purl": f"pkg:pypi/{entry['name'].lower()}"}


def version_of_nudge():
    return re.search(r"project\(\s*nudge\s+VERSION\s+([0-9.]+)",
                     (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.IGNORECASE)[1]


def make():
    listed = json.loads((ROOT / "scripts/dependencies.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "web/package-lock.json").read_text(encoding="utf-8"))
    components = [*system_components(listed["system"]), *page_components(lock),
                  *python_components(listed["pypi"])]
    me = f"nudge@{version_of_nudge()}"
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": {"type": "application", "name": "nudge", "bom-ref": me,
                                       "version": version_of_nudge(),
                                       "licenses": licenses("Apache-2.0")}},
            "components": components,
            "dependencies": [{"ref": me, "dependsOn": [c["bom-ref"] for c in components]}]}


def main(arguments):
    if any(a in ("-h", "--help") for a in arguments) or len(arguments) > 1:
        print(__doc__.strip())
        return 0 if arguments and arguments[0] in ("-h", "--help") else 64
    text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
    if arguments:
        pathlib.Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
