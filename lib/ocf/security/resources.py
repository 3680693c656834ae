"""The secure virtual Resources as the Device holds them: what they do is in phases."""

from port import phase

from ocf.resource import Resource


class Svr(Resource):
    """One of doxm, cred, acl2, sp, csr, roles, sdi."""

    dcr = True
    observable = False

    def __init__(self, security, name):
        super().__init__(security=security, name=name, href="/oic/sec/" + name, rt=("oic.r." + name,))

    def matches(self, request):
        """Also whether `owned=` in the query is as it is."""
        for part in request.query:
            if part.startswith("owned=") and (part[6:].lower() == "true") != self.security.owned:
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
            return update.post(self.security, self.name, body, request)

    def delete(self, request):
        """Entries by their number, or all."""
        with phase("ocf.security.update") as update:
            return update.delete(self.security, self.name, request)
