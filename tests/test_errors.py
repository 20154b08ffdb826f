"""What callers catch, and what they read."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

import npc_lims
from npc_lims import errors
from npc_lims.errors import Problem

WARNING = Problem("tracked_sessions.yaml", 3, 5, "warning", "listed twice")
ERROR = Problem("tracked_sessions.yaml", 4, 7, "error", "no subject in '//allen/x'")


def test_every_error_is_one_of_ours_and_public() -> None:
    found = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    assert found == {name for name, home in npc_lims._homes.items() if home == "npc_lims.errors"}
    ours = (errors.NpcLimsError, errors.NpcLimsWarning)
    assert all(issubclass(getattr(npc_lims, name), ours) for name in found)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.MissingCredentials, KeyError),
        (errors.NoSessionInfo, ValueError),
        (errors.NoRemoteState, errors.RemoteStateError),
        (errors.SessionUnavailable, errors.RemoteStateError),
        (errors.SessionUnavailable, ValueError),
    ],
)
def test_errors_are_what_callers_catch_already(kind: type[Exception], base: type[Exception]) -> None:
    with pytest.raises(base):
        raise kind("why")


def test_missing_credentials_prints_without_quotes() -> None:
    assert str(errors.MissingCredentials("set CODE_OCEAN_API_TOKEN")) == "set CODE_OCEAN_API_TOKEN"


def test_source_error_names_its_source() -> None:
    error = errors.SourceError("codeocean", "the token was refused")
    assert (error.source, error.reason, str(error)) == (
        "codeocean",
        "the token was refused",
        "codeocean: the token was refused",
    )


def test_tracked_file_error_prints_errors_and_carries_warnings() -> None:
    error = errors.TrackedFileError([WARNING, ERROR])
    assert error.problems == (WARNING, ERROR)
    assert str(error) == "tracked_sessions.yaml:4:7: error: no subject in '//allen/x'"


@pytest.mark.parametrize("error", [errors.SourceError("s3", "timed out"), errors.TrackedFileError([WARNING, ERROR])])
def test_errors_survive_a_process_pool(error: errors.NpcLimsError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_problem_as_annotation_escapes_what_github_would_read_otherwise() -> None:
    problem = Problem("a,b:c.xlsx[626791]", 2, 0, "warning", "50 %\r\nof: it, all")
    assert problem.as_github_annotation() == ("::warning file=a%2Cb%3Ac.xlsx[626791],line=2,col=0::50 %25 of: it, all")


def test_an_annotation_names_its_file_as_the_repository_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def file_of(name: object) -> str:
        return Problem(str(name), 1, 1, "error", "bad").as_github_annotation().split("file=")[1].split(",")[0]

    inside = tmp_path / "checkout" / "lab"
    inside.mkdir(parents=True)
    (tmp_path / "checkout" / ".git").mkdir()
    monkeypatch.chdir(inside)
    for name in (inside / "a.yaml", "a.yaml", "../lab/a.yaml", "./a.yaml"):
        assert file_of(name) == "lab/a.yaml"
    # what lies in no checkout is named as it is, and what is no path in the message
    assert file_of(tmp_path / "a.yaml") == str(tmp_path / "a.yaml")
    remote = Problem("s3://bucket/a.xlsx[626791]", 1, 1, "error", "bad")
    assert remote.as_github_annotation() == "::error::s3://bucket/a.xlsx[626791]:1:1: bad"


def test_problems_sort_by_position() -> None:
    assert sorted([ERROR, WARNING]) == [WARNING, ERROR]
    assert (ERROR.is_error, WARNING.is_error) == (True, False)


@pytest.mark.parametrize(
    "kind", [errors.NpcLimsError, errors.MissingCredentials, errors.NoSessionData, errors.GitHubError]
)
def test_a_message_is_one_line_without_secrets(
    kind: type[errors.NpcLimsError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "an-invented-token")
    error = kind("refused an-invented-token\n::error::x\x1b[2J at https://me:pw@host.org/?a=1")
    expected = "refused *** ::error::x\\x1b[2J at https://***@host.org/?***"
    assert str(error) == expected
    assert repr(error) == f"{kind.__name__}({expected!r})"
    assert str(pickle.loads(pickle.dumps(error))) == expected


def test_the_reason_of_a_source_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "an-invented\rtoken-of-aws")
    error = errors.SourceError("s3", "Invalid header value b'an-invented\\rtoken-of-aws'\n##[error]x")
    assert error.reason == "Invalid header value b'***' ##\\[error]x"
    assert str(error) == f"s3: {error.reason}"
