"""AWS credentials: a pair of which half is missing is refused, and secrets that boto3 finds are redacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from npc_lims.errors import MissingCredentials
from npc_lims.utils.redaction import register_secret

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["check_keys", "register_credentials", "register_session_token", "retrieval_failure"]


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


def register_credentials(session: Any) -> None:
    """Have the secrets that boto3 found redacted, such as those of a profile.

    Raises:
        MissingCredentials: The profile has an empty key id or secret, or what it names gives no credentials.
        BotoCoreError: It cannot be used otherwise.
    """
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import BotoCoreError

    try:
        found = session.get_credentials()
    except BotoCoreError:
        raise
    except Exception as error:  # whatever botocore meets in the output of a program, or the answer of a server
        is_file = isinstance(error, OSError) and error.filename is not None
        raise retrieval_failure(str(error) if is_file else type(error).__name__) from None
    if found is None or isinstance(found, RefreshableCredentials):
        return  # those are known as soon as they are sent
    for name, value in (("aws_access_key_id", found.access_key), ("aws_secret_access_key", found.secret_key)):
        if not value:
            raise MissingCredentials(f"{name} is empty in ~/.aws (profile {session.profile_name}): set it")
    register_secret(found.secret_key)
    register_secret(found.token)


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
