"""CBOR (RFC 8949): encode into the caller's buffer, decode within hard limits."""

from cbor.decoder import DecodeError, decode, decode_prefix
from cbor.encoder import EncodeError, Encoder, dumps, encode_into
from cbor.tag import Pairs, Tag

__all__ = ("DecodeError", "EncodeError", "Encoder", "Pairs", "Tag", "decode", "decode_prefix", "dumps", "encode_into")
