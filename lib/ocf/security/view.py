"""What the SVRs show. A phase."""

from cbor import Pairs
from port import const, phase

from ocf.resource import dressed

_RAW = const("oic.sec.encoding.raw")
_PEM = const("oic.sec.encoding.pem")
_PROFILE = const("1.3.6.1.4.1.51414.0.0.1.0")  # the baseline security profile
SCT = 9  # symmetric pair-wise keys, asymmetric signing keys with certificates


def represent(svr, interface, request):
    """Pairs, or a coroutine of them."""
    security = svr.device.access
    name = svr.href[9:]
    if name == "csr":
        # Not among others, in a batch: it takes time.
        return _csr(svr, interface) if request.path == svr.href else dressed(svr, interface, [])
    return dressed(svr, interface, _VIEWS[name](security, request))


def methods(security):
    """The transfer methods: oxms."""
    settings = security.settings
    able = True, settings.get("pin"), settings.get("mfgcert")
    return [method for method in settings.get("oxms", (0, 1, 2)) if able[method]]


def _doxm(s, _request):
    return [
        ("oxms", methods(s)), ("oxmsel", s.oxmsel), ("sct", SCT), ("owned", s.owned), ("devowneruuid", s.devowner),
        ("deviceuuid", s.uuid), ("rowneruuid", s.rowner),
    ]  # fmt: skip


def _cred(s, _request):
    with phase("crypto.pem") as pem:
        return [("creds", [Pairs(_credential(c, pem)) for c in s.creds]), ("rowneruuid", s.cred_owner)]


def _credential(cred, pem):
    """What may be seen of a credential: never a key."""
    found = [("credid", cred["id"]), ("credtype", cred["type"]), ("subjectuuid", cred["subject"])]
    if cred["chain"]:
        found.append(("publicdata", _public(cred["chain"], pem)))
    else:
        found.append(("privatedata", {"data": b"", "encoding": _RAW}))
    if cred["usage"]:
        found.append(("credusage", "oic.sec.cred." + cred["usage"]))
    if cred["role"]:
        authority, role = cred["role"]
        found.append(("roleid", {"authority": authority, "role": role} if authority else {"role": role}))
    return found


def _public(chain, pem):
    return {"data": "".join(pem.encode("CERTIFICATE", der) for der in chain), "encoding": _PEM}


def _acl2(s, _request):
    return [("aclist2", [Pairs(_ace(ace)) for ace in s.aces]), ("rowneruuid", s.acl_owner)]


def _ace(ace):
    kind, value = ace["subject"]
    if kind == "role":
        subject = {"authority": value[0], "role": value[1]} if value[0] else {"role": value[1]}
    else:
        subject = {kind: value}
    resources = [{"href" if name[0] == "/" else "wc": name} for name in ace["resources"]]
    return [("aceid", ace["id"]), ("subject", subject), ("resources", resources), ("permission", ace["permission"])]


def _sp(_security, _request):
    return [("currentprofile", _PROFILE), ("supportedprofiles", [_PROFILE])]


def _roles(s, request):
    chains = getattr(request.peer, "role_chains", ())
    with phase("crypto.pem") as pem:
        roles = [
            {"credid": i + 1, "credtype": 8, "subjectuuid": request.identity or "*", "publicdata": _public(chain, pem),
             "credusage": "oic.sec.cred.rolecert"}
            for i, (chain, _) in enumerate(chains)
        ]  # fmt: skip
    return [("roles", roles)]


def _sdi(s, _request):
    uuid, name, private = s.sdi
    return [("uuid", uuid), ("name", name), ("priv", private)]


_VIEWS = {"doxm": _doxm, "cred": _cred, "acl2": _acl2, "sp": _sp, "roles": _roles, "sdi": _sdi}


async def _csr(svr, interface):
    with phase("ocf.security.csr") as csr:
        pem = await csr.request(svr.device.access)
    return dressed(svr, interface, [("csr", pem), ("encoding", _PEM)])
