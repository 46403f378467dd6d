"""Policies as items of the `config` table: texts in pieces under their hash, a history, and a pointer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sallyport.adapters.dynamodb_policy import CHUNK_CHARS, COMPILED_PREFIX, piece_key
from sallyport_cli.policy.compiling import canonical
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpRules, read_ip_rules

POINTER_KEY: Final[Mapping[str, Any]] = {"pk": {"S": "policy"}, "sk": {"S": "current"}}
HISTORY: Final = "policy-history"
SOURCE_PREFIX: Final = "policy-source#"
MAX_NOTE_CHARS: Final = 500
_NUMBERS: Final = ("version", "chunks", "source_chunks", "applied_at")
_TEXTS: Final = ("sha256", "source_sha256", "applied_by", "action", "note")


@dataclass(frozen=True)
class StoredText:
    """A text in pieces. `prefix` says of which kind it is."""

    prefix: str
    sha256: str
    chunks: int

    def key(self, number: int) -> dict[str, Any]:
        """Give the key of a piece."""
        pk, sk = piece_key(self.prefix, self.sha256, number)
        return {"pk": {"S": pk}, "sk": {"S": sk}}


@dataclass(frozen=True)
class Version:
    """One entry of the history. `applied_at` is in epoch seconds; `action` such as `apply` or `rollback to 3`."""

    version: int
    sha256: str
    chunks: int
    source_sha256: str
    source_chunks: int
    applied_at: int
    applied_by: str
    action: str
    note: str = ""

    @property
    def compiled(self) -> StoredText:
        """Where the compiled policy is."""
        return StoredText(COMPILED_PREFIX, self.sha256, self.chunks)

    @property
    def source(self) -> StoredText:
        """Where the document and the `ip` entries are."""
        return StoredText(SOURCE_PREFIX, self.source_sha256, self.source_chunks)

    def as_json(self) -> dict[str, Any]:
        """Give all fields."""
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """What the operator wrote: a document (`text` empty: none) and the `ip` entries beside it."""

    name: str = ""
    text: str = ""
    ip: IpRules = NO_IP_RULES

    def as_text(self) -> str:
        """Give the form in which it is stored."""
        return canonical({"name": self.name, "document": self.text, "ip": self.ip.as_json()})


def read_source(text: str) -> Source:
    """Read what `Source.as_text` gave. Raises `ValueError`, `KeyError` and `TypeError` for anything else."""
    stored = json.loads(text)
    return Source(stored["name"], stored["document"], read_ip_rules(stored["ip"]))


def sha256_of(text: str) -> str:
    """Give the hash under which a text is stored, in hex."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def stored_text(prefix: str, text: str) -> StoredText:
    """Give where a text is to be stored."""
    return StoredText(prefix, sha256_of(text), len(pieces_of(text)))


def pieces_of(text: str) -> list[str]:
    """Cut a text into pieces that fit into items."""
    return [text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS)]


def history_key(version: int) -> dict[str, Any]:
    """Give the key of a version's entry."""
    return {"pk": {"S": HISTORY}, "sk": {"S": f"{version:08d}"}}


def history_item(version: Version) -> dict[str, Any]:
    """Give a version's entry."""
    return {**history_key(version.version), **_attributes(version, (*_NUMBERS, *_TEXTS))}


def pointer_item(version: Version) -> dict[str, Any]:
    """Give the pointer to a version."""
    names = ("version", "sha256", "chunks", "applied_at", "applied_by")
    return {**POINTER_KEY, **_attributes(version, names)}


def read_version(item: Mapping[str, Any]) -> Version:
    """Read an entry of the history. Raises `KeyError` and `ValueError` for a broken one."""
    values: dict[str, Any] = {name: int(item[name]["N"]) for name in _NUMBERS}
    return Version(**values, **{name: item[name]["S"] for name in _TEXTS})


def _attributes(version: Version, names: tuple[str, ...]) -> dict[str, Any]:
    values = version.as_json()
    return {name: {"N" if name in _NUMBERS else "S": str(values[name])} for name in names}
