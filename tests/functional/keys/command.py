"""Runs `sallyport keys` against the emulator's tables."""

import json
import time
from typing import Any

from click.testing import CliRunner, Result

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_keys import DynamoDbKeyStore
from sallyport.identity.api_keys import ApiKeyVerifier
from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Identity
from sallyport_cli.main import main
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator


class Keys:
    """Runs the command as a user types it, and looks at its output for what must never be there."""

    def __init__(self, emulator: Emulator) -> None:
        emulator.empty_tables()
        self.emulator = emulator
        self.url = emulator.url

    def run(self, *arguments: str) -> Result:
        """Run a command, good or bad; a traceback fails the test, and so does a hash on the terminal."""
        result = CliRunner(mix_stderr=False).invoke(main, ["keys", *arguments, "--endpoint-url", self.url])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "secret_sha256" not in result.output
        for item in self.emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"]:
            assert item.get("secret_sha256", {}).get("S", "no hash") not in result.output
        return result

    def text(self, *arguments: str) -> str:
        """What a good command prints on stdout."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """What a good command prints with `--output json`."""
        return json.loads(self.text(*arguments, "--output", "json"))

    def refusal(self, *arguments: str) -> str:
        """The one line that a refused command ends with."""
        result = self.run(*arguments)
        assert (result.exit_code != 0, result.stdout) == (True, "")
        return result.stderr.strip().splitlines()[-1]

    def create(self, *arguments: str) -> dict[str, Any]:
        """Issue a key of the tenant acme."""
        made = self.json("create", "--tenant", "acme", "--name", "app", *arguments)
        assert isinstance(made, dict)
        return made

    def item(self, key_id: str) -> dict[str, Any]:
        """A key's stored item."""
        key = {"pk": {"S": f"key#{key_id}"}, "sk": {"S": "key"}}
        return dict(self.emulator.dynamodb.get_item(TableName=CONFIG_TABLE, Key=key)["Item"])

    def count(self) -> int:
        """How many keys the config table has: items, each with its entry in the index, and nothing else."""
        found = [
            (item["pk"]["S"], item["sk"]["S"]) for item in self.emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"]
        ]
        stored = {pk.removeprefix("key#") for pk, sk in found if sk == "key"}
        assert {sk for pk, sk in found if pk == "keys"} == stored
        assert len(found) == 2 * len(stored)
        return len(stored)

    def index(self, key_id: str, tenant: str = "acme", table: str = CONFIG_TABLE) -> None:
        """Put a key into the index, as no command does without the key."""
        entry = {"pk": {"S": "keys"}, "sk": {"S": key_id}, "tenant": {"S": tenant}}
        self.emulator.dynamodb.put_item(TableName=table, Item=entry)

    def change(self, key_id: str, **attributes: Any) -> None:
        """Store attributes in DynamoDB's typed form, as no command would."""
        self.emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=self.item(key_id) | attributes)

    def used(self, key_id: str, day: str) -> None:
        """Store the day of a key's last use, as the first door does."""
        item = {"pk": {"S": f"used#{key_id}"}, "sk": {"S": "day"}, "last_used": {"S": day}, "expires_at": {"N": "1"}}
        self.emulator.dynamodb.put_item(TableName=COUNTERS_TABLE, Item=item)

    def identity(self, key: str, now_s: float | None = None) -> Identity:
        """Who the first door takes the holder of a key for. Raises `CredentialRefusedError`."""
        client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": self.url})
        return ApiKeyVerifier(DynamoDbKeyStore(client, CONFIG_TABLE), 0).verify(key, now_s or time.time())

    def verdict(self, key: str, now_s: float | None = None) -> str:
        """`good`, or the first door's reason against a key."""
        try:
            self.identity(key, now_s)
        except CredentialRefusedError as refusal:
            return refusal.reason
        return "good"
