"""Properties of ROMFS: images of MicroPython's own writer are read back; damaged ones raise OSError and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st
from mpremote.romfs import VfsRomWriter

from board.vfs.romfs import RomFS

names = st.text("abcxyz_.09", min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
trees = st.recursive(
    st.binary(max_size=300), lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=12
).map(lambda tree: tree if isinstance(tree, dict) else {"f": tree})
SECTOR = 4096


class Device:
    """A partition as large as it has to be."""

    def __init__(self, data):
        self.size = -(-max(len(data), 1) // SECTOR) * SECTOR
        self.data = bytes(data) + b"\xff" * (self.size - len(data))

    def readblocks(self, block, buf, offset=0):
        at = block * SECTOR + offset
        assert at >= 0 and at + len(buf) <= self.size, "beyond the partition"
        buf[:] = self.data[at : at + len(buf)]

    def ioctl(self, command, _argument):
        return self.size // SECTOR if command == 4 else None


def built(tree):
    writer = VfsRomWriter()

    def fill(tree):
        for name, content in tree.items():
            if isinstance(content, dict):
                writer.opendir(name)
                fill(content)
                writer.closedir()
            else:
                writer.mkfile(name, content)

    fill(tree)
    return writer.finalise()


def read(fs, path="/", depth=0):
    """The tree that is in `fs`; what is deeper than any image of ours is left out."""
    found = {}
    for name, kind, _, _ in fs.ilistdir(path):
        where = path + name
        if kind == 0x4000:
            found[name] = read(fs, where + "/", depth + 1) if depth < 8 else {}
        else:
            with fs.open(where, "rb") as file:
                found[name] = file.read()
    return found


@given(trees)
@settings(deadline=None)
def test_what_is_built_is_read(tree):
    assert read(RomFS(Device(built(tree)))) == tree


@given(trees, st.data())
@settings(deadline=None)
def test_a_truncated_image_is_whole_or_an_error(tree, draw):
    """Flash after the cut is erased."""
    image = built(tree)
    cut = draw.draw(st.integers(0, len(image) - 1))
    try:
        found = read(RomFS(Device(image[:cut])))
    except OSError:
        return
    rest = image[cut:]
    assert found == tree or rest.strip(b"\xff"), "read whole, so nothing but erased bytes was cut off"


@given(trees, st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
@settings(deadline=None)
def test_a_damaged_image_raises_nothing_but_oserror(tree, changes):
    image = bytearray(built(tree))
    for at, byte in changes:
        image[at % len(image)] = byte
    try:
        read(RomFS(Device(image)))
    except OSError:
        pass


@given(st.binary(max_size=400))
def test_any_bytes_behind_the_magic(data):
    try:
        read(RomFS(Device(b"\xd2\xcd\x31" + data)))
    except OSError:
        pass
