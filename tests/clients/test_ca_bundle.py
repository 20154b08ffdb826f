"""A CA bundle that cannot be used is named, in whichever client it is met."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from npc_lims.clients.codeocean import CodeOceanClient
from npc_lims.clients.github import GitHubClient
from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.clients.http import CA_BUNDLE, HttpClient, RequestFailed, RetryPolicy
from npc_lims.clients.s3 import S3Store
from npc_lims.config.settings import Secret, Settings
from npc_lims.errors import GitHubError, NpcLimsError, RemoteStateError, SourceError
from npc_lims.state.published import fetch_snapshot
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server

ROOT = Path(__file__).parent.parent.parent


class _Plain(Server):
    """A server that takes connections and knows nothing of TLS."""

    def answer(self, request: Request) -> Response:
        return Response(200, {}, b"")


@dataclasses.dataclass(frozen=True)
class _Read:
    """A request of one client, and the error that it raises."""

    variable: str
    run: Callable[[Settings], object]
    error: type[NpcLimsError]


_READS = {
    "code ocean": _Read("REQUESTS_CA_BUNDLE", lambda s: CodeOceanClient(s).get("x"), SourceError),
    "code ocean start": _Read(
        "CURL_CA_BUNDLE", lambda s: CodeOceanClient(s).send_once("a", "b", {}, str, 1), SourceError
    ),
    "raw github": _Read("CURL_CA_BUNDLE", lambda s: fetch_snapshot(s), RemoteStateError),
    "github": _Read(
        "REQUESTS_CA_BUNDLE", lambda s: GitHubClient.authorized(s, "actions: read").repository(), GitHubError
    ),
    "github reading": _Read("REQUESTS_CA_BUNDLE", lambda s: GitHubClient.for_reading(s).repository(), GitHubError),
    "alerts": _Read("REQUESTS_CA_BUNDLE", lambda s: PlainGitHubClient.authorized(s).find("looking", "/x"), GitHubError),
    "s3": _Read("AWS_CA_BUNDLE", lambda s: S3Store(s).has_any("bucket", ""), SourceError),
    "s3 as requests": _Read("REQUESTS_CA_BUNDLE", lambda s: S3Store(s).has_any("bucket", ""), SourceError),
}


@pytest.fixture
def settings(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Every client goes to a server that is there, as if by https."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    address = serve(_Plain()).url.replace("http://", "https://")
    secret = Secret("an-invented-secret")
    return Settings(
        codeocean_domain=address,
        codeocean_token=secret,
        github_api_url=address,
        github_token=secret,
        raw_url=address,
        aws_endpoint_url=address,
        aws_access_key_id=secret,
        aws_secret_access_key=secret,
        aws_default_region="us-west-2",
        cache_dir=tmp_path / "cache",
        attempts=2,
        backoff=0,
        timeout=5,
    )


@pytest.mark.parametrize("read", _READS.values(), ids=_READS)
@pytest.mark.parametrize("kind", ["missing", "no bundle"])
def test_the_variable_is_named(
    read: _Read, kind: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    if kind == "no bundle":
        bundle.write_text("not a certificate")
    monkeypatch.setenv(read.variable, str(bundle))

    with pytest.raises(read.error) as caught:
        read.run(settings)

    expected = "does not exist" if kind == "missing" else "no certificate was accepted"
    assert expected in str(caught.value)
    assert str(bundle) in str(caught.value)
    assert f"correct or unset {read.variable}" in str(caught.value)


@pytest.mark.parametrize("read", _READS.values(), ids=_READS)
def test_a_bundle_is_not_blamed_for_a_connection_that_breaks_off(
    read: _Read, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import certifi

    monkeypatch.setenv(read.variable, certifi.where())

    with pytest.raises(NpcLimsError) as caught:
        read.run(settings)

    assert read.variable not in str(caught.value)


@contextlib.contextmanager
def _self_signed(folder: Path) -> Iterator[str]:
    """The address of a server whose certificate nobody vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime(2020, 1, 1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now.replace(year=2120))
    certificate = certificate.add_extension(address, critical=False)
    encoding = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(encoding, *plain) + certificate.sign(key, hashes.SHA256()).public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as accepted:
                    accepted.recv(65536)
                    accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_jobs_without_packages_name_the_variable_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_BUNDLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    code = (
        "import sys\n"
        "from npc_lims.clients.github_plain import PlainHttpClient\n"
        "from npc_lims.clients.http import RequestFailed, RetryPolicy\n"
        "try:\n"
        "    PlainHttpClient(RetryPolicy(1, 5, 0)).request('GET', sys.argv[1], print)\n"
        "except RequestFailed as error:\n"
        "    print(error)\n"
    )
    with _self_signed(tmp_path) as address:
        command = [sys.executable, "-S", "-c", code, address]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "nowhere.pem); correct or unset SSL_CERT_FILE" in done.stdout


def test_a_bundle_of_the_user_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with _self_signed(tmp_path) as address:
        policy = RetryPolicy(1, 5, 0)
        monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "server.pem"))
        assert HttpClient(policy).request("GET", address, lambda response: response.status) == 204
        monkeypatch.delenv("CURL_CA_BUNDLE")
        with pytest.raises(RequestFailed, match="SSLCertVerificationError"):
            HttpClient(policy).request("GET", address, lambda response: response.status)
