"""The parts of a SAM template that matter locally, as pydantic models of what is left once intrinsics are resolved."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    """Unknown keys are someone else's business: the template is checked as a whole by `sam validate --lint`."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class EventAuth(_Part):
    """An event's own choice of authorizer."""

    Authorizer: str | None = None


class ApiEventProperties(_Part):
    """One route."""

    Path: str
    Method: str
    Auth: EventAuth = EventAuth()
    ResponseTransferMode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"
    TimeoutInMillis: int | None = Field(default=None, ge=50, le=900_000)


class ScheduleEventProperties(_Part):
    """When a function is called by the clock."""

    Schedule: str
    State: Literal["ENABLED", "DISABLED"] = "ENABLED"


class EnvironmentPart(_Part):
    """A function's variables."""

    Variables: dict[str, str] = {}


class FunctionProperties(_Part):
    """An AWS::Serverless::Function."""

    Handler: str
    CodeUri: str
    Runtime: str = ""
    Timeout: int = Field(default=3, ge=1, le=900)
    MemorySize: int = Field(default=128, ge=128, le=10_240)
    FunctionName: str | None = None
    Layers: list[str] = []
    Environment: EnvironmentPart = EnvironmentPart()


class AuthorizerIdentity(_Part):
    """What an authorizer's cache goes by."""

    Headers: list[str] = []
    QueryStrings: list[str] = []
    ReauthorizeEvery: int = 300


class LambdaAuthorizer(_Part):
    """An authorizer that is a function."""

    FunctionArn: str
    FunctionPayloadType: str = "TOKEN"
    Identity: AuthorizerIdentity = AuthorizerIdentity()


class ApiAuth(_Part):
    """The API's authorizers."""

    DefaultAuthorizer: str | None = None
    Authorizers: dict[str, LambdaAuthorizer] = {}


class GatewayResponseParameters(_Part):
    """Headers of a gateway response."""

    Headers: dict[str, str] = {}


class GatewayResponse(_Part):
    """What API Gateway answers by itself in one case."""

    StatusCode: int | None = None
    ResponseParameters: GatewayResponseParameters = GatewayResponseParameters()
    ResponseTemplates: dict[str, str] = {}


class ApiProperties(_Part):
    """An AWS::Serverless::Api."""

    StageName: str
    Auth: ApiAuth = ApiAuth()
    GatewayResponses: dict[str, GatewayResponse] = {}
    BinaryMediaTypes: list[str] = []
    Variables: dict[str, str] = {}


class Table(_Part):
    """An AWS::DynamoDB::Table."""

    TableName: str | None = None
    AttributeDefinitions: list[dict[str, str]]
    KeySchema: list[dict[str, str]]
    GlobalSecondaryIndexes: list[dict[str, Any]] = []
    TimeToLiveSpecification: dict[str, Any] | None = None
