"""One end made of lib/dtls in a process of its own: `micropython dtls_peer.py REPOSITORY server|client PORT <SPEC`.

SPEC is one line of JSON for `Keys`. What happens is printed as lines of JSON. The server answers data with the same
backwards; the client asks once and closes.
"""

import asyncio
import json
import sys

root, role, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.path[:0] = [root + "/lib", root + "/host_tests/interop"]

from coap.udp import UdpTransport  # noqa: E402
from dtls.alert import Alert  # noqa: E402
from dtls.transport import DtlsTransport  # noqa: E402
from dtls_keys import Keys  # noqa: E402
from port.sockets import address  # noqa: E402


class Told(Keys):
    def opened(self, session):
        print(json.dumps({"opened": session.suite, "uuid": session.uuid}))

    def closed(self, session):
        print(json.dumps({"closed": session.suite}))


def backwards(data):
    return bytes(reversed(bytes(data)))


async def serve(keys):
    transport = DtlsTransport(UdpTransport("127.0.0.1", port, limit=1500), keys)
    print(json.dumps({"ready": port}))
    while True:
        data, session, _ = await transport.receive()
        transport.send(backwards(data), session)


async def ask(keys):
    transport = DtlsTransport(UdpTransport("127.0.0.1", limit=1500), keys, False)
    answers = []

    async def listen():
        while True:
            answers.append((await transport.receive())[0])
            answered.set()

    answered = asyncio.Event()
    task = asyncio.create_task(listen())
    try:
        session = await transport.connect(address("127.0.0.1", port), 15_000)
        transport.send(b"asked by a device\n", session)
        await asyncio.wait_for(answered.wait(), 40)
        print(json.dumps({"answer": bytes(answers[0]).decode()}))
        transport.drop(session)
    except Alert as alert:
        print(json.dumps({"alert": alert.code, "received": alert.received}))
    except OSError as error:
        print(json.dumps({"errno": error.errno}))
    task.cancel()


credentials = Told(json.loads(sys.stdin.readline()))
asyncio.run(serve(credentials) if role == "server" else ask(credentials))
