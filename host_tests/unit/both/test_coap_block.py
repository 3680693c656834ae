"""Transfers in blocks, the server's side: RFC 7959."""

import asyncio

from coap import block
from coap.endpoint import Endpoint
from coap.message import Response
from coap_rig import CON, Recorder, datagram

BODY = bytes(i * 7 & 0xFF for i in range(3000))


class Server:
    def __init__(self, **settings):
        self.got = []
        self.body = BODY
        self.wire = Recorder()
        self.endpoint = Endpoint(self.wire, self.handle, **settings)
        self.mid = 0

    def handle(self, request):
        self.got.append(request)
        return Response(0x45 if request.code == 1 else 0x44, self.body, 60)

    def ask(self, code=1, options=(), payload=b"", peer="p", path="x"):
        self.mid += 1
        self.endpoint.receive(datagram(CON, code, self.mid, b"t", [(11, path)] + list(options), payload), peer)
        return self.wire.take()

    def put(self, number, more, payload, szx=6, **arguments):
        options = [(27, number << 4 | more << 3 | szx)] + arguments.pop("options", [])
        return self.ask(2, options, payload, **arguments)


async def test_long_answer_is_cut():
    server = Server()
    first = server.ask()
    assert first.block2 == 0x0E and first.size2 == 3000 and len(first.etag) == 8 and first.content_format == 60
    second = server.ask(options=[(23, 0x16)])
    third = server.ask(options=[(23, 0x26)])
    assert first.payload + second.payload + third.payload == BODY
    assert (second.block2, third.block2) == (0x1E, 0x26) and second.size2 is None
    assert first.etag == second.etag == third.etag
    assert len(server.got) == 1
    server.endpoint.close()


async def test_smaller_blocks_on_request():
    for szx in range(7):
        server = Server()
        body = b""
        more = True
        while more:
            number = len(body) >> szx + 4
            reply = server.ask(options=[(23, number << 4 | szx)])
            assert reply.code == 0x45 and reply.block2 & 7 == szx and reply.block2 >> 4 == number
            body += reply.payload
            more = reply.block2 & 8
        assert body == BODY
        server.endpoint.close()


async def test_an_answer_in_pieces_is_the_same_on_the_wire():
    """And nothing of it is copied: it is kept as the pieces that it came in."""
    for length in (1, 256, 257, 1024, 1025, 2800):
        pieces = [BODY[at : min(at + 256, length)] for at in range(0, length, 256)]
        for szx in (2, 4, 6):
            answers = []
            for answer in (BODY[:length], list(pieces)):
                server = Server()
                server.body = answer
                replies = [server.ask(options=[(23, szx)])]
                while replies[-1].block2 is not None and replies[-1].block2 & 8:
                    if answer == pieces:
                        assert server.endpoint.bodies[0][2].payload[0] is pieces[0]
                    replies.append(server.ask(options=[(23, len(replies) << 4 | szx)]))
                answers.append([(reply.payload, reply.size2, reply.etag) for reply in replies])
                server.endpoint.close()
            whole, cut = answers
            assert b"".join(reply[0] for reply in cut) == BODY[:length]
            if len(whole) > 1 or whole[0][2]:
                assert cut == whole, (length, szx)


async def test_a_handler_may_answer_with_the_same_object_again():
    server = Server()
    answer = Response(0x45, BODY, 60)
    server.endpoint.handler = lambda request: answer
    first = server.ask()
    answer.payload = bytes(reversed(BODY))[:2000]
    again = server.ask()
    assert answer.etag is None and again.etag != first.etag and again.size2 == 2000
    assert again.payload + server.ask(options=[(23, 0x16)]).payload == bytes(answer.payload)
    server.endpoint.close()


async def test_blocks_belong_together_while_the_state_changes():
    server = Server()
    first = server.ask()
    server.body = bytes(2500)
    second = server.ask(options=[(23, 0x16)])
    assert second.payload == BODY[1024:2048] and second.etag == first.etag
    again = server.ask()
    assert again.size2 == 2500 and again.etag != first.etag
    assert server.ask(options=[(23, 0x16)]).etag == again.etag
    server.endpoint.close()


async def test_evicted_answer_is_rendered_again():
    server = Server()
    first = server.ask()
    for peer in ("q", "r", "s"):
        server.ask(peer=peer)
    assert len(server.endpoint.bodies) <= 2
    assert server.ask(options=[(23, 0x16)]).etag == first.etag
    server.endpoint.close()


async def test_answers_are_not_kept_for_ever():
    server = Server(transfer_timeout=20, ack_timeout=100)
    server.ask()
    server.put(0, 1, bytes(1024))
    while server.endpoint.bodies or server.endpoint.parts:
        await asyncio.sleep(0.01)
    assert not server.endpoint._timers
    server.endpoint.close()


async def test_block_past_the_end_and_reserved_size():
    server = Server()
    assert server.ask(options=[(23, 0x36)]).code == 0x80
    assert server.ask(options=[(23, 0xFFFFF6)]).code == 0x80
    assert server.ask(options=[(23, 0x07)]).code == 0x80
    assert server.ask(2, [(27, 0x07)], b"x").code == 0x80
    server.body = b"short"
    assert server.ask(options=[(23, 0x06)]).payload == b"short"
    server.endpoint.close()


async def test_a_peer_does_not_get_what_another_was_given():
    server = Server()
    server.ask()
    server.body = b"for q"
    assert server.ask(options=[(23, 0x16)], peer="q").code == 0x80
    server.wire.who["p"] = "now somebody"
    assert server.ask(options=[(23, 0x16)]).code == 0x80
    server.endpoint.close()


