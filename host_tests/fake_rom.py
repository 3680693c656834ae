"""An ESP32 in download mode, on a pseudo-terminal: enough of its ROM, and of esptool's stub, for the real esptool.

The flash is in memory. The protocol is Espressif's serial protocol: SLIP frames, a command byte, little-endian arguments.
"""

from __future__ import annotations

import hashlib
import os
import pty
import struct
import threading
import tty
import zlib

SYNC, READ_REG, WRITE_REG = 0x08, 0x0A, 0x09
MEM_END, SECURITY_INFO = 0x06, 0x14
FLASH_BEGIN, FLASH_DATA, DEFLATE_BEGIN, DEFLATE_DATA, MD5 = 0x02, 0x03, 0x10, 0x11, 0x13
ERASE_REGION, READ_FLASH = 0xD1, 0xD2
_MAGIC, _W0 = 0x40001000, 0x3FF42080  # what tells the ESP32 from others; what the flash answered
_UNKNOWN = b"\1\5"


class FakeRom:
    """`port` is its name; `flash` what is in it; `log` the verbs that changed it, as (name, offset, size)."""

    def __init__(self, megabytes: int = 4) -> None:
        self.flash = bytearray(os.urandom(4096) * (megabytes << 8))
        self.log: list[tuple[str, int, int]] = []
        self._registers = {_MAGIC: 0x00F01D83, _W0: (0x14 + megabytes.bit_length() - 1) << 16 | 0x4020}
        self._status = 4
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        frame = bytearray()
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            for byte in data:
                if byte != 0xC0:
                    frame.append(byte)
                elif frame:
                    self._take(bytes(frame).replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
                    frame.clear()

    def _frame(self, data: bytes) -> None:
        data = b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
        while data:
            data = data[os.write(self._ours, data) :]

    def _answer(self, command: int, value: int = 0, body: bytes = b"", status: bytes = b"\0\0") -> None:
        body += status.ljust(self._status, b"\0")
        self._frame(struct.pack("<BBHL", 1, command, len(body), value) + body)

    def _take(self, frame: bytes) -> None:
        if len(frame) < 8 or frame[0] != 0:
            return  # an acknowledgement of what was read
        command, data = frame[1], frame[8:]
        words = struct.unpack_from(f"<{min(4, len(data) // 4)}L", data)
        if command == SYNC:
            self._status = 4  # of the ROM
            for _ in range(8):
                self._answer(command, 0x20120707)
        elif command == READ_REG:
            self._answer(command, self._registers.get(words[0], 0))
        elif command == SECURITY_INFO:
            self._answer(command, status=_UNKNOWN)
        elif command == MEM_END:
            self._answer(command)
            self._status = 2  # of the stub, which runs now
            self._frame(b"OHAI")
        elif command == MD5:
            at, size = words[:2]
            self._answer(command, body=hashlib.md5(self.flash[at : at + size]).digest())
        elif command == ERASE_REGION:
            at, size = words[:2]
            self._erase(at, size)
            self.log.append(("erase", at, size))
            self._answer(command)
        elif command == READ_FLASH:
            self._answer(command)
            at, size, block = words[:3]
            data = bytes(self.flash[at : at + size])
            for start in range(0, size, block):
                self._frame(data[start : start + block])
            self._frame(hashlib.md5(data).digest())
        elif command == DEFLATE_BEGIN or (command == FLASH_BEGIN and words[0]):
            size, _, _, self._at = words
            self._inflate = zlib.decompressobj() if command == DEFLATE_BEGIN else None
            self._erase(self._at, -(-size // 4096) * 4096)
            self.log.append(("write", self._at, size))
            self._answer(command)
        elif command in (FLASH_DATA, DEFLATE_DATA):
            piece = data[16 : 16 + words[0]]
            if self._inflate:
                piece = self._inflate.decompress(piece)
            self.flash[self._at : self._at + len(piece)] = piece
            self._at += len(piece)
            self._answer(command)
        else:
            self._answer(command)

    def _erase(self, at: int, size: int) -> None:
        self.flash[at : at + size] = b"\xff" * size
