"""The install phase's three tasks: ask for a newer version, obtain and validate it, verify it once more before arming."""

import asyncio

from port import collect, sleep_ms

from swupdate.faults import Fault
from swupdate.install.chunks import CHUNK, Table
from swupdate.install.manifest import ENVELOPE_LIMIT
from swupdate.install.policy import read, verified
from swupdate.install.writer import SlotWriter, digest

_HEAD = 36  # of an image: header and first segment's header, then the application's description (esp_app_desc_t)
_DESCRIPTION_MAGIC = b"\x32\x54\xcd\xab"


class Offer:
    """A release that may be installed: `version`, `seq`, `manifest` (its digest)."""

    def __init__(self, manifest):
        self.version = manifest.version
        self.seq = manifest.seq
        self.manifest = bytes(manifest.digest)


async def check(job):
    """The Offer at the job's URL, or None when nothing is newer. Only the envelope is fetched. Raises Fault."""
    source = job.open(job.url)
    try:
        manifest = await read(job, source, must=False)
        return Offer(manifest) if manifest else None
    finally:
        await source.close()


async def obtain(job, progress):
    """Have the release at the job's URL in the other slot, whole and validated: its Offer, or None (nothing newer).

    `progress(done, total)` hears of bytes. What an earlier attempt left in the flash is kept where the table of chunks
    says that it is right, so nothing is fetched twice. Raises Fault, and then the slot does not look valid.
    """
    writer = SlotWriter(job.slots)
    source = job.open(job.url)
    try:
        manifest = await read(job, source)
        if manifest is None:
            return None
        collect()
        if not await _whole(job.slots, manifest.digest):
            await _Install(job, source, writer, manifest, progress).run()
        return Offer(manifest)
    finally:
        await source.close()


async def verify(job):
    """Read the other slot once more, against its label. Raises Fault "invalid"."""
    if not await _whole(job.slots, None):
        raise Fault("invalid", "what is in the other slot is not what was validated")


async def _whole(slots, manifest):
    """Whether the other slot holds what its label says (and the label is of `manifest`, unless that is None)."""
    label = slots.label(slots.other)
    if not label or not slots.valid(slots.other) or (manifest and bytes(label["manifest"]) != bytes(manifest)):
        return False
    for half in ("fw", "app"):
        size, expected = label[half]
        if not 0 < size <= slots.size(half) or await digest(slots, half, size) != bytes(expected):
            return False
    return True


class _Install:
    def __init__(self, job, source, writer, manifest, progress):
        self.job = job
        self.slots = job.slots
        self.source = source
        self.writer = writer
        self.manifest = manifest
        self.progress = progress
        self.done = 0
        self.total = sum(c.size for c in manifest.components)
        self.buffers = [bytearray(CHUNK), bytearray(CHUNK)]
        self.etags = {}

    async def run(self):
        tables = {}
        label = {
            "v": 1,
            "seq": self.manifest.seq,
            "version": self.manifest.version,
            "manifest": bytes(self.manifest.digest),
            "built": self.manifest.built,
        }
        try:
            for component in self.manifest.components:
                tables[component.half] = table = Table(self.job.store, component)
                await table.fetch(self.source)
            self.writer.begin()
            firsts = {}
            for half in ("app", "fw"):
                component = self.manifest.component(half)
                if component:
                    label[half] = [component.size, bytes(component.digest)]
                    await self.rest(component, tables[half])
                else:
                    label[half] = size, _ = self.carried_over(half)
                    firsts[half] = await self.writer.copy(half, size)
            self.writer.label(label)
            for half in ("app", "fw"):
                component = self.manifest.component(half)
                if component:
                    await self.fetch(component, tables[half], 0, 1)
                else:
                    self.writer.first(half, firsts[half])
        finally:
            for half in tables:
                tables[half].close()
        for half in ("fw", "app"):
            size, expected = label[half]
            if await digest(self.slots, half, size) != bytes(expected):
                self.writer.begin()
                raise Fault("invalid", "what was written to %s is not what was signed" % half)
        for half in tables:
            tables[half].remove()

    def carried_over(self, half):
        """Size and digest of a half that the release does not carry: those of the running slot."""
        label = self.slots.label(self.slots.running)
        if not label:
            raise Fault("invalid", "the release is only a part, and the running slot does not say what it is")
        size, expected = label[half]
        return [size, bytes(expected)]

    async def rest(self, component, table):
        """All chunks but the first: what is in the flash already is left, the others are fetched run by run."""
        index, half = 1, component.half
        while index < table.count:
            begin = index
            while index < table.count and not self.there(half, index, table):
                index += 1
                await sleep_ms(0)
            if index > begin:
                await self.fetch(component, table, begin, index)
            if index < table.count:
                self.count(component, index)
                index += 1

    def there(self, half, index, table):
        self.writer.read(half, index, self.buffers[0])
        return table.matches(index, self.buffers[0])

    def count(self, component, index):
        self.done += min(CHUNK, component.size - index * CHUNK)
        self.progress(self.done, self.total)

    async def fetch(self, component, table, begin, end):
        """Fetch chunks `begin` to `end` (not included): the network fills one buffer while the flash takes the other."""
        half = component.half
        size = min(end * CHUNK, component.size) - begin * CHUNK
        etag = await self.source.start(component.uri, begin * CHUNK, size, self.etags.get(half))
        self.etags[half] = etag
        full, empty = self.buffers
        await self.fill(full, component, begin)
        for index in range(begin, end):
            ahead = None
            if index + 1 < end:
                ahead = asyncio.create_task(self.fill(empty, component, index + 1))
                await sleep_ms(0)  # what has come is taken and more is asked for before the flash blocks
            try:
                if not table.matches(index, full):
                    raise Fault("invalid", "a part of %s is not what was signed" % half)
                if index == 0 and half == "fw":
                    self.look_at(full)
                if index:
                    self.writer.write(half, index, full)
                else:
                    self.writer.first(half, full)
                self.count(component, index)
            except BaseException:
                if ahead:
                    ahead.cancel()
                raise
            if ahead:
                await ahead
            full, empty = empty, full

    async def fill(self, buf, component, index):
        """Read chunk `index` into `buf`; the last one is filled up with 0xFF."""
        size = min(CHUNK, component.size - index * CHUNK)
        await self.source.readinto(memoryview(buf)[:size])
        for i in range(size, CHUNK):
            buf[i] = 0xFF

    def look_at(self, chunk):
        """Refuse an image that is none, or is for another chip, with words rather than with the bootloader's number."""
        running = bytearray(16)
        self.slots.partition(self.slots.running, "fw").readblocks(0, running, 0)
        if chunk[0] != 0xE9 or bytes(chunk[32:_HEAD]) != _DESCRIPTION_MAGIC:
            raise Fault("invalid", "the firmware is no application image")
        if chunk[12:14] != running[12:14]:
            raise Fault("invalid", "the firmware is for another chip")


async def prove(job):
    """Fetch the envelope at the job's URL and verify its signatures: proof that this version can be updated again.

    Raises Fault.
    """
    source = job.open(job.url)
    try:
        await verified(job, await source.get(job.url, ENVELOPE_LIMIT))
    finally:
        await source.close()
