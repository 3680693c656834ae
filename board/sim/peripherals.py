"""The modules `machine`, `network`, `socket` and `time` of the simulated chip, as objects that stand in `sys.modules`."""

import socket as _socket
import time as _time

_SOL_SOCKET, _SO_RCVBUF = 1, 8
_IPPROTO_TCP, _TCP_MAXSEG = 6, 2
_YEAR_2000 = 946_684_800


class Clock:
    """The chip's clock: seconds from 2000 at power on, kept over a reset, lost without power."""

    def __init__(self, unix):
        self._base = (unix or _YEAR_2000) - _time.time()

    def now(self):
        """Unix seconds."""
        return int(self._base + _time.time())

    def set(self, unix):
        """Set it."""
        self._base = unix - _time.time()


class Overlay:
    """A module that differs from the host's in a few names."""

    def __init__(self, module, **names):
        if module:
            for name in dir(module):
                setattr(self, name, getattr(module, name))
        for name in names:
            setattr(self, name, names[name])


def machine_module(chip):
    """`machine`."""

    class WDT:
        """The watchdog. It sits outside, with the power supply: what hangs cannot keep it quiet."""

        def __init__(self, id=0, timeout=5000):
            chip.tell("wdt %d" % timeout)
            self._last = _time.ticks_ms()

        def feed(self):
            """Not yet."""
            if _time.ticks_diff(_time.ticks_ms(), self._last) >= 100:
                self._last = _time.ticks_ms()
                chip.tell("feed %d" % chip.flash.operations)

    class RTC:
        """The clock."""

        def datetime(self, value=None):
            """(year, month, day, weekday, hour, minute, second, subsecond)."""
            if value is None:
                t = _time.gmtime(chip.clock.now())
                return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0)
            chip.clock.set(int(_time.mktime((value[0], value[1], value[2], value[4], value[5], value[6], 0, 0))))
            chip.tell("rtc %d" % chip.clock.now())
            return None

    class Pin:
        """A pin, as the ESP32 has them: 6 to 11 are the flash's, and from 34 on they are inputs only."""

        IN, OUT, OPEN_DRAIN = 1, 3, 7
        PULL_UP, PULL_DOWN = 2, 1

        def __init__(self, id, mode=-1, pull=-1, *, value=None):
            if not (0 <= id < 6 or 12 <= id < 24 or 25 <= id < 28 or 32 <= id < 40):
                raise ValueError("invalid pin")
            if id >= 34 and mode not in (-1, Pin.IN):
                raise ValueError("pin can only be input")
            self._id, self._mode, self._level = id, mode, 0
            if value is not None:
                self.value(value)

        def value(self, level=None):
            """Its level; or set it."""
            if level is not None:
                self._level = 1 if level else 0
                if self._mode == Pin.OUT:
                    chip.tell("pin %d %d" % (self._id, self._level))
                return None
            return self._level if self._mode == Pin.OUT else chip.level(self._id)

        __call__ = value

        def on(self):
            """High."""
            self.value(1)

        def off(self):
            """Low."""
            self.value(0)

    return Overlay(
        None, WDT=WDT, RTC=RTC, Pin=Pin, PWRON_RESET=1, HARD_RESET=2, WDT_RESET=3, DEEPSLEEP_RESET=4, SOFT_RESET=5,
        reset=lambda: chip.halt("reset"), soft_reset=lambda: chip.halt("soft"), reset_cause=lambda: chip.settings["cause"],
        unique_id=lambda: chip.settings["address"].encode()[-6:],
    )  # fmt: skip


def micropython_module(chip):
    """`micropython`."""
    import micropython

    def kbd_intr(char):
        chip.tell("kbd %d" % char)

    return Overlay(micropython, kbd_intr=kbd_intr)


def network_module(chip):
    """`network`."""
    wait = chip.settings.get("join_ms", 0)

    class WLAN:
        """A station. It joins a moment after `connect`, unless the power supply says that there is no network."""

        def __init__(self, interface=0):
            self._active = False
            self._began = None

        def active(self, on=None):
            """Switch it on or off."""
            if on is not None:
                self._active = bool(on)
                if not on:
                    self._began = None
            return self._active

        def connect(self, ssid=None, key=None):
            """Join."""
            if not self._active:
                raise OSError(0x3002, "Wifi Not Started")
            self._began = _time.ticks_ms()

        def config(self, *asked, **given):
            """Settings: none of them makes a difference here."""

        def disconnect(self):
            """Leave."""
            self._began = None

        def isconnected(self):
            """Whether it has joined."""
            began = self._began
            return began is not None and chip.network() and _time.ticks_diff(_time.ticks_ms(), began) >= wait

        def ifconfig(self):
            """(address, mask, gateway, name server)."""
            if not self.isconnected():
                return ("0.0.0.0",) * 4
            return chip.settings["address"], "255.0.0.0", "127.0.0.1", "127.0.0.1"

    return Overlay(None, WLAN=WLAN, STA_IF=0, AP_IF=1)


def socket_module(chip):
    """`socket`: as small as the chip's queues, and with ports 53 and 123 led to where the test rig listens."""
    radio = None
    if chip.settings.get("radio"):  # a module of its own: most boards do without, and have the memory
        from radio import Radio as radio
    ports = {53: chip.settings.get("dns_port", 53), 123: chip.settings.get("ntp_port", 123)}

    def make(family=_socket.AF_INET, kind=_socket.SOCK_STREAM, *rest):
        sock = _socket.socket(family, kind, *rest)
        if chip.settings.get("small_queues", True):
            if kind == _socket.SOCK_STREAM:  # lwIP: a window of 5,760 bytes, segments of 1,440
                sock.setsockopt(_IPPROTO_TCP, _TCP_MAXSEG, 1440)
                sock.setsockopt(_SOL_SOCKET, _SO_RCVBUF, 5760)
            else:  # about 6 datagrams of 1 KB, as the kernel accounts for them
                sock.setsockopt(_SOL_SOCKET, _SO_RCVBUF, 7000)
        return radio(chip, sock) if radio else sock

    def getaddrinfo(host, port, *rest):
        return _socket.getaddrinfo(host, ports.get(port, port), *rest)

    return Overlay(_socket, socket=make, getaddrinfo=getaddrinfo)


def time_module(chip):
    """`time`, whose now is the chip's clock, which begins in 2000 as the ESP32's does, and knows no time zone."""

    def gmtime(seconds=None):
        return _time.gmtime(chip.clock.now() if seconds is None else seconds + _YEAR_2000)

    return Overlay(
        _time, gmtime=gmtime, localtime=gmtime,
        time=lambda: chip.clock.now() - _YEAR_2000, mktime=lambda parts: int(_time.mktime(parts)) - _YEAR_2000,
    )  # fmt: skip
