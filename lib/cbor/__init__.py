"""CBOR (RFC 8949): encode into the caller's buffer, decode within hard limits.

None, bool, int from -2^64 to 2^64 - 1, float, str, bytes, list and dict stand for themselves; Tag is a tagged item, a
bignum (tags 2 and 3) too: neither OCF nor SUIT has any. `undefined` is read as None. Other simple values are refused.
"""

# ruff: noqa: F401 - without __all__, which would cost 130 bytes on the device

from cbor.decoder import DecodeError, decode, decode_prefix
from cbor.encoder import EncodeError, Encoder, dumps, encode_into
from cbor.tag import Pairs, Tag
