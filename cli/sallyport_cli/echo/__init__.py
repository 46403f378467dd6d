"""An OpenAI-compatible upstream that costs nothing, answers with what it was told, and fails on demand."""
