"""A small stack whose functions do as their event says, run by the real bootstrap."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sallyport_cli.local.function_process import FunctionProcess
from sallyport_cli.local.guardian import Guardian
from sallyport_cli.local.pool import FunctionPool
from sallyport_cli.local.request_log import Console
from sallyport_cli.local.stack import Function, Stack, load_stack

LAYER: Final = Path(__file__).parents[3] / "layers" / "common"
DEADLINE_S: Final = 20

# Each step of an event's "steps" is done in order. "gate" tells the test's gate that it is here and waits to be let on.
HANDLERS: Final = """
import json, os, socket
from sallyport.runtime.errors import InvocationRefused
from sallyport.runtime.streaming import StreamedResponse

PORT = None

def gate(name):
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(name.encode() + b"\\n")
        connection.recv(1)

def do(steps):
    for step in steps:
        name, _, value = step.partition(":")
        if name == "gate":
            gate(value)
        elif name == "exit":
            os._exit(int(value))
        elif name == "raise":
            raise RuntimeError(value)
        elif name == "yield":
            yield value.encode()

def read(event):
    global PORT
    order = json.loads(event["body"]) if event.get("body") else event
    PORT = order.get("port")
    return order

def buffered(event, context):
    order = read(event)
    for name in order.get("after", []):
        context.after_response(lambda name=name: gate(name))
    list(do(order.get("steps", [])))
    if "size" in order:
        return {"statusCode": 200, "body": "x" * order["size"]}
    answer = {"event": event, "environ": dict(os.environ), "pid": os.getpid()}
    return order.get("answer", {"statusCode": 200, "body": json.dumps(answer)})

def streamed(event, context):
    order = read(event)
    for name in order.get("after", []):
        context.after_response(lambda name=name: gate(name))
    if order.get("buffered"):
        return {"statusCode": 200, "body": "{}"}
    return StreamedResponse(200, {"content-type": "text/plain"}, do(order["steps"]))

def authorizer(event, context):
    wish = event["headers"].get("x-wish", "allow")
    if wish == "unauthorized":
        raise InvocationRefused("Unauthorized")
    if wish == "fail":
        raise RuntimeError("no")
    if wish == "nonsense":
        return {"hello": "world"}
    effect = "Allow" if wish == "allow" else "Deny"
    resource = event["methodArn"].split("/")[0] + "/*"
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "p", "policyDocument": policy, "context": {"tenant": "acme", "code": "ip_denied"}}
"""

TEMPLATE: Final = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  StageName: {Type: String, Default: prod}
  Rate: {Type: Number, Default: 5, MaxValue: 10}
  PolicyRefreshSeconds: {Type: Number, Default: 10}
  UpstreamBaseUrl: {Type: String, Default: "https://upstream.example"}
  UpstreamSecret: {Type: String, Default: ""}
Globals:
  Function:
    CodeUri: functions
    Timeout: 30
    Layers: [!Ref Layer]
    Environment: {Variables: {AWS_LAMBDA_EXEC_WRAPPER: /opt/bootstrap, STAGE: !Ref StageName}}
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: !Ref StageName
      Auth:
        DefaultAuthorizer: Door
        Authorizers:
          Door:
            FunctionArn: !GetAtt AuthorizerFunction.Arn
            FunctionPayloadType: REQUEST
            Identity: {ReauthorizeEvery: 0}
      GatewayResponses:
        ACCESS_DENIED:
          ResponseTemplates: {application/json: '{"code":"$context.authorizer.code","id":"$context.requestId"}'}
        AUTHORIZER_FAILURE: {StatusCode: 503}
        DEFAULT_5XX: {ResponseTemplates: {application/json: '{"code":"$context.error.responseType"}'}}
  Layer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: LAYER}}
  ConfigTable:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
  AuthorizerFunction: {Type: AWS::Serverless::Function, Properties: {Handler: handlers.authorizer}}
  Buffered:
    Type: AWS::Serverless::Function
    Properties:
      Handler: handlers.buffered
      Events:
        Open: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /open, Method: ANY, Auth: {Authorizer: NONE}}}
        Closed: {Type: Api, Properties: {RestApiId: !Ref Api, Path: '/closed/{id}', Method: ANY}}
        Hasty:
          Type: Api
          Properties: {RestApiId: !Ref Api, Path: /hasty, Method: ANY, TimeoutInMillis: 200, Auth: {Authorizer: NONE}}
  Streamed:
    Type: AWS::Serverless::Function
    Properties:
      Handler: handlers.streamed
      Events:
        Post:
          Type: Api
          Properties:
            RestApiId: !Ref Api
            Path: /stream
            Method: POST
            ResponseTransferMode: RESPONSE_STREAM
            Auth: {Authorizer: NONE}
  # The runtime ends a stream in good order 2 s before the timeout, so it needs more than those to begin.
  BriefStream: {Type: AWS::Serverless::Function, Properties: {Handler: handlers.streamed, Timeout: 4}}
  Brief: {Type: AWS::Serverless::Function, Properties: {Handler: handlers.buffered, Timeout: 1}}
  Broken: {Type: AWS::Serverless::Function, Properties: {Handler: broken.handler}}
"""


