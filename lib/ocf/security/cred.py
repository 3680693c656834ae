"""UPDATEs of credentials. A phase within `ocf.security.update`."""

from binascii import a2b_base64, b2a_base64

from port import const, phase

from ocf.pstat import RFOTM
from ocf.security import records
from ocf.security.update import append, known, merged, number, owner, refuse, role_of, unlimited, uuid
from ocf.uuids import raw

_MOST = const(16)
_PSK = const(1)
_CERTIFICATE = const(8)
_USAGES = const(("trustca", "cert", "mfgtrustca"))
_OXMS = const((b"oic.sec.doxm.jw", b"oic.sec.doxm.rdp", b"oic.sec.doxm.mfgcert"))


def post(s, body, request):
    """Take an UPDATE. Raises Refused."""
    known(body, "creds", "rowneruuid")
    owned_by = owner(s, body, s.cred_owner)
    creds = merged(
        s, body.get("creds"), "creds", s.creds, _MOST,
        lambda kept, entry: _merge(kept, _credential(s, entry, request)),
    )  # fmt: skip
    records.save(s, "cred", cred_owner=owned_by, creds=creds)


def _merge(kept, new):
    """A credential takes the place of the one with its number, and of the one for the same."""
    usage = new["usage"]
    for old in list(kept):
        same = old["usage"] == usage
        if usage != "cert":  # of which there is one
            same = same and old["subject"] == new["subject"] and old["chain"] == new["chain"]
        if same or new["id"] == old["id"]:
            kept.remove(old)
            new["id"] = new["id"] or old["id"]
    append(kept, new)


def _credential(s, entry, request):
    unlimited(entry, "period")
    kind = entry.get("credtype")
    if isinstance(kind, (bool, float)):  # which compare like numbers
        kind = None
    subject = entry.get("subjectuuid")
    new = {
        "id": number(entry, "credid"), "type": kind, "usage": "", "key": b"", "chain": [],
        "role": role_of(entry.get("roleid")), "subject": "*" if subject == "*" else uuid(subject, "subjectuuid"),
    }  # fmt: skip
    if kind == _PSK:
        if new["subject"] == "*":
            refuse("a key needs a subjectuuid")
        new["key"] = _key(s, entry.get("privatedata"), new["subject"], request)
    elif kind == _CERTIFICATE:
        usage = entry.get("credusage")
        new["usage"] = usage[13:] if isinstance(usage, str) and usage.startswith("oic.sec.cred.") else ""
        if new["role"]:
            refuse("a roleid goes with a key")
        if new["usage"] not in _USAGES:
            refuse("credusage is not supported")
        new["chain"] = _chain(s, entry.get("publicdata"), new["usage"])
    else:
        refuse("credtype must be 1 or 8")
    return new


def _key(s, data, subject, request):
    """A pre-shared key: what is written, or what both sides derive from the onboarding connection."""
    if not isinstance(data, dict):
        refuse("a key needs privatedata")
    key = data.get("data")
    encoding = data.get("encoding", "oic.sec.encoding.raw")
    sent_as_text = isinstance(key, str)
    if sent_as_text:
        key = key.encode()
    if not isinstance(key, bytes):
        refuse("privatedata needs data")
    if encoding == "oic.sec.encoding.base64":
        text = key
        try:
            key = a2b_base64(text)
        except ValueError:
            key = b""
        if b2a_base64(key)[:-1] != text:  # decoding passes over what is not base64
            refuse("data is not in base64")
    elif encoding != "oic.sec.encoding.raw":
        refuse("encoding is not supported")
    elif not key:
        session = s.doc
        if session is None or request.peer is not session or s.pstat.state != RFOTM:
            refuse("a key can be derived only in the onboarding connection")
        with phase("crypto.prf") as prf:
            return prf.owner_psk(
                session.master, session.randoms, session.block, _OXMS[s.oxmsel], raw(subject), raw(s.uuid)
            )
    elif sent_as_text and -len(key) % 16 < 4:
        key += bytes(-len(key) % 16)  # text has lost the zeros at its end
    if len(key) not in (16, 32):
        refuse("a key has 16 or 32 bytes")
    return key


def _chain(s, data, usage):
    """Certificates (a list of DER): authorities, or this Device's own chain."""
    text = data.get("data") if isinstance(data, dict) else None
    if not isinstance(text, (str, bytes)):
        refuse("a certificate needs publicdata")
    encoding = data.get("encoding", "oic.sec.encoding.pem")
    with phase("crypto.pem", "crypto.certificate") as (pem, certificate):
        try:
            if encoding == "oic.sec.encoding.der":
                chain = [text.encode() if isinstance(text, str) else text]
            elif encoding == "oic.sec.encoding.pem":
                chain = pem.decode(text)
            else:
                raise ValueError("encoding is not supported")
            found = [certificate.parse(der) for der in chain]
            if not found:
                raise ValueError("there is no certificate")
            if usage != "cert":
                if not all(one.ca for one in found):
                    raise ValueError("an authority's certificate is not a CA's")
            elif found[0].public != (s.store.load("key") or b"")[32:] or _uuid_of(found[0]) != s.uuid:
                raise ValueError("the certificate is not for this Device's key and uuid")
        except ValueError as error:
            refuse("certificate: %s" % error)
    return chain


def _uuid_of(cert):
    with phase("crypto.x509") as x509:
        return x509.uuid_of(cert)
