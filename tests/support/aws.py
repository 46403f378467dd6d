"""AWS on loopback: moto's server, single-threaded in its own process, with the tables that template.yaml describes."""

import functools
import os
import selectors
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import yaml

ROOT = Path(__file__).parents[2]
CONFIG_TABLE, COUNTERS_TABLE, ANCHORS_TABLE = TABLES = "ConfigTable", "CountersTable", "AnchorsTable"
LOCAL_AWS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
_SERVER = """
import sys
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Emulator:
    """A running moto server."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        )
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(timeout=60), "moto's server did not start"
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.dynamodb = boto3.client("dynamodb", endpoint_url=self.url, region_name="us-east-1")
        self.secrets = boto3.client("secretsmanager", endpoint_url=self.url, region_name="us-east-1")
        for name in TABLES:
            self.dynamodb.create_table(TableName=name, **table_properties(name))

    def empty_tables(self) -> None:
        """Delete every item."""
        for name in TABLES:
            for item in self.dynamodb.scan(TableName=name)["Items"]:
                self.dynamodb.delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.communicate()


class _Loader(yaml.SafeLoader):
    """Reads the template's own tags as plain values."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


@functools.cache
def _resources() -> dict[str, Any]:
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader's child
    resources: dict[str, Any] = template["Resources"]
    return resources


def table_properties(logical_id: str) -> dict[str, Any]:
    """Give what CreateTable needs of a table in template.yaml."""
    properties = _resources()[logical_id]["Properties"]
    return {name: properties[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}
