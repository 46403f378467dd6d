"""The command `sallyport`. A subcommand's modules are imported when it is called: each has its own weight."""

from __future__ import annotations

import importlib
from typing import Final

import click

_COMMANDS: Final = {
    "local": "sallyport_cli.local.command:local",
    "echo-upstream": "sallyport_cli.echo.command:echo_upstream",
    "emulator": "sallyport_cli.emulator:emulator",
    "invoke": "sallyport_cli.invoke:invoke",
    "keys": "sallyport_cli.keys:keys",
    "policy": "sallyport_cli.policy.commands:policy",
    "ip": "sallyport_cli.ip.commands:ip",
    "limits": "sallyport_cli.limits.commands:limits",
    "residency": "sallyport_cli.residency.commands:residency",
    "canary": "sallyport_cli.canary.commands:canary",
    "usage": "sallyport_cli.usage.commands:usage",
    "verify": "sallyport_cli.verify.commands:verify",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup)
@click.version_option(package_name="sallyport")
def main() -> None:
    """Sallyport: an AI gateway in your own AWS account, and on your laptop."""


if __name__ == "__main__":
    main()
