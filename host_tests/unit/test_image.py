"""Firmware images of the simulated board: ESP-IDF's format, judged by Espressif's definitions and by the bootloader."""

import hashlib

import pytest
from esp_idf_defs.image_metadata import ImageMetadata
from fargo import image
from fargo.console import Failure

from board.sim import bootloader

ROW = (0, 16, 0, 0x40000, "ota_0")


class Flash:
    """An image at the start of an erased partition."""

    def __init__(self, data):
        self.bytes = bytes(data).ljust(ROW[3], b"\xff")

    def read(self, at, buf):
        buf[:] = self.bytes[at : at + len(buf)]


def why(data):
    return bootloader.refused(Flash(data), ROW)


def test_it_is_an_image_with_a_description():
    data = image.build_image("1.2.3", size=50_000)
    found = ImageMetadata.from_bytes(data, app_required=True)
    assert data[0] == 0xE9 and data[12:14] == b"\0\0" and data[23] == 1
    assert found.app_description.version == "1.2.3"
    assert data[-32:] == hashlib.sha256(data[:-32]).digest()
    assert why(data) is None
    assert image.check_image(data) == found


@pytest.mark.parametrize("size", [4096, 5000, 65_536, 70_001, 200_000])
def test_its_size_is_about_what_was_asked(size):
    data = image.build_image("1", size=size)
    assert size - 64 < len(data) <= size and len(data) % 16 == 0
    assert why(data) is None


def test_it_does_not_compress_and_differs_by_version():
    import zlib

    one, two = image.build_image("1", size=50_000), image.build_image("2", size=50_000)
    assert len(zlib.compress(one)) > 0.97 * len(one)
    assert one == image.build_image("1", size=50_000)
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 2000


def test_its_script_is_in_it():
    data = image.build_image("1", script="print('mine')", size=4096)
    at = data.index(image.SCRIPT) + len(image.SCRIPT)
    assert data[at : at + 4] == (13).to_bytes(4, "little") and data[at + 4 : at + 17] == b"print('mine')"


def test_other_chips():
    data = image.build_image("1", size=4096, chip="esp32s3")
    assert data[12] == 9
    assert why(data) == "made for another chip"


def test_too_small_is_said():
    with pytest.raises(Failure, match="no room for its start-up script"):
        image.build_image("1", size=500)
    with pytest.raises(Failure, match="no room"):
        image.build_image("1", script="#" * 5000, size=4096)


@pytest.mark.parametrize("data", [b"", b"\xe9", bytes(4096), b"\xff" * 4096, image.build_image("1", size=4096)[:1000]])
def test_what_is_no_image_is_said(data):
    with pytest.raises(Failure, match="no firmware image"):
        image.check_image(data)


def test_what_is_damaged_is_refused():
    good = image.build_image("1", size=4096)
    for at in (0, 12, 40, 100, 3000, len(good) - 33, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 4
        assert why(bad), at
        with pytest.raises(Failure):
            image.check_image(bytes(bad))
