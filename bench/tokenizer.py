"""`python -m bench.tokenizer` in .venv-bench: counts the tokens of texts with OpenAI's vocabularies.

Standard input is a JSON array of texts; standard output an object with, by encoding, an array of counts.
"""

import json
import sys

from rs_bpe.bpe import openai


def main() -> None:
    """Count."""
    texts = json.load(sys.stdin)
    encodings = {"o200k_base": openai.o200k_base(), "cl100k_base": openai.cl100k_base()}
    json.dump({name: [encoding.count(text) for text in texts] for name, encoding in encodings.items()}, sys.stdout)


if __name__ == "__main__":
    main()
