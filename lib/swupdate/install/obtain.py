"""The install phase: ask for a newer version, obtain and validate it, verify it once more before arming.

What reads and verifies the envelope, and what brings the payload into the flash, are phases of their own within this
one: they are never in memory together.
"""

from port import const, phase, spent

from swupdate.faults import Fault

_PIECE = const(1024)


class Offer:
    """A release that may be installed: `version`, `seq`, `manifest` (its digest), `built`, `expires`, `parts`.

    `trust`: the number of the trust store that it was verified with; `envelope`: of a newer trust store, which its own
    keys must have signed as well. Holds copies: the code that read and verified the manifest has left memory before the
    payload comes in. Then also `clean` (see swupdate.install.writer), and the bytes that are `done` and in `total`.
    """

    version: str
    seq: int
    manifest: bytes
    built: int
    expires: int
    trust: int
    parts: list
    envelope: object
    clean: bool
    done: int
    total: int

    def part(self, half):
        """The Part for `half` (or "trust"), or None when the release does not carry it."""
        for part in self.parts:
            if part.half == half:
                return part
        return None


class Part:
    """What a release carries, a half of a slot or a trust store: see swupdate.install.manifest.Component.

    While it comes in, `missing`: a byte for each chunk, and `ways`: see swupdate.install.local.
    """

    half: str
    size: int
    digest: bytes
    uri: str
    table: bytes
    table_uri: str
    forms: list
    vendor: bytes
    kind: bytes
    bytecode: int
    etag: object
    missing: bytearray
    ways: list


async def check(job, must=False):
    """The Offer at the job's URL, or None when nothing is newer. Only the envelope is fetched. Raises Fault.

    `must` as in policy.judge; None: only the signatures are verified.
    """
    with phase("swupdate.install.offer") as offers:
        offer = await offers.check(job, must)
        spent(offers)
        offers = None  # see swupdate.install.bring
        return offer


async def prove(job):
    """Fetch the envelope at the job's URL and verify its signatures: proof that this version can be updated again.

    Raises Fault.
    """
    await check(job, None)


async def obtain(job, progress):
    """Have the release at the job's URL in the other slot, whole and validated: its Offer, or None (nothing newer).

    A trust store is kept in `job.store` instead.
    `progress(done, total)` hears of bytes. What an earlier attempt left in the flash is kept where the table of chunks
    says that it is right, so nothing is fetched twice. Raises Fault, and then the slot does not look valid.
    """
    if not job.slots.confirmed:
        # Raw writes bypass ESP-IDF's own check, and the other slot is all that there is to go back to.
        raise Fault("install", "the running version is still on trial")
    try:
        offer = await check(job, True)
        if offer and offer.envelope:
            with phase("swupdate.install.trust") as trust:
                await trust.obtain(job, offer, progress)
        elif offer and not await _whole(job, offer):
            await _bring(job, offer, progress)
            if not await _whole(job, offer):
                with phase("swupdate.install.first") as first:
                    first.begin(job)
                raise Fault("invalid", "what was written is not what was signed")
    except OSError as error:  # of the flash or the file system: a source raises Fault
        raise _flash(error)
    return offer


async def verify(job):
    """Read the other slot once more, against its label; it may have expired since. Raises Fault."""
    try:
        good = await _whole(job, None)
    except OSError as error:
        raise _flash(error)
    if not good:
        raise Fault("invalid", "what is in the other slot is not what was validated")
    label = job.slots.label(job.slots.other)
    with phase("swupdate.install.policy") as policy:
        policy.fresh(job.clock, label["version"], label.get("expires", 0))


def _flash(error):
    return Fault("flash", "the flash could not be read or written: %s" % error)


async def _bring(job, offer, progress):
    with phase("swupdate.install.bring") as bring:
        await bring.write(job, offer, progress)
        spent(bring)
        bring = None


async def _whole(job, offer):
    with phase("swupdate.install.whole") as whole:
        good = await whole.whole(job.slots, offer, _buffer(job))
        spent(whole)
        whole = None
        return good


def _buffer(job):
    return job.buffers[0] if job.buffers else bytearray(_PIECE)
