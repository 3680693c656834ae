"""A file system in which a block is damaged: LittleFS can go on reading it and never write again. A phase of the start."""

import os


def repair(folder, anew, log):
    """See to it that files can be written in `folder`; `anew()` makes the file system there anew.

    All records that can still be read are kept. What an app has in its own folder may be lost.
    """
    why = _damage(folder)
    if why and _lighten(folder):
        log("warning", "data was damaged (%s): what an update had left there is removed" % why)
        why = _damage(folder)
    if not why:
        return
    kept = _records(folder)
    log("warning", "data is damaged (%s): made anew with the %d records that can be read" % (why, len(kept)))
    anew()
    for name in kept:
        try:
            with open(folder + "/" + name, "wb") as file:
                file.write(kept[name])
        except OSError as error:
            log("error", "record %s is lost: %s" % (name, error))


def _damage(folder):
    """Why no block can be allocated, or None: for that LittleFS looks at every one that is in use."""
    try:
        os.statvfs(folder)
    except OSError as error:
        return str(error)
    return None


def _lighten(folder):
    """Remove what can be made again."""
    try:
        for name in os.listdir(folder):
            if name == "room" or name.startswith("chunks.") or name.endswith(".new"):
                os.remove(folder + "/" + name)
    except OSError:
        return False
    return True


def _records(folder):
    found = {}
    try:
        for name in os.listdir(folder):
            try:
                with open(folder + "/" + name, "rb") as file:
                    found[name] = file.read()
            except OSError:  # is a folder, or damaged
                pass
    except OSError:
        pass
    return found
