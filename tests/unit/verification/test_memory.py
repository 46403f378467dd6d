"""A small body can't be made to take much memory: measured in a process of its own."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from sallyport.errors import RequestError
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import parse_strict
from tests.support.peak_memory import peak_mib
schema = RequestSchema.built_in(sys.argv[1])
before = peak_mib()
try:
    schema.check(parse_strict(sys.stdin.read()))
except RequestError as error:
    print(error.code)
print(int(peak_mib() - before))
"""


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("chat_completions", '{"model": "m", "messages": [' + "{}," * 90_000 + "{}]}"),
        ("chat_completions", '{"model": "m", "messages": [' + "{}," * 1_600_000 + "{}]}"),
        ("chat_completions", '{"model": "m", "x": [' + '{"":0},' * 90_000 + "0]}"),
        ("embeddings", '{"model": "m", "input": [' + "[]," * 190_000 + "[]]}"),
    ],
    ids=["messages at the bound", "messages over it", "root at fault", "inputs at the bound"],
)
def test_a_bad_body_takes_no_more_than_a_small_function_has(schema: str, body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, schema], input=body, capture_output=True, text=True, check=True
    )
    code, megabytes = done.stdout.split()
    assert code in {"invalid_json", "invalid_request"}
    assert int(megabytes) < 150
