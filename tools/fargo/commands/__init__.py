"""The commands of `fargo`, one module a noun; each has an `app`."""
