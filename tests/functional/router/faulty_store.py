"""DynamoDB with faults: a server on loopback that passes calls on to the emulator, except for writes when told so."""

import http.client
import json
from urllib.parse import urlsplit

from tests.support.servers import Peer, Received

THROTTLED = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}).encode()


class FaultyStore:
    """A script for `ScriptedServer`. `fault`: none, `throttled`, `silent`, or `committed`: done, and never answered."""

    def __init__(self, emulator_url: str) -> None:
        self._netloc = urlsplit(emulator_url).netloc
        self.fault = ""
        self.writes = 0

    def __call__(self, peer: Peer) -> None:
        while (request := peer.read()) is not None:
            is_write = request.headers["x-amz-target"].endswith(".UpdateItem")
            self.writes += is_write
            fault = self.fault if is_write else ""
            if fault == "throttled":
                peer.answer(400, THROTTLED)
            elif fault == "silent":
                return peer.wait_closed()
            else:
                status, body = self._pass_on(request)
                if fault == "committed":
                    return peer.wait_closed()
                peer.answer(status, body)
        return None

    def _pass_on(self, request: Received) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._netloc, timeout=30)
        try:
            connection.request(request.method, request.target, request.body, request.headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
