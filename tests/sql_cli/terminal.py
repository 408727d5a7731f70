"""A program on a terminal of its own, as a person sees it: type, wait for words, press Ctrl-C."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path
from typing import Final, Self

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
_SECONDS: Final = 30.0  # bounds a hang
_QUIET_LOOKS: Final = 4


class Terminal:
    def __init__(self, arguments: list[str], *, environment: Mapping[str, str], folder: Path) -> None:
        self._leader, follower = pty.openpty()
        ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._text = ""
        self._seen = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment},
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  Ctrl-C needs a controlling terminal
        )
        os.close(follower)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._leader)

    def type(self, text: str) -> None:
        """A line end in `text` is Enter."""
        os.write(self._leader, text.replace("\n", "\r").encode())

    def until(self, words: str) -> str:
        """What was shown since the last call, up to and with `words`."""
        deadline = time.monotonic() + _SECONDS
        while (at := self._text.find(words, self._seen)) < 0:
            assert time.monotonic() < deadline, f"{words!r} was not shown: {self._text[self._seen :]!r}"
            self._read(0.1)
        begin, self._seen = self._seen, at + len(words)
        return self._text[begin : self._seen]

    def until_last(self, words: str) -> str:
        """What was shown since the last call, once `words` are the last of it and nothing follows: an editor draws its
        prompt again and again, but waits for keys only at the end.
        """
        deadline = time.monotonic() + _SECONDS
        quiet = 0
        while quiet < _QUIET_LOOKS:
            assert time.monotonic() < deadline, f"{words!r} is not the last: {self._text[self._seen :]!r}"
            before = len(self._text)
            self._read(0.05)
            ended = self._text[self._seen :].rstrip().endswith(words)
            quiet = quiet + 1 if ended and len(self._text) == before else 0
        begin, self._seen = self._seen, len(self._text)
        return self._text[begin:]

    def end(self) -> int:
        """The exit code, once it ended by itself."""
        deadline = time.monotonic() + _SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self._text[self._seen :]!r}"
            self._read(0.1)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        if not select.select([self._leader], [], [], seconds)[0]:
            return
        try:
            piece = os.read(self._leader, 1 << 16)
        except OSError as error:
            if error.errno == errno.EIO:  # the program closed the terminal
                time.sleep(0.05)
                return
            raise
        self._text += _ESCAPES.sub("", piece.decode("utf-8", "replace"))
