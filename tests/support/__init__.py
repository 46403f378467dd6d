"""What tests share: emulators, servers that fail on purpose, contexts."""
