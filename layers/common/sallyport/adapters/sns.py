"""Messages to a topic of SNS. The guard publishes one for each verdict, seldom, and outside of any request.

So it takes boto3, which Lambda brings along, and imports it when there is something to say: SNS speaks another protocol
than the slim client does.
"""

from collections.abc import Mapping
from typing import Any

from sallyport.observability.topic import PublishError

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 5
_TRIES = 3


class SnsTopic:
    """One topic, in whichever region its ARN names: publishing anywhere else fails."""

    def __init__(self, arn: str, environ: Mapping[str, str]) -> None:
        self._arn = arn
        self._environ = environ
        self._client: Any = None

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        """Publish a message; subscribers can filter by its attributes. Raises `PublishError`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - 190 ms, for a rare message

        try:
            self._connected().publish(
                TopicArn=self._arn,
                Subject=subject,
                Message=message,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        except ClientError as error:
            raise PublishError(str(error.response["Error"]["Code"])) from error
        except BotoCoreError as error:
            raise PublishError(type(error).__name__) from error

    def _connected(self) -> Any:
        if self._client is None:
            import boto3  # noqa: PLC0415 - the same
            from botocore.config import Config  # noqa: PLC0415 - the same

            environ = self._environ
            self._client = boto3.client(
                "sns",
                region_name=self._arn.split(":")[3],
                aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
                aws_session_token=environ.get("AWS_SESSION_TOKEN"),
                endpoint_url=environ.get("AWS_ENDPOINT_URL_SNS") or environ.get("AWS_ENDPOINT_URL") or None,
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"total_max_attempts": _TRIES},
                ),
            )
        return self._client
