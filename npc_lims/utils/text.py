"""External text made safe to print: on one line, without control characters, workflow commands and secrets; near names.

Text of servers, files and people reaches terminals, logs, summaries and commit messages. A line feed in it would begin
a line of its own, an escape sequence would move the cursor, a bidirectional control would reorder what a reviewer
sees, and a line that begins with `::` (or has `##[` anywhere) is a command to the runner of GitHub Actions.
"""

from __future__ import annotations

import base64
import functools
import os
import re
import threading
import urllib.parse
from collections.abc import Iterable, Iterator

# The runner removes white space at the beginning of a line before it looks for `::`; it finds `##[` anywhere.
_WORKFLOW_COMMAND = re.compile(r"^(\s*)(?=::)|(?<=##)(?=\[)", re.MULTILINE)
_ELLIPSIS = "..."
_LONGEST_VALUE = 80


def single_line(text: object, max_length: int | None = None) -> str:
    """Return *text* on one line of printable characters, of at most *max_length* of them.

    White space is collapsed; other control characters, bidirectional controls and lone surrogates are shown as
    escapes.

    >>> single_line("a\\n::error::b\\x1b[2J")
    'a ::error::b\\\\x1b[2J'
    >>> single_line("::error::a"), single_line("\\ud800"), single_line("abcdefgh", 6)
    ('\\\\::error::a', '\\\\ud800', 'abc...')
    """
    line = visible(" ".join(str(text).split()))
    if max_length is None or len(line) <= max_length:
        return line
    return line[: max(0, max_length - len(_ELLIPSIS))] + _ELLIPSIS[:max_length]


def one_line(text: str) -> str:
    """Return *text* on one line of printable characters, cut to a length that fits beside others."""
    return single_line(text, _LONGEST_VALUE)


def visible(text: str) -> str:
    """Return *text* with its line feeds, and every other character that is not printable as an escape.

    >>> visible("a\\n::error::b\\x1b[2J")
    'a\\n\\\\::error::b\\\\x1b[2J'
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
    return _WORKFLOW_COMMAND.sub(r"\1\\", text) if "::" in text or "##[" in text else text


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "session"), counted(2500, "session")
    ('1 session', '2,500 sessions')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like *name*, whatever the case, if any is like it."""
    return next(iter(_nearest(name, known, cutoff, 1)), None)


def _nearest(name: str, known: Iterable[str], cutoff: float, most: int) -> list[str]:
    import difflib  # for mistakes alone

    by_lower = {one.lower(): one for one in known}
    return [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=cutoff)]


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6, most: int = 1) -> str:
    """Return the words that suggest the nearest known names; an empty text if there is none.

    >>> suggestion("inputs", ["input", "mount"]), suggestion("NP4", ["NP2", "NP3", "B2"], most=2)
    (" (did you mean 'input'?)", " (did you mean 'NP3' or 'NP2'?)")
    """
    near = _nearest(name, known, cutoff, most)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


# --- secrets --------------------------------------------------------------------------------------

SECRET_VARIABLES = (
    "CODE_OCEAN_API_TOKEN",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)
"""Variables whose values are redacted wherever they are set."""

_MAX_TEXT = 4000
_MASK = "***"
# A shorter value may be a word of the message: redacting it would garble the text and tell the secret.
_MIN_LENGTH = 8
_MAX_SECRETS = 1000

_lock = threading.Lock()
_registered: set[str] = set()


def register_secret(value: str | None) -> None:
    """Redact *value* from now on. One of fewer than eight characters is ignored."""
    if value is not None and len(value.strip()) >= _MIN_LENGTH:
        with _lock:
            if len(_registered) >= _MAX_SECRETS:  # tokens of a session are renewed: a long process does not grow
                _registered.clear()
            _registered.add(value)


def redact(text: str) -> str:
    """Return *text* without registered secrets, those of the environment, and what looks like one.

    >>> redact("GET https://me:pw@example.org/a?sig=1 Authorization: Basic abc")
    'GET https://***@example.org/a?*** Authorization: ***'
    """
    for secret in sorted(_known_forms(), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    for pattern, replacement in _patterns():
        text = pattern.sub(replacement, text)
    return text


def safe_text(text: object, max_length: int = _MAX_TEXT) -> str:
    """Return *text* as a message may show it: redacted, on one line, of at most *max_length* characters."""
    # redaction first: a secret with a line feed in it would not be found any more
    return single_line(redact(str(text)), max_length)


@functools.cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """What looks like a secret, and how it is shown. Compiled when it is first needed, which in most reads is never."""
    return (
        # a header, to the end of its line: traces of git and curl, reprs of requests
        (
            re.compile(
                r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie2?|x-amz-security-token|x-api-key|private-token)"
                r"""(["']?\s*[:=]\s*)[^\r\n]+"""
            ),
            rf"\1\2{_MASK}",
        ),
        (re.compile(r"(?i)\b(bearer|aws4-hmac-sha256)\s+[^\s\"']{8,}"), rf"\1 {_MASK}"),
        # user and password of a URL, up to the last @ of the word, as a password may hold anything; S3 has no users
        (re.compile(r"(?i)\b(?!s3:|file:)([a-z][a-z0-9+.-]*://)[^\s'\"<>]+@"), rf"\1{_MASK}@"),
        # those of a share, and of a URL that was taken for a path
        (
            re.compile(r"(?i)(?<![\w/])(\\\\|//|[a-z][a-z0-9+.-]+:/)[^\s\\/@'\"]+:[^\s\\/@'\"]+@"),
            rf"\1{_MASK}@",
        ),
        # the query of a URL, and in a path alone those parameters that authorize
        (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?'\"<>]+)\?[^\s'\"<>]+"), rf"\1?{_MASK}"),
        (
            re.compile(
                r"(?i)([?&][\w.%-]*(?:token|signature|credential|secret|password|api_?key)[\w.%-]*=)[^&\s'\"<>]+"
            ),
            rf"\1{_MASK}",
        ),
        # tokens that are known by their form
        (
            re.compile(r"\b(?:gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|cop_[A-Za-z0-9]{16,}|A[KS]IA[A-Z0-9]{16})"),
            _MASK,
        ),
    )


def _known_forms() -> set[str]:
    """Every form in which a known secret may be quoted."""
    with _lock:
        secrets = set(_registered)
    secrets.update(os.environ.get(name, "") for name in SECRET_VARIABLES)
    return {form for secret in secrets for form in _forms(secret) if len(form) >= _MIN_LENGTH}


def _forms(secret: str) -> Iterator[str]:
    # one with a line feed is quoted in pieces, or as its repr
    yield from (secret, *secret.split(), repr(secret)[1:-1], urllib.parse.quote(secret, safe=""))
    for pair in (f"{secret}:", f":{secret}", secret):  # as a user or password of basic authentication
        yield base64.b64encode(pair.encode("utf-8", "replace")).decode().rstrip("=")
