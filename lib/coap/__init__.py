"""CoAP: RFC 7252 messages and endpoint, RFC 7641 observation, RFC 7959 blocks, over any datagram transport."""
