"""A package for the tests of `port.phase`."""
