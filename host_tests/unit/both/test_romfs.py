"""ROMFS images read in place: what MicroPython's own tool makes, what it could make, and what nobody should."""

from check import raises, unhex

from board.vfs.romfs import RomFS

# Made by `mpremote romfs build` of: main.py, an empty file, pkg/__init__.py ("x") and pkg/big.bin (300 times "z").
BUILT = unhex(
    "d2cd31 8271 0508 05656d707479 0200 0513 076d61696e2e7079 0209 7072696e742831290a"
    "04824f 03706b67 050f 0b5f5f696e69745f5f2e7079 0201 78 058237 076269672e62696e 02822c" + "7a" * 300
)
SIZE = 8192


class Device:
    """A partition of two sectors."""

    def __init__(self, data):
        self.bytes = bytes(data) + b"\xff" * (SIZE - len(data))
        self.reads = 0

    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        if at + len(buf) > SIZE:
            raise OSError(-0x104)
        self.reads += 1
        buf[:] = self.bytes[at : at + len(buf)]

    def ioctl(self, command, argument):
        return SIZE // 4096 if command == 4 else None


def number(value):
    out = bytes((value & 0x7F,))
    while value > 127:
        value >>= 7
        out = bytes((value & 0x7F | 0x80,)) + out
    return out


def record(kind, data):
    return number(kind) + number(len(data)) + data


def named(kind, name, content):
    return record(kind, number(len(name)) + name + content)


def file(name, content):
    return named(5, name, record(2, content))


def folder(name, *entries):
    return named(4, name, b"".join(entries))


def image(*entries):
    data = b"".join(entries)
    return b"\xd2\xcd\x31" + number(len(data)) + data


def mount(*entries):
    return RomFS(Device(image(*entries)))


def names(fs, path="/"):
    return sorted((name, kind, size) for name, kind, _, size in fs.ilistdir(path))


def test_what_mpremote_builds():
    fs = RomFS(Device(BUILT))
    found = {name: (kind, size) for name, kind, size in names(fs)}
    assert found["main.py"] == (0x8000, 9) and found["empty"] == (0x8000, 0) and found["pkg"][0] == 0x4000
    assert [entry[0] for entry in names(fs, "/pkg")] == ["__init__.py", "big.bin"]
    assert fs.open("/main.py", "r").read() == "print(1)\n"
    assert fs.open("/main.py", "rb").read() == b"print(1)\n"
    assert fs.open("/empty", "rb").read() == b""
    assert fs.open("pkg/big.bin", "rb").read() == b"z" * 300
    assert fs.stat("/pkg/big.bin")[0] == 0x8000 and fs.stat("/pkg/big.bin")[6] == 300
    assert fs.stat("/pkg")[0] == 0x4000 and fs.stat("/")[0] == 0x4000


def test_as_micropython_s_own_driver():
    try:
        from vfs import VfsRom
    except ImportError:  # CPython
        return
    ours, theirs = RomFS(Device(BUILT)), VfsRom(BUILT)
    for path in ("/", "/pkg"):
        assert names(ours, path) == sorted((entry[0], entry[1], entry[3]) for entry in theirs.ilistdir(path))
    for path in ("/main.py", "/empty", "/pkg/__init__.py", "/pkg/big.bin"):
        assert ours.stat(path)[:7] == theirs.stat(path)[:7]
    for path in ("/none", "/pkg/none", "/main.py/none"):
        for fs in (ours, theirs):
            with raises(OSError):
                fs.stat(path)


def test_a_file_is_read_in_pieces():
    data = bytes(i % 251 for i in range(5000))
    fs = mount(folder(b"d", file(b"a", b"before"), file(b"f", data), file(b"z", b"after")))
    with fs.open("/d/f", "rb") as f:
        buf = bytearray(1000)
        assert f.readinto(buf) == 1000 and buf == data[:1000]
        assert f.read(10) == data[1000:1010] and f.tell() == 1010
        assert f.seek(4990) == 4990 and f.readinto(buf) == 10 and bytes(buf[:10]) == data[4990:]
        assert f.readinto(buf) == 0 and f.read() == b""
        assert f.seek(-5, 2) == 4995 and f.read() == data[4995:]
        assert f.seek(0) == 0 and f.seek(3, 1) == 3 and f.seek(9999) == 5000 and f.seek(-9999, 1) == 0
        assert f.read() == data
    assert fs.open("/d/z", "r").read() == "after"


