"""CA bundles as the cause of a failed connection."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

HTTP_BUNDLE = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables in which requests looks for a CA bundle, by precedence."""
AWS_BUNDLE = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""Those of boto3."""
SSL_BUNDLE = ("SSL_CERT_FILE",)
"""That of Python's own ssl, which ignores a file that does not exist."""

# In messages of OpenSSL: a handshake may also break off.
_OF_CERTIFICATES = re.compile(r"certificate|x509|\bpem\b", re.IGNORECASE)


def ca_bundle_failure(error: BaseException, variables: tuple[str, ...] = HTTP_BUNDLE) -> str | None:
    """Return what is wrong with the CA bundle of the first of *variables* that is set, and what to do.

    None if none is set, or *error* has another cause.
    """
    import ssl

    variable = next((name for name in variables if os.environ.get(name)), None)
    if variable is None:
        return None
    bundle = os.environ[variable]
    reasons = list(_causes(error))
    # requests raises a bare OSError for a missing bundle, the others what opening the file gives
    is_file = any(isinstance(one, (FileNotFoundError, PermissionError, IsADirectoryError)) for one in reasons)
    is_tls = any(isinstance(one, ssl.SSLError) and _OF_CERTIFICATES.search(str(one)) for one in reasons)
    is_named = any(bundle in str(one) for one in reasons)
    is_suspect = is_file or is_tls or is_named
    if is_suspect and not Path(bundle).exists():
        return f"{variable} names a CA bundle that does not exist ({bundle}); correct or unset {variable}"
    if is_suspect and not os.access(bundle, os.R_OK):
        return f"{variable} names a CA bundle that may not be read ({bundle}); correct or unset {variable}"
    if is_tls or is_named:  # a file that is missing is another one
        return f"no certificate was accepted with the CA bundle {bundle}; correct or unset {variable}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, the nearest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
