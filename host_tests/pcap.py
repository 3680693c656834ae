"""UDP datagrams out of packet captures, and into them (the classic libpcap format, Ethernet, IPv4 and IPv6).

`read(path)` gives Datagrams; `Writer(path)` writes what tests send, for programs that read captures.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

_MAGIC = 0xA1B2C3D4  # times in microseconds
_ETHERNET = 1
_IPV4, _IPV6 = 0x0800, 0x86DD
_UDP = 17


class Datagram(NamedTuple):
    """`time` in seconds; `source` and `destination` are (address, port)."""

    time: float
    source: tuple[str, int]
    destination: tuple[str, int]
    data: bytes


def read(path: Path) -> Iterator[Datagram]:
    """The UDP datagrams of a capture. Raises ValueError for what is no capture, is cut, or has fragments of IP."""
    content = path.read_bytes()
    order = "<" if content[:4] == struct.pack("<I", _MAGIC) else ">"
    magic, _, _, _, _, _, link = struct.unpack_from(order + "IHHiIII", content)
    if magic != _MAGIC or link != _ETHERNET:
        raise ValueError(f"{path.name} is no capture of Ethernet")
    at = 24
    while at < len(content):
        seconds, micros, size, length = struct.unpack_from(order + "IIII", content, at)
        at += 16 + size
        if size != length or at > len(content):
            raise ValueError(f"{path.name} is cut")
        found = _udp(content[at - size : at])
        if found:
            yield Datagram(seconds + micros / 1e6, *found)


def _udp(frame: bytes) -> tuple[tuple[str, int], tuple[str, int], bytes] | None:
    """(source, destination, payload) of a frame, None when it is something else."""
    kind = int.from_bytes(frame[12:14], "big")
    packet = frame[14:]
    if kind == _IPV4 and packet[9] == _UDP:
        if int.from_bytes(packet[6:8], "big") & 0x3FFF:
            raise ValueError("fragments of IP are not put together")
        addresses = packet[12:16], packet[16:20]
        segment = packet[4 * (packet[0] & 15) : int.from_bytes(packet[2:4], "big")]
    elif kind == _IPV6 and packet[6] == _UDP:
        addresses = packet[8:24], packet[24:40]
        segment = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    else:
        return None
    source, destination, size, _ = struct.unpack_from(">HHHH", segment)
    names = [str(ipaddress.ip_address(address)) for address in addresses]
    return (names[0], source), (names[1], destination), segment[8:size]


def _checksum(data: bytes) -> int:
    """The checksum of the Internet protocols (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Writer:
    """Writes a capture; use it in a `with` block. Addresses are of IPv4."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, 65535, _ETHERNET))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._file.close()

    def write(self, datagram: Datagram) -> None:
        """Append `datagram`."""
        ends = datagram.source, datagram.destination
        addresses = b"".join(ipaddress.IPv4Address(address).packed for address, _ in ends)
        size = 8 + len(datagram.data)
        head = struct.pack(">HHHH", ends[0][1], ends[1][1], size, 0)
        code = _checksum(addresses + struct.pack(">HH", _UDP, size) + head + datagram.data) or 0xFFFF
        segment = head[:6] + struct.pack(">H", code) + datagram.data
        packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, 64, _UDP, 0) + addresses
        packet = packet[:10] + struct.pack(">H", _checksum(packet)) + packet[12:]
        frame = bytes(6) + b"\2" + bytes(5) + struct.pack(">H", _IPV4) + packet + segment
        seconds = int(datagram.time)
        micros = int((datagram.time - seconds) * 1e6)
        self._file.write(struct.pack("<IIII", seconds, micros, len(frame), len(frame)) + frame)
