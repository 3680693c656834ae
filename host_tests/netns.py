"""Two hosts on one machine: network namespaces joined by a veth pair, for what crosses a network, multicast above all.

The addresses exist in the namespaces alone, which have no way out. It takes Linux, root, and `ip` of iproute2.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

_CLONE_NEWNET = 0x40000000
_PREFIX = "fargo"
_numbers = itertools.count(1)


class NoNamespaces(RuntimeError):
    """This machine, or this user, cannot have network namespaces."""


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NoNamespaces(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """One namespace: its `name`, its `interface` to the other host, and its `addresses` there."""

    def __init__(self, name: str, interface: str, addresses: Sequence[str]) -> None:
        self.name = name
        self.interface = interface
        self.addresses = list(addresses)
        self.address = self.addresses[0]

    def command(self, *arguments: str) -> list[str]:
        """`arguments`, to be run in this namespace."""
        return ["ip", "netns", "exec", self.name, *arguments]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in this namespace, and so are sockets, threads and processes that it makes; they stay."""
        with (
            open(f"/proc/self/task/{threading.get_native_id()}/ns/net") as home,
            open(f"/run/netns/{self.name}") as there,
        ):
            _set(there.fileno())
            try:
                yield
            finally:
                _set(home.fileno())


def _set(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise NoNamespaces(f"setns: {os.strerror(ctypes.get_errno())}")


class Netns:
    """Two hosts, `client` and `device`, each with `addresses` addresses of 10.77.N.0/24; use it with `with`."""

    def __init__(self, addresses: int = 1) -> None:
        number = next(_numbers)
        base = f"{_PREFIX}{os.getpid()}-{number}"
        net = f"10.77.{number % 256}"
        self.client = Host(base + "c", "veth0", [f"{net}.{1 + i}" for i in range(addresses)])
        self.device = Host(base + "d", "veth0", [f"{net}.{101 + i}" for i in range(addresses)])

    def __enter__(self) -> Netns:
        if not shutil.which("ip"):
            raise NoNamespaces("the command ip is missing: apt-get install iproute2")
        if os.geteuid():
            raise NoNamespaces("this test makes network namespaces, for which it must be run by root")
        _sweep()
        try:
            for host in (self.client, self.device):
                _ip("netns", "add", host.name)
            self.join()
            for host in (self.client, self.device):
                for address in host.addresses:
                    _ip("-n", host.name, "address", "add", f"{address}/24", "dev", host.interface)
                for interface in ("lo", host.interface):
                    _ip("-n", host.name, "link", "set", interface, "up")
                _ip("-n", host.name, "route", "add", "224.0.0.0/4", "dev", host.interface)
        except BaseException:
            self.__exit__()
            raise
        return self

    def join(self) -> None:
        """Lay the cable."""
        one, two = self.client, self.device
        _ip("link", "add", one.interface, "netns", one.name, "type", "veth",
            "peer", "name", two.interface, "netns", two.name)  # fmt: skip

    def __exit__(self, *_exc: Any) -> None:
        for host in (self.client, self.device):
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)


def _sweep() -> None:
    """Remove what test runs that were killed have left."""
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
