"""Whose time is believed. A phase: the clock asks every few hours. Names are looked up, and servers asked, in turns."""

import asyncio

from port import const, phase, reserve, spent

_WAIT_S = const(10)
_APART_S = const(60)  # two that are right may differ by so much: the second takes its time, and clocks drift


async def follow(clock, server, dns, log):
    """Set the clock by `server`, once; whether it was set. Raises as `ask`, and OSError when it cannot be recorded."""
    for _ in range(_WAIT_S):
        if not reserve.lent:  # to a handshake, which comes at once when Clients have waited for this device
            break
        await asyncio.sleep(1)
    done = clock.set(await ask(server, dns, clock.now))
    if not done:
        log("warning", "the NTP server's time is earlier than this release: ignored")
    return done


async def ask(name, name_server, now):
    """Unix seconds, by the NTP server called `name`. Raises OSError, or Fault when the name is not found.

    One answer alone is not believed: it must agree with the device's own clock, `now()`, or with a second answer, whose
    server's address is asked for anew.
    """
    first = await _answer(name, name_server)
    if abs(first - now()) <= _APART_S:
        return first
    second = await _answer(name, name_server)
    if abs(second - first) > _APART_S:
        raise OSError("two answers of the NTP server differ by %d s" % abs(second - first))
    return second


async def _answer(name, name_server):
    host = await _find(name, name_server)
    with phase("firmware.sntp") as sntp:
        spent(sntp)
        return await sntp.answer(host)


async def _find(name, name_server):
    with phase("swupdate.install.dns") as dns:
        spent(dns, False)  # an update may ask as well, and be done with it before
        return await dns.resolve(name, name_server)
