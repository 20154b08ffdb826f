"""GitHub by the standard library alone: alerts are raised where nothing is installed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping

from npc_lims.clients.github import ISSUES_PERMISSION, GitHubClient
from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy, too_large


def client_of_job(environ: Mapping[str, str]) -> GitHubClient:
    """Return the client of a job of GitHub Actions, which writes issues; GITHUB_TOKEN must be set."""
    policy = RetryPolicy(4, 30, float(environ.get("NPC_LIMS_BACKOFF", "2")))
    repo, token = environ["GITHUB_REPOSITORY"], environ["GITHUB_TOKEN"]
    return GitHubClient(environ["GITHUB_API_URL"], repo, token, policy, ISSUES_PERMISSION, PlainHttpClient)


class PlainHttpClient(HttpClient):
    """Sends requests by urllib, each by a connection of its own; the CA bundle is that of OpenSSL."""

    ca_bundle_variables = ("SSL_CERT_FILE",)

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float,
        max_bytes: int,
        tail: int | None,
    ) -> HttpResponse:
        opener = urllib.request.OpenerDirector()  # which follows no redirect, and takes any status for a response
        for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
            opener.add_handler(handler())
        try:
            sent = {**headers, "Accept-Encoding": "identity"}
            request = urllib.request.Request(url, body, sent, method=method)  # noqa: S310  # only HTTP is opened
            response: http.client.HTTPResponse | None = opener.open(request, timeout=self.policy.timeout)
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else error from None
        except (OverflowError, ValueError, http.client.InvalidURL) as error:
            # an address or a header, which may be a secret, that cannot be sent
            raise RequestFailed(f"cannot be queried ({type(error).__name__})", is_sent=False) from None
        if response is None:
            raise RequestFailed("cannot be queried (no address of HTTP)", is_sent=False)
        with response:
            content = response.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise too_large(max_bytes)
            if response.length:
                raise ValueError(f"ended {response.length} bytes early")
        return HttpResponse(url, response.status, response.reason, response.headers, content)
