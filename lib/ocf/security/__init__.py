"""OCF Security on this Device: the secure virtual Resources, who may do what, and the keys that DTLS asks for.

Resident: what every request and every ClientHello needs. What writes and shows the Resources is in the phases
`ocf.security.update`, `.delete` and `.view`, what handshakes ask in `.credentials` and `.certificates`.
"""

from port import const, phase

from ocf.pstat import RESET, RFNOP, RFOTM
from ocf.resource import Resource

_GET = const(1)
_POST = const(2)
_DELETE = const(4)
_JUST_WORKS = const(0)
_PIN = const(1)
_CERTIFICATE = const(2)
_PSK = const(1)  # credtype
_SUITES_PSK = const((0xC037, 0xC0A8))
_SUITES_CERTIFICATE = const((0xC0AE, 0xC0AC))
_CORE = const(("/oic/res", "/oic/d", "/oic/p"))
_DOXM = "/oic/sec/doxm"
_PSTAT = "/oic/sec/pstat"
_ASKED = const(("guard", "hint", "psk", "psk_for", "certificate", "opened", "knows"))


class Security:
    """The SVRs of a Device, its access policy (ocf.device) and its credentials (dtls).

    `store` keeps one record for each SVR; `random(n)` gives secret bytes. `settings`: "mfgcert": (chain of DER, private 32
    bytes) or None; "mfgtrust": list of DER; "pin": function that shows a PIN to whoever stands before the Device, or None;
    "oxms": the transfer methods that may be used, if not all; "now": function that gives unix seconds, 0 while the time
    is not known.
    """

    # Made by ocf.security.load, with all that the records hold
    device: object
    uuid: str
    sdi: tuple
    pin_task: object
    pin_tries: int

    def __init__(self, store, pstat, random, settings):
        self.store = store
        self.pstat = pstat
        self.random = random
        self.settings = settings
        with phase("ocf.security.load") as records:
            records.load(self)
        pstat.guard = self.guard

    # For the composition

    def clear(self, resource):
        """Whether `resource` is to be reached in the clear now."""
        return not resource.secure or self.pstat.state == RFOTM and resource.href in (_DOXM, _PSTAT)

    def entered(self, state):
        """pstat is in another state. In RESET everything that an owner has left goes."""
        if state == RESET:
            self.doc = self.pin_key = None
            with phase("ocf.security.records") as records:
                records.wipe(self)

    # Access (OCF Security, access control)

    def check(self, request, resource):
        """Whether `request` may do to `resource` what its method says. Asked again for every notification."""
        state = self.pstat.state
        session = request.peer if request.secure else None
        href = resource.href
        core = href in _CORE
        svr = href.startswith("/oic/sec/")
        configures = resource.dcr or core
        if state == RESET or state == RFOTM and self.doc and session is not self.doc:
            return False
        if session and session is self.doc and configures:
            return True
        if state == RFOTM:
            code = request.code
            if core:
                return code == _GET
            return not session and (href == _DOXM and code in (_GET, _POST) or href == _PSTAT and code == _GET)
        if not configures and state != RFNOP or not (session or core):
            return False
        uuid = session.uuid if session else None
        # An SVR's rowneruuid may do all; to show its roles, a Client needs no right but its name.
        if svr and uuid:
            owners = {
                "doxm": self.rowner, "pstat": self.pstat.rowneruuid, "cred": self.cred_owner, "acl2": self.acl_owner,
                "roles": uuid,
            }  # fmt: skip
            if owners.get(href[9:]) == uuid:
                return True
        granted = 0
        for ace in self.aces:
            about = ace["resources"]  # hrefs and wildcards
            if (
                href in about
                # Wildcards are about the maker's Resources; all of them are secured.
                or not configures
                and ("*" in about or resource.discoverable and "+" in about)
            ) and self._means(ace["subject"], session, uuid, svr):
                granted |= ace["permission"]
        if uuid:
            for _, role in session.roles:
                if role == "oic.role.owner":
                    granted = 31
        # Of an entry's permission: RETRIEVE or NOTIFY, DELETE, CREATE or UPDATE.
        return granted & (18 if request.code == _GET else 8 if request.code == _DELETE else 5) != 0

    def _means(self, subject, session, uuid, svr):
        """Whether the subject of an entry, (kind, value), is who asks. Connection types never open an SVR."""
        kind, value = subject
        if kind == "uuid":
            return uuid is not None and uuid == value
        if kind == "role":
            for authority, role in session.roles if uuid else ():
                if value[1] == role and value[0] in ("", authority):
                    return True
            return False
        return not svr and (value == "anon-clear" or uuid is not None)

    # Credentials (docs/architecture.md, dtls)

    def suites(self):
        """What a handshake may agree on now: asked for every ClientHello."""
        state = self.pstat.state
        if state == RFOTM:
            oxm = self.oxmsel
            if self.doc or oxm == _PIN and not self.pin_key:
                return ()
            return (
                (0xFF00,) if oxm == _JUST_WORKS else (0xC037,) if oxm == _PIN
                else _SUITES_CERTIFICATE if oxm == _CERTIFICATE else ()
            )  # fmt: skip
        psk = certificate = ()
        if state != RESET:
            for cred in self.creds:
                if cred["type"] == _PSK:
                    psk = _SUITES_PSK
                if cred["usage"] == "cert":
                    certificate = _SUITES_CERTIFICATE
        return psk + certificate

    def __getattr__(self, name):
        """What a handshake asks for, and whether all credentials are there: functions of `ocf.security.credentials`."""
        if name not in _ASKED:
            raise AttributeError(name)

        def ask(*args):
            try:
                with phase("ocf.security.credentials") as credentials:
                    return getattr(credentials, name)(self, *args)
            except MemoryError:
                if name != "knows":
                    raise
                return False  # with no memory to look, a session is not good any more

        return ask

    def authorities(self):
        """The authorities (DER) that an owner trusts. Here, because it is asked when memory is shortest."""
        found = []
        for cred in self.creds:
            if cred["usage"] == "trustca":
                found += cred["chain"]
        return found

    async def trust(self, chain):
        """(public key, uuid) of the peer with this chain. Raises ValueError."""
        with phase("ocf.security.certificates") as certificates:
            return await certificates.trust(self, chain)

    def closed(self, session):
        """A session is gone. If the new owner's, before it was one: RESET."""
        session.proof = ()  # `coap` remembers the session for a while, and need not hold its key
        if session is self.doc:
            self.doc = None
            if self.pstat.state == RFOTM:
                self.pstat.begin_reset()


class Svr(Resource):
    """One of doxm, cred, acl2, sp, csr, roles, sdi, of its Device's Security: what it does is in phases."""

    properties = None
    dcr = True
    observable = False

    @property
    def rt(self):
        """Its type, made anew: seven of them would be there all the time."""
        return ("oic.r." + self.href[9:],)

    def matches(self, request):
        """Also whether `owned=` in the query is as it is."""
        for part in request.query:
            if part.startswith("owned=") and (part[6:].lower() == "true") != self.device.access.owned:
                return False
        return super().matches(request)

    def represent(self, interface, request):
        """A coroutine for csr, whose key may have to be made."""
        if not self.matches(request):
            return None
        with phase("ocf.security.view") as view:
            return view.represent(self, interface, request)

    def post(self, body, request):
        """A coroutine for roles, whose certificates are verified. Raises Refused; then nothing has changed."""
        with phase("ocf.security.update") as update:
            return update.post(self.device.access, self.href[9:], body, request)

    def delete(self, request):
        """Entries by their number, or all."""
        with phase("ocf.security.delete") as update:
            return update.delete(self.device.access, self.href[9:], request)
