"""The way of the payload: source, chunk digest, slot writer, one chunk at a time."""

import asyncio
import hashlib

from port import const, sleep_ms

from swupdate.faults import Fault
from swupdate.install.writer import SlotWriter

_CHUNK = const(4096)
_ENTRY = const(16)
_HEAD = const(
    36
)  # of an image: header and first segment's header, then the application's description (esp_app_desc_t)
_DESCRIPTION_MAGIC = b"\x32\x54\xcd\xab"
_ROMFS_MAGIC = b"\xd2\xcd\x31"


class Table:
    """The chunk digests of one component: the file that swupdate.install.tables has made. `count` chunks."""

    def __init__(self, store, part):
        self.count = (part.size + _CHUNK - 1) // _CHUNK
        self._store = store
        self._name = "chunks." + part.half
        self._file = store.open(self._name, "rb")
        self._entry = bytearray(_ENTRY)

    def matches(self, index, chunk):
        """Whether `chunk` (4 KB) is chunk `index`; the last one is filled up with 0xFF."""
        self._file.seek(index * _ENTRY)
        self._file.readinto(self._entry)
        return hashlib.sha256(chunk).digest()[:_ENTRY] == self._entry

    def close(self):
        """Close the file."""
        self._file.close()

    def remove(self):
        """Forget the file, which is closed."""
        self._store.remove(self._name)


class Payload:
    """Brings what `offer` (see swupdate.install.obtain) carries from `source` into the other slot of `job.slots`."""

    def __init__(self, job, source, offer, progress):
        self.job = job
        self.slots = job.slots
        self.source = source
        self.writer = SlotWriter(job.slots, job.buffers)
        self.offer = offer
        self.progress = progress
        self.done = 0
        self.total = sum(part.size for part in offer.parts)
        self.buffers = job.buffers
        self.etags = {}
        self.found = getattr(job, "found", None)  # is told how much was there, when the first byte is asked for

    async def write(self):
        """Write all of it, the first sectors last. Raises Fault or OSError, and then the slot does not look valid."""
        offer = self.offer
        label = {"v": 1, "seq": offer.seq, "version": offer.version, "manifest": offer.manifest, "built": offer.built}
        if offer.trust:
            label["trust"] = offer.trust
        tables = {}
        try:
            for part in offer.parts:
                tables[part.half] = Table(self.job.store, part)
            self.writer.begin()
            for half in ("app", "fw"):
                part = offer.part(half)
                if part:
                    label[half] = [part.size, part.digest]
                    await self.rest(part, tables[half])
                else:
                    label[half] = self.carried_over(half)
                    if await self.writer.copy(half, label[half][0]) != label[half][1]:
                        raise Fault("flash", "the running %s is damaged: a release with both halves is needed" % half)
            try:
                self.writer.label(label)
                for half in ("app", "fw"):
                    if offer.part(half):
                        await self.fetch(offer.part(half), tables[half], 0, 1)
                    else:
                        self.writer.copy_first(half)
            except BaseException:
                self.writer.begin()
                raise
        finally:
            for half in tables:
                tables[half].close()
        for half in tables:
            tables[half].remove()

    def carried_over(self, half):
        """Size and digest of a half that the release does not carry: those of the running slot."""
        label = self.slots.label(self.slots.running)
        if not label:
            raise Fault("invalid", "the release is only a part, and the running slot does not say what it is")
        size, expected = label[half]
        return [size, bytes(expected)]

    async def rest(self, part, table):
        """All chunks but the first: what is in the flash already is left, the others are fetched run by run."""
        index, half = 1, part.half
        while index < table.count:
            begin = index
            while index < table.count and not self.there(half, index, table):
                index += 1
                await sleep_ms(0)
            if index > begin:
                await self.fetch(part, table, begin, index)
            if index < table.count:
                self.count(part, index)
                index += 1
                await sleep_ms(0)

    def there(self, half, index, table):
        self.writer.read(half, index, self.buffers[0])
        return table.matches(index, self.buffers[0])

    def count(self, part, index):
        self.done += min(_CHUNK, part.size - index * _CHUNK)
        self.progress(self.done, self.total)

    async def fetch(self, part, table, begin, end):
        """Fetch chunks `begin` to `end` (not included): the network fills one buffer while the flash takes the other."""
        half = part.half
        size = min(end * _CHUNK, part.size) - begin * _CHUNK
        if self.found:
            self.found(self.done)
            self.found = None
        etag = await self.source.start(part.uri, begin * _CHUNK, size, self.etags.get(half))
        self.etags[half] = etag
        full, empty = self.buffers
        ahead = None
        try:
            await self.fill(full, part, begin)
            for index in range(begin, end):
                ahead = None
                if index + 1 < end:
                    ahead = asyncio.create_task(self.fill(empty, part, index + 1))
                    await sleep_ms(0)  # what has come is taken and more is asked for before the flash blocks
                if not table.matches(index, full):
                    raise Fault("invalid", "a part of %s is not what was signed" % half)
                if index:
                    self.writer.write(half, index, full)
                else:
                    self.look_at(half, full)
                    self.writer.first(half, full)
                self.count(part, index)
                if ahead:
                    await ahead
                full, empty = empty, full
        except BaseException:
            if ahead:  # it must have ended before the source is closed
                ahead.cancel()
                try:
                    await ahead
                except BaseException:  # noqa: B036 - the first failure is the one that counts
                    pass
            raise

    async def fill(self, buf, part, index):
        """Read chunk `index` into `buf`; the last one is filled up with 0xFF."""
        size = min(_CHUNK, part.size - index * _CHUNK)
        await self.source.readinto(memoryview(buf)[:size])
        for i in range(size, _CHUNK):
            buf[i] = 0xFF

    def look_at(self, half, chunk):
        """Refuse an image that is none, or is for another chip, with words rather than with the bootloader's number."""
        if half == "app":
            if bytes(chunk[:3]) != _ROMFS_MAGIC:
                raise Fault("invalid", "the app is no ROMFS image")
            return
        running = bytearray(16)
        self.slots.partition(self.slots.running, "fw").readblocks(0, running, 0)
        if chunk[0] != 0xE9 or bytes(chunk[32:_HEAD]) != _DESCRIPTION_MAGIC:
            raise Fault("invalid", "the firmware is no application image")
        if chunk[12:14] != running[12:14]:
            raise Fault("invalid", "the firmware is for another chip")
