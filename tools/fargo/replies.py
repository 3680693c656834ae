"""What devices answer, as a Client takes it: codes, links, representations."""

from __future__ import annotations

from typing import Any

from fargo.console import REFUSED, Failure

SOFTWARE_UPDATE, UPDATE_STATUS = "oic.r.softwareupdate", "x.fargo.update"
PSTAT, DOXM = "/oic/sec/pstat", "/oic/sec/doxm"

_CODES = {
    0x80: "bad request",
    0x81: "not authorized",
    0x83: "forbidden",
    0x84: "not found",
    0x85: "method not allowed",
    0x86: "not acceptable",
    0xA0: "internal error",
    0xA3: "busy",
}


def code_text(code: int) -> str:
    """A response code as people read it: "4.03 forbidden"."""
    return f"{code >> 5}.{code & 31:02d} {_CODES.get(code, '')}".strip()


class Refusal(Failure):
    """The device answered with an error code; `.response` is that code."""

    def __init__(self, what: str, reply: Any) -> None:
        try:
            text = bytes(reply.payload).decode()
        except UnicodeDecodeError:
            text = ""
        reason = f": {text}" if text else ""
        hint = (
            "This identity may not do that; the owner can grant it: fargo device grant." if reply.code == 0x81 else ""
        )
        super().__init__(f"{what}: the device answered {code_text(reply.code)}{reason}", hint, REFUSED)
        self.response = reply.code
        self.details = {"response": code_text(reply.code), "diagnostic": text}


def mapping(value: Any) -> dict[str, Any]:
    """`value`, if it is a map of Properties. Raises Failure."""
    if not isinstance(value, dict):
        raise Failure("the device answered with something other than a map of Properties")
    return value


def owned_by_another(address: str) -> Failure:
    """Nothing more to be had without a key."""
    return Failure(
        f"{address} has an owner, and it is not this identity",
        "Its owner can let you in (fargo device grant), or a reset at the device makes it free.",
        REFUSED,
    )


def uuid_of(link: dict[str, Any]) -> str:
    """The device that a link belongs to; its anchor is ocf:// and the UUID."""
    return str(link.get("anchor", ""))[6:].lower()


def links_of(value: Any) -> list[dict[str, Any]]:
    """The sound links of a discovery payload, plain or in its baseline form; what is malformed is left out."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "links" in value[0]:
        value = value[0]["links"]
    if not isinstance(value, list):
        return []
    good = []
    for link in value:
        if isinstance(link, dict) and isinstance(link.get("href"), str) and isinstance(link.get("rt"), list):
            good.append(link)
    return good
