#!/usr/bin/env python3
"""run_test.py ROOT PRESET

Drives ./run as people and scripts do: without a terminal, at a terminal (a pty), over SSH, with a display, with words for
fathom. The build and the default model must be there already: this is also what measures the start of a second ./run.
The last line is "N passed, N failed".
"""
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from outcome import Outcome, tests_of

READY_SECONDS = 3  # what a second ./run may take until its address is there
WAIT_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Run:
    def __init__(self, root, preset):
        self.command = [str(root / "run")]
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")}
        self.chat_data = tempfile.TemporaryDirectory()
        self.environment |= {"FATHOM_PRESET": preset, "FATHOM_CHAT_DATA": self.chat_data.name}

    def in_script(self, *words, stdin="", **environment):
        return subprocess.run(self.command + list(words), env=self.environment | environment, input=stdin,
                              capture_output=True, text=True, timeout=WAIT_SECONDS, cwd="/")

    def at_terminal(self, *words, **environment):
        return Terminal(self.command + list(words), self.environment | environment)


class Terminal:
    """A program on a pty of its own, as at a person's terminal."""

    def __init__(self, command, environment):
        self.start = time.monotonic()
        self.seen = ""
        self.status = None
        self.child, self.screen = pty.fork()
        if self.child == 0:
            os.execve(command[0], command, environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
        os.close(self.screen)

    def read(self, seconds):
        """Takes in what is shown; False at the end of the program's output."""
        if not select.select([self.screen], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.screen, 65536).decode(errors="replace")
        except OSError:  # the pty's way of saying that the other end is closed
            return False
        self.seen += piece
        return piece != ""

    def wait_for(self, pattern):
        """The seconds from the start until this was shown."""
        end = time.monotonic() + WAIT_SECONDS
        while not re.search(pattern, self.seen):
            assert time.monotonic() < end and self.read(0.2), f"{pattern!r} was never shown, but:\n{self.seen}"
        return time.monotonic() - self.start

    def type(self, text):
        os.write(self.screen, text.encode())

    def exit_status(self):
        end = time.monotonic() + WAIT_SECONDS
        while self.read(0.2):
            assert time.monotonic() < end, f"it goes on:\n{self.seen}"
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        return self.status


def test_script_gets_an_answer_and_no_server_stays(run):
    port = free_port()
    done = run.in_script(FATHOM_PORT=str(port))
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout, f"the answer was {done.stdout!r}"
    assert not is_open(port), "the server is still there"


def test_terminal_shows_the_page_until_ctrl_c(run):
    port = free_port()
    with run.at_terminal(FATHOM_PORT=str(port)) as terminal:
        seconds = terminal.wait_for(rf"Open(ing)? http://127\.0\.0\.1:{port} .*Ctrl-C")
        print(f"    ready after {seconds:.2f} s")
        assert seconds < READY_SECONDS, f"ready after {seconds:.1f} s"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"<html" in page.read().lower()
        assert "ssh -N" not in terminal.seen
        terminal.type("\x03")
        assert terminal.exit_status() == 0, terminal.seen
    assert not is_open(port), "the server is still there"


def test_over_ssh_it_says_how_to_forward_the_port(run):
    port = free_port()
    with run.at_terminal(FATHOM_PORT=str(port), SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 2222", DISPLAY=":10") as terminal:
        terminal.wait_for(rf"ssh -N -L {port}:127\.0\.0\.1:{port} -p 2222 \S+@192\.0\.2\.1")
        terminal.type("\x03")
        assert terminal.exit_status() == 0, terminal.seen


def test_with_a_display_it_opens_the_browser(run):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        opened = pathlib.Path(folder, "opened")
        browser = pathlib.Path(folder, "xdg-open")
        browser.write_text(f'#!/bin/sh\necho "$1" >"{opened}.part" && mv "{opened}.part" "{opened}"\n')
        browser.chmod(0o755)
        with run.at_terminal(FATHOM_PORT=str(port), DISPLAY=":0", PATH=f"{folder}:{os.environ['PATH']}") as terminal:
            terminal.wait_for(rf"Open(ing)? http://127\.0\.0\.1:{port} .*Ctrl-C")
            end = time.monotonic() + 10
            while not opened.exists() and time.monotonic() < end:
                time.sleep(0.05)
            assert opened.read_text().strip() == f"http://127.0.0.1:{port}"
            terminal.type("\x03")
            assert terminal.exit_status() == 0, terminal.seen


def test_a_taken_port_is_named(run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run.in_script(FATHOM_PORT=str(port))
    assert done.returncode == 1 and f"port {port} is taken" in done.stderr, done


def test_other_words_go_to_fathom(run):
    done = run.in_script("--version")
    assert done.returncode == 0 and done.stdout.startswith("fathom "), done
    assert run.in_script("no-such-command").returncode == 2
    missing = run.in_script("generate", "./no such model.gguf", "-p", "hi")
    assert missing.returncode == 1 and "no such model.gguf" in missing.stderr, missing


def main():
    run = Run(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
    outcome = Outcome()
    for name, test in tests_of(globals()):
        outcome.attempt(name, lambda: test(run))
    outcome.end()


if __name__ == "__main__":
    main()
