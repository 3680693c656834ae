"""Names, for the Sources of the install phase."""

from port import phase


class Resolver:
    """Names through the name server `server`; the code for it is in memory only while a name is asked for."""

    def __init__(self, server):
        self._server = server

    async def resolve(self, name):
        """The numeric address of `name`. Raises Fault "lost"."""
        with phase("swupdate.install.dns") as dns:
            return await dns.resolve(name, self._server)
