"""Names, for the Sources of the install phase."""

from port import phase, spent


class Resolver:
    """Names through the name server `server`; the code for it is in memory only while a name is asked for.

    `own`: the address of this Device, where nothing is fetched from (None: everywhere is elsewhere). `known`: (name,
    address) of what was resolved before, or None.
    """

    def __init__(self, server, own=None, known=None):
        self._server = server
        self._own = own
        self._known = known

    async def resolve(self, name):
        """The numeric address of `name`. Raises Fault "lost"; "url" when it is this Device itself, or no single host."""
        if self._known and self._known[0] == name:
            return self._known[1]
        with phase("swupdate.install.dns") as dns:
            found = await dns.resolve(name, self._server)
            spent(dns)
            dns = None  # see swupdate.install.bring
        if self._own is not None:
            with phase("swupdate.itself") as itself:
                itself.refuse(found, self._own)
        return found
