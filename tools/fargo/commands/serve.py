"""`fargo serve`: hand out a folder of releases."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from fargo.authority import Authority
from fargo.console import USAGE, Failure, Json, Output, ProgressMode, ProgressOption
from fargo.identity import Identity, IdentityOption
from fargo.serve import Served, Server

app = typer.Typer(rich_markup_mode=None)


@app.command("serve")
def serve(
    folder: Annotated[Path, typer.Argument(help="The folder with the releases.")],
    host: Annotated[str, typer.Option("--host", help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    https_port: Annotated[int, typer.Option("--port", min=0, max=65535, help="TCP port of HTTPS; 0: any.")] = 8443,
    coaps: Annotated[bool, typer.Option("--coaps/--no-coaps", help="Serve CoAP over DTLS too.")] = True,
    coaps_port: Annotated[int, typer.Option("--coaps-port", min=0, max=65535, help="UDP port; 0: any.")] = 5684,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Host name or address for the certificate; repeatable.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option("--authority", help="Folder of the certificate authority; made when absent.")
    ] = None,
    identity: IdentityOption = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Stop after this time.")
    ] = None,
    json: Json = False,
    progress: ProgressOption = ProgressMode.auto,
) -> None:
    """Serve a folder over HTTPS, with our own certificate authority, and over CoAP with DTLS, until interrupted.

    With --json the object with the addresses is printed when the server is ready; with --progress jsonl each request
    is a line on stderr.
    """
    out = Output(json, progress)
    if not folder.is_dir():
        raise Failure(f"{folder} is not a folder", "Give the folder that 'fargo release build' wrote.", USAGE)
    store = authority or Path(typer.get_app_dir("fargo")) / "authority"
    own = Authority(store)
    names = name or ["localhost", "127.0.0.1", "::1"]

    def log(served: Served) -> None:
        words = (served.protocol, served.peer, served.method, served.path, served.status, served.range)
        out.event(" ".join(words).rstrip(), event="request", **served.__dict__)

    own_identity = Identity(identity)  # its devices may fetch with the key that they share with it
    shared = {known.uuid: known.key for known in own_identity.devices.values()}
    server = Server(
        folder, own, host, https_port, coaps_port if coaps else None, names, log, shared, own_identity.uuid
    )
    with server:
        value = {
            "https": server.url(),
            "coaps": server.coaps_url() if coaps else None,
            "folder": str(folder),
            "authority": str(store / "ca.pem"),
            "names": server.names,
        }
        lines = [f"Serving {folder} at {server.url()}"]
        if coaps:
            lines.append(f"    and at {server.coaps_url()}")
        lines.append(f"    devices trust it by {store / 'ca.pem'}; Ctrl-C ends it")
        out.result(value, "\n".join(lines))
        try:
            threading.Event().wait(timeout)
        except KeyboardInterrupt:
            out.note("stopped")
