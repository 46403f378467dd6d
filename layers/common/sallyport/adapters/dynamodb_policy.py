"""The applied policy, in the `config` table: a pointer item, and the compiled document in hashed pieces."""

import hashlib
from collections.abc import Mapping
from typing import Any

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.policy.current import Pointer, PolicyStoreError

POINTER_KEY = ("policy", "current")
CHUNK_CHARS = 300_000
"""Of a piece: an item holds 400 KB, and the text is ASCII."""
MAX_CHUNKS = 30
"""9 MB, twenty times 100,000 IPv4 networks: what a function of 256 MB still loads while it starts."""
COMPILED_PREFIX = "policy#"


def piece_key(prefix: str, sha256: str, number: int) -> tuple[str, str]:
    """Give a piece's partition and sort key. Each has a partition of its own: one serves 3,000 units in a second."""
    return f"{prefix}{sha256}#{number:04d}", "piece"


class DynamoDbPolicyStore:
    """A `PolicyStore` over GetItem alone, which is all that a function may do there."""

    def __init__(self, client: AwsCall, table: str) -> None:
        self._client = client
        self._table = table

    def read_pointer(self) -> Pointer | None:
        """Give what is in force, None if no document was ever applied. Raises `PolicyStoreError`."""
        item = self._read(*POINTER_KEY)
        if item is None:
            return None
        try:
            return Pointer(int(item["version"]["N"]), str(item["sha256"]["S"]), int(item["chunks"]["N"]))
        except (KeyError, ValueError, TypeError):
            raise PolicyStoreError("the pointer to the applied policy is broken") from None

    def read_compiled(self, pointer: Pointer) -> str:
        """Give a compiled document's text. Raises `PolicyStoreError`, also where the text isn't the pointer's."""
        if not 0 < pointer.chunks <= MAX_CHUNKS:
            raise PolicyStoreError("the pointer to the applied policy is broken")
        text = "".join(self._read_piece(pointer.sha256, number) for number in range(pointer.chunks))
        if hashlib.sha256(text.encode()).hexdigest() != pointer.sha256:
            raise PolicyStoreError("the applied policy isn't what was stored")
        return text

    def _read_piece(self, sha256: str, number: int) -> str:
        """Pieces never change, so that an old copy is as good, at half the price; a new one may not be there yet."""
        key = piece_key(COMPILED_PREFIX, sha256, number)
        item = self._read(*key, is_strong=False) or self._read(*key)
        if item is None or "S" not in item.get("text", {}):
            raise PolicyStoreError("a piece of the applied policy is missing")
        return str(item["text"]["S"])

    def _read(self, pk: str, sk: str, *, is_strong: bool = True) -> Mapping[str, Any] | None:
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        try:
            answer = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": is_strong})
        except AwsError as error:
            raise PolicyStoreError(f"the config table can't be read: {error.code}") from error
        return answer.get("Item")