def write_stack(directory: Path) -> Path:
    """Writes the stack and gives its template."""
    (directory / "functions").mkdir()
    (directory / "functions" / "handlers.py").write_text(HANDLERS)
    (directory / "functions" / "broken.py").write_text("raise ValueError('broken')\n")
    template = directory / "template.yaml"
    template.write_text(TEMPLATE.replace("LAYER", str(LAYER)))
    return template


class Gate:
    """Where functions wait until the test lets them on, each under the name it gave."""

    def __init__(self) -> None:
        self.port = 0
        self._arrived: dict[str, asyncio.Future[asyncio.StreamWriter]] = {}

    async def arrived(self, name: str) -> None:
        """Returns when a function waits under `name`."""
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.shield(self._slot(name))

    async def let_on(self, name: str) -> None:
        """Waits for the function that waits under `name`, and lets it on."""
        await self.arrived(name)
        writer = self._arrived.pop(name).result()
        writer.write(b".")
        await writer.drain()
        writer.close()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        self._slot(name).set_result(writer)

    def close(self) -> None:
        for slot in self._arrived.values():
            if slot.done():
                slot.result().close()

    def _slot(self, name: str) -> asyncio.Future[asyncio.StreamWriter]:
        return self._arrived.setdefault(name, asyncio.get_running_loop().create_future())


@asynccontextmanager
async def open_gate() -> AsyncIterator[Gate]:
    gate = Gate()
    server = await asyncio.start_server(gate.take, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        gate.close()
        server.close()


class Bench:
    """The stack's pools, and the gate their functions wait at."""

    def __init__(self, stack: Stack, guardian: Guardian, gate: Gate) -> None:
        self.stack = stack
        self.gate = gate
        self.log = io.StringIO()
        self.console = Console(stream=self.log)
        self._guardian = guardian
        self.pools: dict[str, FunctionPool] = {}

    def pool(self, function: str, *, concurrency: int = 10, cold: bool = False, wait_s: float = 10) -> FunctionPool:
        """The function's pool, made at the first call."""
        if function not in self.pools:
            self.pools[function] = self.new_pool(function, concurrency=concurrency, cold=cold, wait_s=wait_s)
        return self.pools[function]

    def new_pool(self, function: str, *, concurrency: int, wait_s: float, cold: bool = False) -> FunctionPool:
        def new_process(target: Function) -> FunctionProcess:
            return FunctionProcess(target, "us-east-1", None, self._guardian, self.console)

        return FunctionPool(
            self.stack.functions[function],
            "us-east-1",
            new_process,
            concurrency=concurrency,
            cold=cold,
            wait_s=wait_s,
        )

    def order(self, *steps: str, **others: Any) -> bytes:
        return json.dumps({"port": self.gate.port, "steps": steps, **others}).encode()


@asynccontextmanager
async def open_bench(directory: Path) -> AsyncIterator[Bench]:
    stack = load_stack(write_stack(directory), {})
    with Guardian() as guardian:
        async with open_gate() as gate:
            bench = Bench(stack, guardian, gate)
            try:
                yield bench
            finally:
                for pool in bench.pools.values():
                    await pool.close()


async def until(condition: Callable[[], bool]) -> None:
    """Returns once `condition` holds; fails the test if it doesn't within the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what /proc says raises no event
            await asyncio.sleep(0.005)


def process_state(pid: int) -> str:
    """The state letter in /proc/PID/stat; "-" where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "-"
