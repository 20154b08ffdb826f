"""All commands, put together."""

from __future__ import annotations

import typer

from npc_lims.cli import alert, checks, demo, diff, dispatch, doctor, observe, process, publish, sessions, sync, track

__all__ = ["app"]

app = typer.Typer(
    help="Paths, metadata and state of Mindscope Neuropixels sessions, kept in git.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("sync")(sync.sync_command)
app.command("observe")(observe.observe_command)
app.command("publish")(publish.publish_command)
app.command("sessions")(sessions.sessions_command)
app.command("show")(sessions.show_command)
app.command("validate")(checks.validate_command)
app.command("verify")(checks.verify_command)
app.command("diff")(diff.diff_command)
app.command("preview")(diff.preview_command)
app.add_typer(track.track_app, name="track")
app.add_typer(process.process_app, name="process")
app.command("dispatch")(dispatch.dispatch_command)
app.command("alert")(alert.alert_command)
app.command("doctor")(doctor.doctor_command)
app.command("demo")(demo.demo_command)


def _version(value: bool) -> None:
    if value:
        import npc_lims

        typer.echo(f"npc-lims {npc_lims.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Paths, metadata and state of Mindscope Neuropixels sessions, kept in git."""
