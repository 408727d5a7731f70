"""A library that stands between the engine and the C library (LD_PRELOAD), and makes rare moments last.

    hold(text)   the rename of a part that an insert wrote, in a folder with `text` in its path, does not return
    full()       the disk is full for everything that is written to the engine's data

The engine writes its deduplication record before that rename: held there, it is where a kill loses a block.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int text_of(const char *name, char *out, size_t size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("SHIM_DIR"), name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) return 0;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    if (got <= 0) return 0;
    out[got] = 0;
    return 1;
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    char wanted[256], held[4096];
    if (strstr(from, "tmp_insert") && text_of("hold", wanted, sizeof wanted) && strstr(from, wanted)) {
        snprintf(held, sizeof held, "%s/held", getenv("SHIM_DIR"));
        close(open(held, O_CREAT | O_WRONLY, 0600));
        while (text_of("hold", wanted, sizeof wanted)) usleep(20000);
    }
    return real(from, to);
}

static int is_full(int fd) {
    char data[4096], link[64], path[4096];
    if (!text_of("full", data, sizeof data)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path - 1);
    if (got <= 0) return 0;
    path[got] = 0;
    if (strncmp(path, data, strlen(data))) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return is_full(fd) ? -1 : real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *data, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = dlsym(RTLD_NEXT, "writev");
    return is_full(fd) ? -1 : real(fd, data, count);
}
"""


# The engine's library is loaded so that it asks the C library past whatever was preloaded (RTLD_DEEPBIND).
PRELUDE = """
import ctypes
class Shallow(ctypes.CDLL):
    def __init__(self, name, mode=ctypes.DEFAULT_MODE, **more):
        super().__init__(name, mode & ~8, **more)
ctypes.CDLL = Shallow
"""


@dataclass(frozen=True, slots=True)
class Shim:
    """`folder` holds the library and what it is told."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.folder / "shim.so"), "SHIM_DIR": str(self.folder)}

    def hold(self, text: str) -> None:
        (self.folder / "held").unlink(missing_ok=True)
        (self.folder / "hold").write_text(text)

    @property
    def held(self) -> bool:
        return (self.folder / "held").exists()

    def release(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)

    def full(self, data: Path) -> None:
        (self.folder / "full").write_text(str(data))

    def room(self) -> None:
        (self.folder / "full").unlink(missing_ok=True)


def shim(folder: Path) -> Shim:
    """Compiled anew; skips the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("it needs a C compiler")
    folder.mkdir(parents=True)
    (folder / "shim.c").write_text(_SOURCE)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "shim.so"), str(folder / "shim.c"), "-ldl"], check=True
    )
    return Shim(folder)
