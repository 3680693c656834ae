"""What was provisioned against what a release has brought since: `firmware.terms.believe`, out of real files."""

import hashlib

import cbor
import pytest
from recipe import KIND, VENDOR, key
from swupdate import trust

from firmware.job import Trust
from firmware.store import Store
from firmware.terms import believe


def provisioned(folder, **more):
    """Path of a record that trusts the keys 1 and 2."""
    record = {
        "v": 1, "name": "x", "manufacturer": "x", "manufactured": "2026-01-09T14:30:00Z", "piid": "x",
        "vendor": VENDOR, "class": KIND, "threshold": 2, "keys": dict([key(1), key(2)]), "authorities": [b"der"], **more,
    }  # fmt: skip
    (folder / "fargo.cbor").write_bytes(cbor.dumps(record))
    return str(folder / "fargo.cbor")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "data").mkdir()
    return Store(str(tmp_path / "data"))


def bring(store, number):
    record = {
        "v": 1, "n": number, "keys": dict([key(3)]), "threshold": 1, "since": 2, "floor": 50, "revoked": [key(1)[0]],
        "digest": bytes(32), "manifest": hashlib.sha256(b"%d" % number).digest(), "built": 5,
    }  # fmt: skip
    trust.stage(store, record)
    assert trust.apply(store, None, record["manifest"])


def believed(path, store):
    """Whom a device believes."""
    made = Trust(path)
    believe(made, store, None)
    return made


def test_until_a_release_brings_another(tmp_path, store):
    found = believed(provisioned(tmp_path), store)
    assert (found.number, found.threshold, found.keys()) == (0, 2, dict([key(1), key(2)]))
    assert (found.since, found.floor, list(found.revoked)) == (0, 0, [])
    bring(store, 2)
    found = believed(provisioned(tmp_path), store)
    assert (found.number, found.threshold, found.keys()) == (2, 1, dict([key(3)]))
    assert (found.since, found.floor, found.revoked) == (2, 50, [key(1)[0]])
    assert (found.vendor_id, found.class_id, found.authorities()) == (VENDOR, KIND, [b"der"])


def test_a_device_that_is_made_later_begins_with_a_later_one(tmp_path, store):
    """Then those before are a rollback to it, although keys that it trusts have signed them."""
    late = provisioned(tmp_path, trust=[5, b"d" * 32])
    found = believed(late, store)
    assert (found.number, found.digest, found.keys()) == (5, b"d" * 32, dict([key(1), key(2)]))
    bring(store, 4)
    assert believed(late, store).number == 5 and believed(late, store).keys() == dict([key(1), key(2)])
    bring(store, 6)
    assert believed(late, store).number == 6 and believed(late, store).keys() == dict([key(3)])
