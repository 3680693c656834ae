"""What a Node does when something has happened that is rare. A phase."""


def tell(node):
    """Log where the update is, when that is news."""
    s = node.updater.state
    text = s["state"]
    if s["running"] != "idle":
        text += ", doing " + s["running"]
    elif s["sched"] != "idle":
        text += ", %s is scheduled" % s["sched"]
    if s["result"]:
        text += ", result %d %s" % (s["result"], s["reason"])
    if text != node.last_told:
        node.last_told = text
        node.log("info", "update: " + text)


async def join(node):
    """The network is lost: join it again. Sockets are of one address: with another it is a restart."""
    board = node.board
    address = board.address()
    node.log("warning", "the network is lost")
    await board.join()
    node.log("info", "the network is joined again")
    if board.address() != address:
        node.reboot()
