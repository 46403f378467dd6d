"""What Lambda would unpack: the layer under /opt, the stock runtime client under /var/runtime, the functions' code.

All of it with bytecode that is never checked against its source, as in the layer and in the managed runtime, except
the functions' own few lines, which `sam build` ships as sources.
"""

import compileall
import importlib.metadata
import platform
import py_compile
import shutil
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "layers" / "common"
WHEELS = ("jsonschema-rs", "pyjwt")
"""Of the layer's wheels those that a request with an API key, or one with a JWT, imports."""
STOCK_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")


class Layer(NamedTuple):
    """A directory that stands for /opt, and where it came from."""

    directory: Path
    origin: str


def find_layer(scratch: Path) -> Layer:
    """Give the layer that `sam build` built if it has today's sources, else one made from them."""
    name = "CommonLayerArm" if platform.machine() in {"arm64", "aarch64"} else "CommonLayerX86"
    built = ROOT / ".aws-sam" / "build" / name
    if _has_sources_of_today(built):
        return Layer(built, f".aws-sam/build/{name}, as built by `make build`")
    reason = "older than the sources" if built.is_dir() else "not there"
    made = _make_layer(scratch / "layer")
    return Layer(made, f"a precompiled copy of layers/common (.aws-sam/build/{name} is {reason})")


def make_interpreter(directory: Path) -> Path:
    """Give an interpreter with an empty site-packages, as Lambda's, where no .pth file costs every start."""
    venv.create(directory, with_pip=False, symlinks=True)
    return directory / "bin" / "python"


def make_stock_client(directory: Path) -> Path:
    """Put the managed runtime's client into a directory that stands for /var/runtime."""
    for name in STOCK_CLIENT:
        _copy_distribution(name, directory)
    return _compile(directory)


def copy_function(source: Path, directory: Path) -> Path:
    """Copy a function's sources as `sam build` does."""
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def _has_sources_of_today(built: Path) -> bool:
    pairs = [(SOURCE / "bootstrap", built / "bootstrap")]
    modules = (SOURCE / "sallyport").rglob("*.py")
    pairs += [(module, built / "python" / module.relative_to(SOURCE)) for module in modules]
    return all(copy.is_file() and copy.read_bytes() == source.read_bytes() for source, copy in pairs)


def _make_layer(directory: Path) -> Path:
    package = directory / "python" / "sallyport"
    shutil.copytree(SOURCE / "sallyport", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in WHEELS:
        _copy_distribution(name, directory / "python")
    shutil.copy2(SOURCE / "bootstrap", directory / "bootstrap")
    _compile(directory / "python")
    return directory


def _copy_distribution(name: str, directory: Path) -> None:
    """Copy an installed distribution's modules, sources and extensions alike, without its metadata."""
    for file in importlib.metadata.files(name) or ():
        if file.suffix in {".py", ".so", ".json"} and ".." not in file.parts and "dist-info" not in file.parts[0]:
            target = directory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)


def _compile(directory: Path) -> Path:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(directory, quiet=2, invalidation_mode=mode)
    return directory
