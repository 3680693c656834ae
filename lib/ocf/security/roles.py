"""The roles that a Client shows by certificates, for as long as its session lasts. A phase."""

from coap.message import Refused
from crypto import x509
from port import const, phase

from ocf.security.certificates import now_of
from ocf.security.update import TOO_LARGE, known, refuse, set_roles

_ROLES = const(4)  # role certificates of one session


async def post(s, body, request):
    """Give the session of `request` the roles that it shows, all of them or none. Raises Refused."""
    known(body, "roles")
    entries = body.get("roles")
    if not isinstance(entries, list) or not request.identity:
        refuse("roles must be an array, by an authenticated Client")
    texts = []
    for entry in entries:
        data = entry.get("publicdata") if isinstance(entry, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("data"), (str, bytes)):
            refuse("a role needs publicdata")
        texts.append(data["data"])
    session = request.peer
    found = list(getattr(session, "role_chains", ()))
    more = _proof(s, session)
    try:
        for text in texts:
            chain = _decoded(text)
            if chain in [old for old, _ in found]:
                continue
            if len(found) >= _ROLES:
                raise Refused(TOO_LARGE, "too many roles in one session")
            leaf = await x509.verify_chain(chain, s.authorities(), "role", now_of(s))
            if x509.uuid_of(leaf) != session.uuid:
                raise ValueError("the certificate is another's")
            if not leaf.roles:
                raise ValueError("the certificate has no role")
            found.append((chain, leaf.roles))
    except ValueError as error:
        refuse("role certificate: %s" % error)
    session.proof = list(session.proof) + [p for p in more if p not in session.proof]
    set_roles(session, found)


def _proof(s, session):
    with phase("ocf.security.credentials") as code:
        return code.proof(s, session, True)


def _decoded(text):
    with phase("crypto.pem") as pem:
        return pem.decode(text)
