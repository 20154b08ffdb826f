"""Secrets are taken out of text that leaves the process."""

from __future__ import annotations

import base64
import urllib.parse

import pytest

from npc_lims.utils.text import redact, register_secret

_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pa/ss@w@host.org/a", "https://***@host.org/a"),
        ("https://ghp_aaaaaaaaaaaaaaaaaaaa@host.org/a", "https://***@host.org/a"),
        ("ssh://git@host.org:22/a", "ssh://***@host.org:22/a"),
        (r"\\user:pw@server\share", r"\\***@server\share"),
        ("//user:pw@server/share", "//***@server/share"),
        ("https:/user:pw@server/share", "https:/***@server/share"),
        ("https://host.org/a?X-Amz-Signature=ff&b=1 gave up", "https://host.org/a?*** gave up"),
        ("with url: /a?X-Amz-Signature=ff&b=1 (", "with url: /a?X-Amz-Signature=***&b=1 ("),
        ("=> Send header: authorization: Basic eDp5", "=> Send header: authorization: ***"),
        ("{'Authorization': b'Basic eDp5'}", "{'Authorization': ***"),
        ("Set-Cookie: _gh_sess=abc; path=/\nnext", "Set-Cookie: ***\nnext"),
        ("sent Bearer abcdefghijk", "sent Bearer ***"),
        ("token cop_abcdefghijklmnopqrst refused", "token *** refused"),
        ("github_pat_11AAAAAAA0abcdefgh_ABCDE", "***"),
        ("AKIAIOSFODNN7EXAMPLE is no key", "*** is no key"),
    ],
)
def test_what_looks_like_a_secret(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "mail somebody@example.org",
        "s3://bucket/a@b/c: access denied",
        "https://example.org/a/b and someone@example.org",
        "git@github.com:AllenInstitute/npc_lims.git",
        "the cookie jar; authorization is missing",
        "//allen/programs/mindscope/a@b",
        "C:/Users/me@lab.org/state",
        "2024-03-11T12:00:00 a/b:c@d",
        "what? https://example.org/ and why?",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_known_secrets_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
    register_secret("session\rtoken-of-dotenv")
    forms = [
        _SECRET,
        urllib.parse.quote(_SECRET, safe=""),
        base64.b64encode(f"{_SECRET}:".encode()).decode(),
        repr("session\rtoken-of-dotenv"),
        "token-of-dotenv",
    ]
    for form in forms:
        shown = redact(f"<{form}>")
        assert _SECRET not in shown
        assert "dotenv" not in shown
        assert "***" in shown


def test_short_values_are_not_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    register_secret("any")
    assert redact("any session") == "any session"
