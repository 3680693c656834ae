"""Fuzzing of one interpreter: `fuzzing.py REPOSITORY SEED ROUNDS [TARGET]`, in MicroPython or in CPython. With "corpus" for
SEED nothing is damaged: each input of the corpus is run.

A line for each target with the longest time of one input. Whatever a target raises that it may not ends everything, with the
input in hexadecimal and exit code 1.
"""

import asyncio
import gc
import sys
import time

if __name__ == "__main__":
    sys.path[:0] = [
        sys.argv[1] + "/" + f for f in ("lib", "", "host_tests", "host_tests/fuzz", "host_tests/unit/both")
    ]

from mutator import Random, mutated  # noqa: E402
from seeds import inputs  # noqa: E402

_LONGEST = 1000  # ms of processor time for one input: a hundred times what is expected, on a machine with other work

_seconds = getattr(time, "clock", None) or time.process_time  # MicroPython's name, and CPython's


def clock():
    """Milliseconds of processor time: the clock's are other processes' as well."""
    return _seconds() * 1000


async def fuzz(target, seed, rounds):
    """(longest ms, number of inputs that were accepted)."""
    random = Random(seed)
    longest = accepted = 0
    for example in target.examples:
        good = await once(target, example, -1)
        if not good and example is target.examples[0]:
            raise RuntimeError("%s refuses its example" % target.name)
    for count in range(max(rounds // target.slow, 20)):
        data = mutated(random, target.examples, target.limit)
        began = clock()
        accepted += await once(target, data, count)
        spent = clock() - began
        if spent > _LONGEST:
            raise RuntimeError("%s took %d ms for %s" % (target.name, spent, hexadecimal(data)))
        longest = max(longest, spent)
    return longest, accepted


async def again(target):
    """As fuzz(), of the corpus."""
    longest = accepted = 0
    for data in inputs(target.name):
        began = clock()
        accepted += await once(target, data, -1)
        longest = max(longest, clock() - began)
    return longest, accepted


async def once(target, data, count):
    try:
        result = target.run(data)
        if hasattr(result, "send"):
            result = await result
        return result != 0
    except target.allowed:
        return False
    except BaseException:
        print("FAILED %s, input %d: %s" % (target.name, count, hexadecimal(data)))
        raise


def hexadecimal(data):
    return "".join(["%02x" % byte for byte in data])


async def main():
    from targets import TARGETS

    seed, rounds = sys.argv[2], int(sys.argv[3])
    for target in TARGETS:
        if len(sys.argv) < 5 or target.name == sys.argv[4]:
            longest, accepted = await (again(target) if seed == "corpus" else fuzz(target, int(seed), rounds))
            gc.collect()
            print("%-14s %6.1f ms  %5d accepted" % (target.name, longest, accepted))


if __name__ == "__main__":
    asyncio.run(main())
