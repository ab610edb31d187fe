"""`python deploy/check_sbom.py SBOM LOCK`: every locked package is in it, with version and licence."""

import json
import re
import sys
from pathlib import Path

# The first two name none in their metadata, the others in a field that the tool leaves out.
WITHOUT_LICENCE = {"axe-playwright-python", "pysqlite3", "protobuf", "pydeck"}


def wrong(sbom: str, lock: str) -> list[str]:
    """Sentences, one for each package; empty if all is well."""
    bom = json.loads(sbom)
    if bom.get("bomFormat") != "CycloneDX":
        return ["it is no CycloneDX document"]
    found = {normal(c["name"]): c for c in bom["components"]}
    told = []
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE):
        part = found.get(normal(name))
        if part is None:
            told.append(f"{name} is missing")
        elif part["version"].partition("+")[0] != version:
            told.append(f"{name} is {part['version']}, {version} is locked")
        elif not part.get("licenses") and normal(name) not in WITHOUT_LICENCE:
            told.append(f"{name} has no licence")
    return told


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    found = wrong(*(Path(p).read_text(encoding="utf-8") for p in sys.argv[1:3]))
    sys.exit("\n".join(found) if found else 0)
