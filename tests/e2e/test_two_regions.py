"""examples/two-regions as its page says: two gateways side by side, and nobody's prompt beside its region."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from openai import OpenAI

from tests.e2e.sdk_clients import key_with
from tests.support.aws import ROOT
from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

EXAMPLE = ROOT / "examples" / "two-regions"
EU, US = "eu-central-1", "us-east-1"
HOMES = {"acme": EU, "globex": US}
MESSAGES: Any = [{"role": "user", "content": "one two three"}]


class Region(NamedTuple):
    """A gateway with its upstream and the file that its functions' lines go to."""

    name: str
    gateway: LocalStack
    echo: "subprocess.Popen[str]"
    log: Path

    def key(self, tenant: str) -> str:
        return key_with(self.gateway, self.name, tenant=tenant)

    def client(self, tenant: str) -> OpenAI:
        return OpenAI(base_url=f"{self.gateway.url}/v1", api_key=self.key(tenant), max_retries=0)

    def records(self) -> list[dict[str, Any]]:
        """Audit records up to now."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if "chain" in line]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_echo(port: int, cleanup: ExitStack) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sallyport_cli.main", "echo-upstream", "--port", str(port)]
    process = cleanup.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    cleanup.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")
    return process


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Region]]:
    directory, policy = tmp_path_factory.mktemp("regions"), (EXAMPLE / "policy.yaml").read_text()
    ports = {EU: free_port(), US: free_port()}
    for documented, region in (("9001", EU), ("9002", US)):
        policy = policy.replace(f":{documented}", f":{ports[region]}")
    (directory / "policy.yaml").write_text(policy)
    with ExitStack() as cleanup:
        started = {}
        for region, port in ports.items():
            log = directory / f"{region}.log"
            options = ("--region", region, "--policy", str(directory / "policy.yaml"), "--log-file", str(log))
            echo = start_echo(port, cleanup)
            started[region] = Region(region, cleanup.enter_context(LocalStack(*options)), echo, log)
        yield started


def ask(region: Region, tenant: str, **options: Any) -> Any:
    with region.client(tenant) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES, **options)
        return raw.headers["x-sallyport-region"], raw.parse()


@pytest.mark.parametrize("tenant", HOMES)
def test_a_tenant_is_answered_at_home(regions: dict[str, Region], tenant: str) -> None:
    home = regions[HOMES[tenant]]
    region, completion = ask(home, tenant)
    assert region == home.name
    assert completion.choices[0].message.content == "one two three"
    forwarded = [record for record in home.records() if record.get("tenant") == tenant and record.get("upstream")]
    assert forwarded
    assert {(record["region"], *record.get("regions", [home.name])) for record in forwarded} == {(home.name, home.name)}


@pytest.mark.parametrize("tenant", HOMES)
def test_elsewhere_the_right_gateway_is_named(regions: dict[str, Region], tenant: str) -> None:
    home = HOMES[tenant]
    elsewhere = regions[US if home == EU else EU]
    before = len(elsewhere.records())
    with pytest.raises(openai.APIStatusError) as caught:
        ask(elsewhere, tenant)
    assert (caught.value.status_code, caught.value.code) == (421, "misdirected_region")
    documented = re.search(rf"{home}: (http://127.0.0.1:\d+)$", (EXAMPLE / "policy.yaml").read_text(), re.MULTILINE)
    assert documented is not None
    assert documented[1] in str(caught.value)
    assert all(record.get("verdict") != "forward" for record in elsewhere.records()[before:])


@pytest.mark.parametrize("region", [EU, US])
def test_a_tenant_of_both_regions_stays_in_the_gateways(regions: dict[str, Region], region: str) -> None:
    assert ask(regions[region], "initech")[0] == region


def test_the_audit_records_verify(regions: dict[str, Region]) -> None:
    for region in regions.values():
        ask(region, "initech")
        where = ("--endpoint-url", region.gateway.emulator_url, "--region", region.name, "--log-file", str(region.log))
        command = [sys.executable, "-m", "sallyport_cli.main", "residency", "verify", *where]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_dead_upstream_is_no_reason_to_leave_the_region(regions: dict[str, Region]) -> None:
    """The last one, since it ends the upstream in Europe."""
    europe = regions[EU]
    europe.echo.kill()
    europe.echo.wait(30)
    for tenant in ("acme", "initech"):
        with pytest.raises(openai.APIStatusError) as caught:
            ask(europe, tenant)
        assert 500 <= caught.value.status_code < 600
    gone = {place for record in europe.records() for place in record.get("regions") or ()}
    assert gone <= {EU}
