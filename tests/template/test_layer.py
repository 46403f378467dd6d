"""The layer as `sam build` makes it, for both architectures: what is in it, and that Lambda can use it."""

import importlib.util
import marshal
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

from tests.template.transformed import ROOT

LAYER = ROOT / "layers" / "common"
TARGETS = {"arm64": "build-CommonLayerArm", "x86_64": "build-CommonLayerX86"}
MACHINES = {"arm64": 183, "x86_64": 62}  # e_machine: EM_AARCH64, EM_X86_64 (elf.h)
HOST = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
GLIBC = (2, 34)  # Amazon Linux 2023, under Lambda's Python 3.13
UNCHECKED_HASH = 0b01  # PEP 552
MAX_UNZIPPED_MIB = 40
FORBIDDEN = ("*.pyi", "*.c", "*.h", "*.pyx", "METADATA", "RECORD", "WHEEL", "INSTALLER", "py.typed")
FORBIDDEN_PACKAGES = ("boto3", "botocore", "cffi", "pycparser", "pydantic", "pip", "tests", "sallyport_cli")


@pytest.fixture(scope="module", params=sorted(TARGETS))
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def layer(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build as SAM does: in a scratch copy, with ARTIFACTS_DIR set and make's own variables away."""
    scratch, artifacts = tmp_path_factory.mktemp("scratch") / "common", tmp_path_factory.mktemp("artifacts")
    shutil.copytree(LAYER, scratch)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environ |= {"ARTIFACTS_DIR": str(artifacts), "PYTHON": sys.executable}
    command = ["make", "--silent", TARGETS[architecture]]
    done = subprocess.run(command, cwd=scratch, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return artifacts


def test_libraries_are_of_the_architecture(layer: Path, architecture: str) -> None:
    libraries = list(layer.rglob("*.so*"))
    assert {path.name.partition(".")[0] for path in libraries} == {"_cffi_backend", "_re2", "_rust", "jsonschema_rs"}
    for path in libraries:
        header = path.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == MACHINES[architecture], path


def test_libraries_load_on_lambdas_glibc(layer: Path) -> None:
    for path in layer.rglob("*.so*"):
        needed = {(2, int(minor)) for minor in re.findall(rb"GLIBC_2\.(\d+)", path.read_bytes())}
        assert needed
        assert max(needed) <= GLIBC, path


def test_bytecode_is_used_without_a_look_at_the_sources(layer: Path) -> None:
    sources = [path for path in layer.rglob("*.py") if path.name != "__main__.py"]
    assert len(sources) > 50
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        assert compiled[:4] == importlib.util.MAGIC_NUMBER, source
        assert int.from_bytes(compiled[4:8], "little") == UNCHECKED_HASH, source


def test_tracebacks_name_lambdas_paths(layer: Path) -> None:
    compiled = importlib.util.cache_from_source(str(layer / "python" / "sallyport" / "errors.py"))
    code = marshal.loads(Path(compiled).read_bytes()[16:])  # noqa: S302 - our own, just compiled
    assert isinstance(code, CodeType)
    assert code.co_filename == "/opt/python/sallyport/errors.py"


def test_only_this_pythons_bytecode(layer: Path) -> None:
    assert {path.name.split(".")[-2] for path in layer.rglob("*.pyc")} == {sys.implementation.cache_tag}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_nothing_that_is_not_needed(layer: Path, pattern: str) -> None:
    assert not list(layer.rglob(pattern))


@pytest.mark.parametrize("package", FORBIDDEN_PACKAGES)
def test_no_package_that_is_not_needed(layer: Path, package: str) -> None:
    assert not list(layer.rglob(package))


def test_licences_stay(layer: Path) -> None:
    licensed = {path.parents[1].name.partition("-")[0] for path in layer.rglob("*.dist-info/licenses/LICENSE*")}
    assert licensed == {"cffi", "cryptography", "google_re2", "pyjwt"}  # jsonschema-rs's wheel has none


def test_whole_package_is_in_it(layer: Path) -> None:
    written = LAYER / "sallyport"
    expected = {path.relative_to(written) for path in written.rglob("*") if path.suffix in {".py", ".json"}}
    built = layer / "python" / "sallyport"
    assert expected <= {path.relative_to(built) for path in built.rglob("*")}


def test_wrapper_can_be_run(layer: Path) -> None:
    assert (layer / "bootstrap").stat().st_mode & 0o111 == 0o111
    assert (layer / "bootstrap").read_bytes() == (LAYER / "bootstrap").read_bytes()


def test_layer_stays_small(layer: Path) -> None:
    size_bytes = sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
    assert size_bytes < MAX_UNZIPPED_MIB * 1024 * 1024


@pytest.mark.skipif(platform.system() != "Linux", reason="the layer's libraries are Linux's")
def test_libraries_work_without_what_was_left_out(layer: Path, architecture: str) -> None:
    if architecture != HOST:
        pytest.skip(f"this machine is {HOST}")
    program = (
        "import jwt, jsonschema_rs, re2, sallyport.runtime\n"
        "from cryptography.hazmat.primitives.asymmetric import rsa\n"
        "key = rsa.generate_private_key(65537, 2048)\n"
        "token = jwt.encode({'sub': 'a'}, key, 'RS256')\n"
        "assert jwt.decode(token, key.public_key(), ['RS256']) == {'sub': 'a'}\n"
        "assert jsonschema_rs.is_valid({'type': 'string'}, 'a')\n"
        "assert re2.search('a+', 'baa')\n"
        "assert jwt.__file__.startswith(__import__('sys').argv[1])\n"
    )
    command = [sys.executable, "-P", "-s", "-S", "-c", program, str(layer)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(layer / "python")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
