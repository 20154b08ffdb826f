"""`npc-lims site`: build and serve the site."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import tempfile
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.options import BASE_URL, STATE_HERE, checkout
from npc_lims.cli.output import print_note, progress_bars
from npc_lims.config.settings import load_settings
from npc_lims.dashboard.site.build import BuiltSite, SiteOptions, build_site, is_site
from npc_lims.dashboard.site.serve import SiteServer
from npc_lims.errors import NpcLimsError
from npc_lims.history.session_history import UNSHALLOW
from npc_lims.utils.text import counted

site_app = typer.Typer(
    help="Build or serve the site, which shows every session."
    "\n\n\b\nExamples:\n  npc-lims site serve --open"
    "\n  npc-lims site build public",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_REPOSITORY_NAME = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


@dataclasses.dataclass(frozen=True)
class SiteContent:
    """Options of both commands: what the site shows."""

    state: Optional[Path] = STATE_HERE
    no_history: bool = typer.Option(False, "--no-history", help="Do not read commits: quicker, but without timelines.")
    repository: Optional[str] = typer.Option(
        None,
        metavar="OWNER/NAME",
        help="Repository on GitHub for links. Default: NPC_LIMS_REPO, else a remote of the checkout on GitHub.",
    )


@site_app.command("build")
def build_command(
    out: Path = typer.Argument(..., help="Folder that becomes the site: new, empty, or a site, which is replaced."),
    content: SiteContent = SiteContent(),
    base_url: Optional[str] = BASE_URL,
) -> None:
    """Write the site as static files that any web server can serve.

    If anything fails, the folder is unchanged. Timelines begin with the first commit of the checkout; outside of a
    checkout there are none.

    Reads the state folder, the tracked file beside it, and the commits of the checkout that it is in. Writes the one
    folder. Needs no credentials and no network.

    \b
    Examples:
      npc-lims site build public
      npc-lims site build public --no-history --repository our-lab/our_sessions
    """
    built = _build(out, content, base_url)
    _print_result(built)
    if base_url is not None and not built.has_image:
        print_note('without og.png, the preview of links to the site: pip install "npc_lims[site]"')


@site_app.command("serve")
def serve_command(
    site: Optional[Path] = typer.Argument(None, help="A site that was built. Default: a temporary one."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port of 127.0.0.1; 0 for any that is free."),
    open_: bool = typer.Option(False, "--open", help="Open it in the browser."),
    content: SiteContent = SiteContent(),
) -> None:
    """Serve the site on this machine only, until Ctrl-C.

    Reads what `npc-lims site build` reads, unless a site is named. Writes a temporary folder. Needs no credentials and
    no network.

    \b
    Examples:
      npc-lims site serve --open
      npc-lims site serve public --port 8001
    """
    with contextlib.ExitStack() as stack:
        if site is None:
            site = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="npc-lims-site-"))) / "site"
            _print_result(_build(site, content))
        elif not is_site(site):
            target = "public" if site.exists() else site
            raise NpcLimsError(f"{site} is no site: build one with npc-lims site build {target}, or name none")
        _serve(site, port, open_)


def _build(out: Path, content: SiteContent, base_url: Optional[str] = None) -> BuiltSite:
    settings, repository = load_settings(), content.repository
    if repository is not None and not _REPOSITORY_NAME.fullmatch(repository):
        raise NpcLimsError(f"--repository {repository}: not a repository such as {settings.repo}")
    folder = content.state or settings.state or checkout() / "state"
    options = SiteOptions(out, folder, repository, not content.no_history, base_url)
    with progress_bars() as progress:
        return build_site(settings, options, datetime.datetime.now(datetime.timezone.utc), progress)


def _print_result(built: BuiltSite) -> None:
    events = "" if built.events is None else f", {counted(built.events, 'event')}"
    size = f"{counted(built.files, 'file')}, {built.size / 1e6:.1f} MB"
    typer.echo(f"{built.folder}: {counted(built.sessions, 'session')}{events}; {size}", err=True)
    if built.is_shallow:
        print_note(f"this is a shallow clone, so the timelines begin late: {UNSHALLOW} (in a workflow: fetch-depth: 0)")
    if built.no_checkout is not None:
        print_note(f"without timelines: {built.no_checkout}")


def _serve(site: Path, port: int, open_: bool) -> None:
    try:
        server = SiteServer(site, port)
    except OSError as error:
        raise NpcLimsError(
            f"port {port} of 127.0.0.1 cannot be used ({error.strerror or error}): --port 0 takes one that is free"
        ) from None
    with server:
        typer.echo(f"{server.address}  (Ctrl-C ends it)")
        if open_:
            import webbrowser

            webbrowser.open(server.address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
