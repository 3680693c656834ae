"""A time server for simulated boards."""

from __future__ import annotations

import socket
import struct
import threading
import time

_NTP_TO_UNIX = 2_208_988_800


class TimeServer:
    """NTP (RFC 4330) on a port of its own. `shift`: seconds that its time is ahead; `silent`: it answers nothing."""

    def __init__(self, shift: float = 0, silent: bool = False) -> None:
        self.shift = shift
        self.silent = silent
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> TimeServer:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                request, peer = self._socket.recvfrom(512)
            except OSError:
                return
            self.asked += 1
            if self.silent or len(request) < 48:
                continue
            stamp = struct.pack(">II", int(time.time() + self.shift) + _NTP_TO_UNIX & 0xFFFFFFFF, 0)
            head = bytes((request[0] & 0x38 | 4, 2, request[2], 0xEC)) + bytes(8) + b"\x7f\x00\x00\x01"
            try:
                self._socket.sendto(head + stamp + request[40:48] + stamp + stamp, peer)
            except OSError:
                return
