"""The two slots: which one runs, what `otadata` says of them, their labels. Arming and confirming: `swupdate.arming`."""

from port import const, phase

_SECTOR = const(4096)
_PENDING = const(1)
_NEW = const(0)


class Slots:
    """The slots of `board` (see the contract): "ota_0" and "ota_1", each with its `app_N`."""

    kept = False  # `confirmed` was true, and nothing has been armed since: observers ask often

    def __init__(self, board):
        self._board = board
        self.running = board.running()
        self.other = "ota_1" if self.running == "ota_0" else "ota_0"

    def state(self, slot):
        """The state that `otadata` gives `slot` (esp_ota_img_states_t), or None when it has no valid entry for it."""
        with phase("swupdate.otadata") as otadata:
            return otadata.state(self._board.partition("otadata"), slot)

    @property
    def confirmed(self):
        """Whether the running version is here to stay. Not when only the other slot has an entry: that is started next."""
        if not self.kept:
            with phase("swupdate.otadata"):  # once for both
                state = self.state(self.running)
                self.kept = self.state(self.other) is None if state is None else state not in (_NEW, _PENDING)
        return self.kept

    def label(self, slot):
        """What `slot` is (a dict, see the contract), or None when it says nothing that makes sense."""
        with phase("swupdate.label") as label:
            return label.read(self.partition(slot, "app"))

    def partition(self, slot, half):
        """The partition of `half` "fw" or "app" of `slot`."""
        # No label is put together: MicroPython would look for each among all names, and this is asked for every sector.
        return self._board.partition(slot if half == "fw" else "app_0" if slot == "ota_0" else "app_1")

    def size(self, half):
        """Bytes that `half` of a slot can hold; the label takes the last sector of "app"."""
        return (self.partition(self.other, half).ioctl(4, 0) - (half == "app")) * _SECTOR
