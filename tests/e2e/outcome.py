"""How the tests of the running program say what they expect, and how they are run and counted."""
import sys
import time
import traceback


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def expect_equal(found, wanted, what):
    expect(found == wanted, f"{what}: found {found!r}, expected {wanted!r}")


def tests_of(namespace, wanted=()):
    """The functions called test_... of a module, in order, or those of them that are wanted: (name, function)."""
    return [(name, function) for name, function in list(namespace.items())
            if name.startswith("test_") and (not wanted or name in wanted)]


class Outcome:
    """Runs tests one after the other; whatever goes wrong is one test's failure and the next one's turn."""

    def __init__(self):
        self.passed = self.failed = 0

    def attempt(self, name, action):
        begin = time.monotonic()
        try:
            action()
        except Exception:
            self.failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()[-3000:]}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name}  {time.monotonic() - begin:.1f} s", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed > 0)
