"""`sallyport keys`: API keys of a deployed stack, or of an emulator, from their issue to their end."""

from sallyport_cli.keys.commands import keys

__all__ = ["keys"]
