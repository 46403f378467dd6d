"""Where an operator's command works: a deployed stack's config table, or an emulator's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click

from sallyport_cli.local.emulated_data import emulator_client, is_loopback

CONFIG_TABLE: Final = "ConfigTable"
COUNTERS_TABLE: Final = "CountersTable"


@dataclass(frozen=True)
class Target:
    """A stack, by its name or by its config table's, in AWS or at an emulator's endpoint."""

    stack: str | None
    table: str | None
    region: str | None
    endpoint_url: str | None

    @property
    def is_local(self) -> bool:
        """Whether it is an emulator on this machine."""
        return self.endpoint_url is not None and is_loopback(self.endpoint_url)

    def client(self, service: str, config: Any = None) -> Any:
        """A client of AWS with the user's own configuration, or of an emulator on this machine, which needs none.

        `config` is botocore's Config, for AWS alone.
        """
        import boto3  # noqa: PLC0415 - half a second that --help needn't cost
        from botocore.exceptions import BotoCoreError, NoRegionError  # noqa: PLC0415 - the same

        if self.endpoint_url is not None and self.is_local:
            return emulator_client(service, self.endpoint_url, self.region or "us-east-1")
        try:
            return boto3.session.Session().client(
                service,  # type: ignore[call-overload]
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                config=config,
            )
        except NoRegionError:
            raise click.ClickException("no region: give --region, or set AWS_REGION") from None
        except (BotoCoreError, ValueError) as error:
            raise click.ClickException(str(error)) from None

    def config_table(self) -> str:
        """The name of the config table. Raises click's exceptions where it isn't told or can't be found."""
        if self.table is None and self.stack is None and self.is_local:
            return CONFIG_TABLE  # as `sallyport local` and `sallyport emulator` name it
        if self.table is not None and self.stack is not None:
            raise click.UsageError("--stack finds the table by itself: leave --table out")
        if self.table is None and self.stack is None:
            raise click.UsageError("give --table or --stack")
        return self.table or self._physical_id(CONFIG_TABLE)

    def counters_table(self) -> str | None:
        """The name of the counters table; None where only the config table is known."""
        if self.stack is not None:
            return self._physical_id(COUNTERS_TABLE)
        return COUNTERS_TABLE if self.is_local and self.table in {None, CONFIG_TABLE} else None

    def _physical_id(self, logical_id: str) -> str:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

        try:
            client = self.client("cloudformation")
            found = client.describe_stack_resource(StackName=self.stack, LogicalResourceId=logical_id)
            return str(found["StackResourceDetail"]["PhysicalResourceId"])
        except (BotoCoreError, ClientError) as error:
            raise click.ClickException(f"stack {self.stack}: {error}") from None
        except (ResponseParserError, AttributeError, KeyError, TypeError):  # an endpoint may be anything at all
            raise click.ClickException(f"stack {self.stack}: that endpoint has no CloudFormation") from None


def _check_url(_context: click.Context, _parameter: click.Parameter, url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://, as the banner's AWS line does")
    return url


def target_options[F: Callable[..., Any]](command: F) -> F:
    """Adds the options that say where, as the keywords `stack`, `table`, `region` and `endpoint_url`.

    `Target(stack, table, region, endpoint_url)` takes them.
    """
    for option in (
        click.option("--endpoint-url", callback=_check_url, help="An emulator's URL, instead of AWS."),
        click.option("--region", help="[default: the AWS configuration's]"),
        click.option("--stack", help="Name of the stack; its tables are looked up."),
        click.option("--table", help="Name of the config table.  [default, with an emulator: ConfigTable]"),
    ):
        command = option(command)
    return command