def test_what_was_looked_for_before_makes_no_difference():
    here = {b"ab.mpy": b"1", b"abc.mpy": b"2", b"a": b"3", b"ab.txt": b"4", b"b": b"5"}
    entries = [file(name, here[name]) for name in (b"ab.mpy", b"abc.mpy", b"a", b"ab.txt", b"b")]
    data = image(file(b"ab", b"6"), folder(b"d", *entries), file(b"ab.mpy", b"7"))
    expected = {"/d/" + str(name, "utf-8"): content for name, content in here.items()}
    expected.update({"/ab": b"6", "/ab.mpy": b"7"})
    for name in ("ab", "ab.py", "abc", "", "a.", "z", "ab.mpy.", "bb"):
        expected["/d/" + name if name else "/none/ab"] = None
    expected["/d/d/ab"] = expected["/abc"] = None

    def content(fs, path):
        try:
            return fs.open(path, "rb").read()
        except OSError as error:
            assert error.args[0] == 2
            return None

    for first in expected:
        for second in expected:
            fs = RomFS(Device(data))
            found = [content(fs, path) for path in (first, second, first)]
            assert found == [expected[first], expected[second], expected[first]], (first, second)


def test_an_import_reads_a_directory_once():
    device = Device(image(folder(b"d", *[file(b"m%d.mpy" % i, bytes(80)) for i in range(40)])))
    fs = RomFS(device)
    before = device.reads
    for path in ("/d/m20", "/d/m20.py"):
        with raises(OSError):
            fs.stat(path)
    assert fs.stat("/d/m20.mpy")[6] == len(fs.open("/d/m20.mpy", "rb").read()) == 80
    assert device.reads - before < 50, device.reads


def test_what_is_not_there_and_what_cannot_be_done():
    fs = mount(file(b"f", b"1"), folder(b"d", file(b"f", b"2"), folder(b"e", file(b"g", b"3"))))
    for function, path, code in (
        (fs.stat, "/x", 2),
        (fs.stat, "/f/x", 2),
        (fs.stat, "/d/x", 2),
        (lambda path: fs.open(path, "rb"), "/x", 2),
        (lambda path: fs.open(path, "rb"), "/d", 21),
        (lambda path: fs.open(path, "wb"), "/f", 30),
        (lambda path: fs.open(path, "r+"), "/f", 30),
        (lambda path: list(fs.ilistdir(path)), "/f", 20),
        (fs.chdir, "/f", 2),
    ):
        with raises(OSError) as caught:
            function(path)
        assert caught.value.args[0] == code, path
    for path in ("/d//./f", "d/e//g", "//d/./e/./g/"):
        assert fs.stat(path)[6] == 1, path
    fs.chdir("/d//")
    assert fs.getcwd() == "/"
    fs.mount(True, False)
    fs.umount()


def test_padding_pointers_and_records_of_later_formats():
    tail = b"shared"
    body = (
        record(1, bytes(5)) + record(99, b"?") + named(5, b"f", record(77, b"?") + record(2, b"data")) + record(0, b"")
    )
    body += named(5, b"p", record(3, number(6) + number(200)))
    data = image(body + record(1, bytes(250 - len(body))))
    data = data[:200] + tail + data[206:]
    fs = RomFS(Device(data))
    assert names(fs) == [("f", 0x8000, 4), ("p", 0x8000, 6)]
    assert fs.open("/p", "rb").read() == tail


def test_a_file_at_the_very_end():
    last = file(b"last", b"!")
    fs = mount(record(1, bytes(SIZE - 5 - 3 - len(last))), last)
    assert names(fs) == [("last", 0x8000, 1)] and fs.open("/last", "rb").read() == b"!"


def refused(code, *entries):
    with raises(OSError) as caught:
        walk(mount(*entries))
    assert caught.value.args[0] == code


def walk(fs, path="/", depth=0):
    for name, kind, _, _ in fs.ilistdir(path):
        if kind == 0x4000 and depth < 5:
            walk(fs, path + name + "/", depth + 1)
        elif kind == 0x8000:
            fs.open(path + name, "rb").read(64)


def test_no_file_system():
    for data in (b"", b"\xd2\xcd\x30\x00", b"\xd2\xcd", b"\xff" * 64, b"\xd2\xcd\x31" + number(SIZE)):
        with raises(OSError) as caught:
            RomFS(Device(data))
        assert caught.value.args[0] == 19
    assert names(RomFS(Device(b"\xd2\xcd\x31\x00"))) == []
    assert names(RomFS(Device(b"\xd2\xcd\x31" + number(SIZE - 5) + record(1, bytes(SIZE - 8))))) == []


