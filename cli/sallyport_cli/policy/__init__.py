"""The policy document: read, checked, compiled, stored, and the operator's commands for it."""
