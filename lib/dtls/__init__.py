"""DTLS 1.2 (RFC 6347), client and server, as a transport of `coap`: the part that OCF needs."""