def test_damaged_contents():
    refused(5, b"\x05")  # a record that ends in its head
    refused(5, b"\x05\x7f")  # longer than what it is in
    refused(5, b"\x05\xff\xff\xff\xff\xff\x7f")  # a length without an end
    refused(5, b"\x01\x80\x80\x80\x80\x80\x00")  # a number of too many bytes
    refused(5, named(5, b"f", b""))  # a file without data
    refused(5, named(5, b"f", record(1, b"..")))
    refused(5, record(5, number(65) + b"n" * 65 + record(2, b"")))  # a name that is too long
    refused(5, record(5, number(9) + b"short"))
    refused(5, named(5, b"f", number(2) + number(99)))  # data longer than its file
    refused(5, named(5, b"f", record(3, number(9) + number(SIZE))))  # a pointer out of the image
    refused(5, named(5, b"f", record(3, number(SIZE) + number(0))))
    refused(5, folder(b"d", b"\x05\x7f"))
    refused(5, file(b"\xff\xfe", b""))  # a name that is no text


def test_any_damage_ends_in_an_error_or_in_data():
    seed = 1
    for _ in range(3000):
        data = bytearray(BUILT)
        for _ in range(3):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            data[3 + (seed >> 8) % 90] = seed >> 16 & 0xFF
        device = Device(data)
        try:
            walk(RomFS(device))
        except OSError as error:
            assert error.args[0] in (2, 5, 19)
        assert device.reads < 3000


def test_a_read_that_failed_makes_no_difference_to_the_next():
    """Wherever it was: what was to be read is not taken for what is there."""
    fits = folder(b"one", *[file(b"a%d" % i, b"x" * 40) for i in range(6)])
    data = image(fits, folder(b"two", *[file(b"b%d" % i, b"y" * 40) for i in range(6)]))
    for fails in range(1, 12):
        device = Device(data)
        fs = RomFS(device)
        fs.stat("/one/a3")
        whole, count = device.readblocks, [0]

        def readblocks(block, buf, offset=0, whole=whole, count=count, fails=fails):
            count[0] += 1
            if count[0] == fails:
                raise OSError(5)
            whole(block, buf, offset)

        device.readblocks = readblocks
        for path in ("/two/b5", "/one/a5", "/two/b0"):
            found = []
            for _ in range(2):
                try:
                    found.append(fs.stat(path)[6])
                except OSError as error:
                    assert error.args[0] == 5, (fails, path)
            assert 40 in found, (fails, path)


def test_a_lookup_reads_little():
    entries = [file(b"module_%02d.mpy" % i, bytes(100)) for i in range(40)]
    fs = mount(*entries)
    fs._device.reads = 0
    fs.stat("/module_39.mpy")
    assert fs._device.reads <= 90


def test_a_second_lookup_in_a_directory_does_not_look_for_it_again():
    entries = [file(b"module_%02d.mpy" % i, bytes(100)) for i in range(40)]
    fs = mount(*entries, folder(b"a", file(b"x", b""), folder(b"b", file(b"f.py", b"1"), file(b"g.py", b"22"))))
    assert fs.stat("/a/b/f.py")[6] == 1
    fs._device.reads = 0
    for path, size in (("/a/b/f.py", 1), ("/a/b/g.py", 2), ("a/b/g.py", 2)):
        assert fs.stat(path)[6] == size
    assert fs._device.reads <= 8
    with raises(OSError):
        fs.stat("/a/b/f.py/x")  # no directory, and what was looked into last is not taken for it
    with raises(OSError):
        fs.stat("/a/f.py")
    assert fs.stat("/a/x")[6] == 0 and fs.stat("/a/b/./f.py")[6] == 1


def test_a_file_that_was_chosen_stands_at_one_path_for_all():
    fs = RomFS(Device(image(file(b"_a.mpy", b"first"), file(b"_b.mpy", b"second"), file(b"main.mpy", b"x"))))
    with raises(OSError):
        fs.open("/~.mpy", "rb")
    for name, content in (("_a.mpy", b"first"), ("_b.mpy", b"second")):
        fs.choose(name)
        assert fs.stat("/~.mpy")[0] == 0x8000 and fs.stat("/~.mpy")[6] == len(content)
        assert fs.open("/~.mpy", "rb").read() == content
    with raises(OSError):
        fs.choose("_c.mpy")
    assert fs.open("/~.mpy", "rb").read() == b"second"
    assert "~.mpy" not in [entry[0] for entry in fs.ilistdir("/")]
    assert fs.open("/_a.mpy", "rb").read() == b"first"
