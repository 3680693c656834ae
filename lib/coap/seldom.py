"""What a download needs seldom: how much room there is for it, and what is wrong with an answer. A phase."""

from port import collect, const, reserve

from coap.asking import TransferError

_CONTENT = const(0x45)
_ERROR = const(0x80)
_BESIDE = const(4)  # datagrams that are being received, opened and read while blocks wait
_HEAD = const(128)  # bytes of a datagram beside its block
_SMALLEST = const(4)  # blocks of 256 bytes


class Failed(TransferError):
    """The server answered with an error: `code` is its code as on the wire (0x84 is 4.04)."""

    def __init__(self, code, text=""):
        super().__init__("%d.%02d %s" % (code >> 5, code & 31, text))
        self.code = code


def room(szx, slots):
    """(exponent of the block size, how many blocks there is memory for, with what comes in beside them: one in any case).

    Where memory is in small pieces blocks are smaller.
    """
    while True:
        size = 16 << szx
        held = []
        try:
            for i in range(_BESIDE + slots):
                held.append(bytearray(size + _HEAD if i < _BESIDE else size))
                if reserve.deaf():  # it would be the radio's
                    held.pop()
                    break
        except MemoryError:
            pass
        count = len(held) - _BESIDE
        held = None
        collect()
        if count >= slots or (szx < 6 and count > 1) or szx <= _SMALLEST:
            return szx, max(count, 1)
        szx -= 1


def judge(download, block, reply):
    """An answer that is not the block asked for as it was asked for: with smaller ones the download is begun anew.

    Raises TransferError for everything else.
    """
    code = reply.code
    if code >= _ERROR:
        text = reply.payload
        try:
            text = str(text[:64], "utf-8")
        except ValueError:
            text = ""
        raise Failed(code, text)
    option = reply.block2 or 0
    szx = option & 7
    if reply.block2 is None:
        szx = download._szx
    elif szx == 7 or szx > download._szx:
        raise TransferError("a block of another size")
    if code != _CONTENT or option >> 4 << szx + 4 != block << download._szx + 4:
        raise TransferError("another block than asked for")
    if download._sure and reply.etag != download.etag:
        raise TransferError("the object changed under way")
    if szx == download._szx:
        raise TransferError("a block of the wrong length")
    download.etag = reply.etag
    download._sure = True
    download.anew(szx)
