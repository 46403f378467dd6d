"""Bodies and streams, good ones changed by chance, through the gateway's routes: `python -m tests.fuzz`."""