async def test_when_a_peer_is_gone_others_go_on():
    server = Server()
    for peer in "pq":
        assert server.put(0, 1, bytes(1024), peer=peer).code == 0x5F
        assert server.ask(peer=peer).block2 == 0x0E
    server.endpoint.drop("p")
    assert server.put(1, 0, b"end", peer="p").code == 0x88
    assert server.put(1, 0, b"end", peer="q").code == 0x44
    assert server.got[-1].payload == bytes(1024) + b"end"
    before = len(server.got)
    assert server.ask(options=[(23, 0x16)], peer="q").payload == BODY[1024:2048] and len(server.got) == before
    assert server.ask(options=[(23, 0x16)], peer="p").code == 0x45 and len(server.got) == before + 1
    server.endpoint.close()


async def test_a_post_is_not_done_again_for_a_block_of_its_answer():
    server = Server()
    assert server.ask(2).block2 == 0x0E
    assert server.ask(2, [(23, 0x16)]).payload == BODY[1024:2048]
    assert len(server.got) == 1
    server.endpoint.drop()
    assert server.ask(2, [(23, 0x26)]).code == 0x88
    assert len(server.got) == 1
    server.endpoint.close()


async def test_request_in_blocks():
    server = Server()
    server.body = b"done"
    for number in range(2):
        reply = server.put(
            number, 1, BODY[number * 1024 : number * 1024 + 1024], options=[(60, 3000)] if not number else []
        )
        assert reply.code == 0x5F and reply.block1 == number << 4 | 14
    assert not server.got
    reply = server.put(2, 0, BODY[2048:])
    assert reply.code == 0x44 and reply.block1 == 0x26 and reply.payload == b"done"
    assert server.got[0].payload == BODY and not server.endpoint.parts
    server.endpoint.close()


async def test_single_block():
    server = Server()
    assert server.put(0, 0, b"only").code == 0x44
    assert server.got[0].payload == b"only"
    server.endpoint.close()


async def test_smaller_blocks_after_the_first():
    server = Server()
    server.put(0, 1, BODY[:1024])
    assert server.put(16, 1, BODY[1024:1088], szx=2).code == 0x5F
    assert server.put(17, 0, BODY[1088:1100], szx=2).code == 0x44
    assert server.got[0].payload == BODY[:1100]
    server.endpoint.close()


async def test_blocks_out_of_order():
    server = Server()
    assert server.put(1, 1, bytes(1024)).code == 0x88
    server.put(0, 1, bytes(1024))
    assert server.put(2, 1, bytes(1024)).code == 0x88
    assert server.put(1, 0, b"end", options=[(12, 60)]).code == 0x88  # other format: another body
    assert server.put(1, 0, b"end").code == 0x44
    assert server.put(1, 0, b"end").code == 0x88
    assert len(server.got) == 1
    server.endpoint.close()


async def test_block_of_the_wrong_size():
    server = Server()
    assert server.put(0, 1, bytes(1000)).code == 0x80
    assert server.put(0, 0, bytes(17), szx=0).code == 0x80 and not server.got
    server.endpoint.close()


async def test_body_too_large():
    server = Server(max_body=2000)
    reply = server.put(0, 1, bytes(1024), options=[(60, 2001)])
    assert reply.code == 0x8D and reply.size1 == 2000 and reply.block1 == 14
    server.put(0, 1, bytes(1024))
    assert server.put(1, 0, bytes(1000)).code == 0x8D
    assert not server.endpoint.parts and not server.got
    assert server.put(0xFFFFF, 0, b"x").code == 0x8D
    server.endpoint.close()


async def test_bodies_under_way_are_bounded():
    server = Server()
    codes = [server.put(0, 1, bytes(1024), peer=peer).code for peer in "abcd"]
    assert codes == [0x5F, 0x5F, 0xA3, 0xA3]
    assert server.put(0, 1, bytes(1024), peer="a").code == 0x5F  # starts afresh
    assert server.put(1, 0, b"x", peer="a").code == 0x44
    assert server.put(0, 1, bytes(1024), peer="c").code == 0x5F
    server.endpoint.close()


async def test_a_handler_may_cut_by_itself():
    server = Server()
    server.endpoint.handler = lambda request: Response(
        0x45, b"b" * 1024, options=[(4, b"tag"), (23, 0x5E), (28, 99999)]
    )
    reply = server.ask(options=[(23, 0x56)])
    assert reply.code == 0x45 and reply.etag == b"tag" and reply.block2 == 0x5E and reply.size2 == 99999
    server.endpoint.close()


async def test_etag_of_the_handler():
    server = Server()
    server.endpoint.handler = lambda request: Response(0x45, BODY, etag=b"mine")
    assert server.ask().etag == b"mine"
    server.endpoint.close()


async def test_no_memory_for_a_transfer():
    """5.03, and the device goes on."""

    def none(name):
        assert name == "coap.transfer"
        raise MemoryError

    server = Server()
    real, block.phase = block.phase, none
    try:
        assert server.ask().code == 0xA3, "a long answer"
        assert server.put(0, 1, BODY[:1024]).code == 0xA3
        server.body = b"short"
        assert server.ask().payload == b"short"
    finally:
        block.phase = real
    server.body = BODY
    assert server.ask().block2 == 0x0E and server.put(0, 1, BODY[:1024]).code == 0x5F
    server.endpoint.close()
