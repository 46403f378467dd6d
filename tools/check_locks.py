"""Checks, without a network, that the locks are in step with pyproject.toml and with each other.

`make lock` writes the locks; this refuses a requirement that was added or raised and not locked, two locks that pin
different versions of one package, a pin without hashes, and the address of any registry.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def main() -> int:
    """Print every fault; the exit status is 1 if there is one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    faults = [fault for name, wanted in _wanted(project).items() for fault in _faults_of(name, wanted)]
    faults += _disagreements([*_wanted(project)])
    for fault in faults:
        print(f"{fault}; run `make lock`", file=sys.stderr)
    return 1 if faults else 0


def _wanted(project: Mapping[str, object]) -> dict[str, list[Requirement]]:
    """The requirements that each lock must meet, by the lock's path."""
    table = project["project"]
    groups = project["dependency-groups"]
    assert isinstance(table, dict)
    assert isinstance(groups, dict)
    layer: list[str] = table["dependencies"]
    run = [*layer, *table["optional-dependencies"]["cli"], *_group(groups, "build")]
    locks = {
        "layers/common/requirements.txt": layer,
        "requirements/run.txt": run,
        "requirements/dev.txt": [*run, *_group(groups, "dev")],
        "requirements/uv.txt": _group(groups, "uv"),
        "requirements/ministack.txt": _group(groups, "ministack"),
        "requirements/bench.txt": _group(groups, "bench"),
    }
    return {path: [Requirement(text) for text in texts] for path, texts in locks.items()}


def _group(groups: Mapping[str, list[str | dict[str, str]]], name: str) -> list[str]:
    texts: list[str] = []
    for entry in groups[name]:
        texts += [entry] if isinstance(entry, str) else _group(groups, entry["include-group"])
    return texts


def _pins(path: str) -> dict[str, Version]:
    text = (ROOT / path).read_text()
    return {canonicalize_name(pin["name"]): Version(pin["version"]) for pin in PIN.finditer(text)}


def _faults_of(path: str, wanted: list[Requirement]) -> Iterator[str]:
    pins = _pins(path)
    for requirement in wanted:
        pinned = pins.get(canonicalize_name(requirement.name))
        if pinned is None:
            yield f"{path} has no pin for {requirement}"
        elif not requirement.specifier.contains(pinned, prereleases=True):
            yield f"{path} pins {requirement.name} {pinned}, which is not {requirement}"
    text = (ROOT / path).read_text()
    for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        if PIN.match(entry) and "--hash=sha256:" not in entry:
            yield f"{path} has a pin without a hash: {entry.splitlines()[0]}"
    if "://" in text or "--index" in text or "--find-links" in text:
        yield f"{path} names a registry"


def _disagreements(paths: list[str]) -> Iterator[str]:
    """Two locks that are installed into the same process, or tested for it, must pin the same versions."""
    together = [path for path in paths if not re.search("ministack|bench", path)]
    pins = {path: _pins(path) for path in together}
    for name in sorted({name for each in pins.values() for name in each}):
        versions = {path: each[name] for path, each in pins.items() if name in each}
        if len(set(versions.values())) > 1:
            yield f"{name} differs: " + ", ".join(f"{version} in {path}" for path, version in versions.items())


if __name__ == "__main__":
    raise SystemExit(main())
