"""AWS credentials: found within a deadline, refused if half of a pair is missing, redacted from messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from npc_lims.errors import MissingCredentials
from npc_lims.utils.deadline import DeadlineExceeded, call_within
from npc_lims.utils.redaction import register_secret

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings


def check_keys(settings: Settings) -> None:
    """Refuse half of a key pair, with which botocore fails in ways that do not say so.

    Raises:
        MissingCredentials: One of key id and secret is set, and the other is not.
    """
    pair = {
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
    }
    missing = [name for name, value in pair.items() if value is None]
    if len(missing) == 1:
        (given,) = pair.keys() - missing
        raise MissingCredentials(
            f"{missing[0]} is not set or empty, although {given} is set: set both, or neither to use ~/.aws"
        )


class Credentials:
    """The credentials that boto3 finds, each retrieval of them within *deadline* seconds.

    Raises:
        MissingCredentials: The profile has an empty key id or secret, or what it names gives no credentials.
        BotoCoreError: It cannot be used otherwise.
    """

    def __init__(self, session: Any, deadline: float) -> None:
        from botocore.credentials import RefreshableCredentials
        from botocore.exceptions import BotoCoreError

        self._deadline = deadline
        try:
            found = self._within_deadline(session.get_credentials)
        except (BotoCoreError, MissingCredentials):
            raise
        except Exception as error:  # of any kind: the output of a program or the answer of a server may be anything
            is_file = isinstance(error, OSError) and error.filename is not None
            raise retrieval_failure(str(error) if is_file else type(error).__name__) from None
        self._refreshable = found if isinstance(found, RefreshableCredentials) else None
        if found is None or self._refreshable:
            return  # the latter are redacted as soon as they are sent
        for name, value in (("aws_access_key_id", found.access_key), ("aws_secret_access_key", found.secret_key)):
            if not value:
                raise MissingCredentials(f"{name} is empty in ~/.aws (profile {session.profile_name}): set it")
        register_secret(found.secret_key)
        register_secret(found.token)

    def refresh(self) -> None:
        """Renew credentials that expire soon: botocore would, without a deadline, when it signs a request."""
        if self._refreshable is not None and self._refreshable.refresh_needed():
            self._within_deadline(self._refreshable.get_frozen_credentials)

    def _within_deadline(self, retrieve: Callable[[], Any]) -> Any:
        try:
            return call_within(self._deadline, retrieve)
        except DeadlineExceeded:
            raise retrieval_failure(f"no answer within {self._deadline:g} s") from None


def retrieval_failure(reason: str) -> MissingCredentials:
    """Return the error for credentials that a program or server of ~/.aws should have given.

    Args:
        reason: Without what that printed or answered, in which secrets may be.
    """
    return MissingCredentials(
        f"AWS credentials could not be retrieved ({reason}); check AWS_PROFILE and ~/.aws: "
        "aws sts get-caller-identity shows more"
    )


def register_session_token(request: Any, **_: Any) -> None:
    """Have the session token of a request redacted: a handler of botocore's `before-send`."""
    token = request.headers.get("X-Amz-Security-Token")
    register_secret(token.decode() if isinstance(token, bytes) else token)
