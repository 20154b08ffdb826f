"""The status of a session as recorded: values, what they say of the session, and its next steps."""

from __future__ import annotations

from typing import Any

from npc_lims.model.flags import FLAGS, NOT_APPLICABLE, STAGES, Facts, StatusFlag, fact_of, known_platform


def recorded_flag(record: Facts, name: str) -> Any:
    """Return a flag as recorded; `NOT_APPLICABLE` where it does not apply.

    One that applies, but is not recorded, is unknown (None): the file was written before the flag existed.
    """
    status = record["status"]
    if name in status:
        return status[name]
    return NOT_APPLICABLE if FLAGS[name].applies(record) is False else None


def explain(record: Facts, name: str) -> str:
    """Return what a flag says of a session, as recorded, and why it is not true."""
    flag, value = FLAGS[name], recorded_flag(record, name)
    parts = [flag.sentence(value)]
    if value is False:
        failures = fact_of(record.get("codeocean"), flag.errored) or {}
        reasons = dict.fromkeys(reason.rstrip(". ") for reason in failures.values())
        parts += [f"{len(failures)} failed: {'; '.join(reasons)}."] if failures else []
        if flag.after and recorded_flag(record, flag.after) is not True:
            parts.append(f"It waits until the session is {FLAGS[flag.after].label}.")
    return " ".join(part for part in parts if part)


def is_recording(record: Facts) -> bool:
    """Return True for a production session with ephys or sync: training is uploaded and processed by exception."""
    return (
        known_platform(record) in ("ephys", "behavior_with_sync") and record["status"].get("is_production") is not False
    )


def next_steps(record: Facts) -> list[str]:
    """Return the stages of the pipeline that a recording is ready for and did not reach yet, in their order."""
    return [flag.name for flag in STAGES if is_waiting(record, flag)] if is_recording(record) else []


def describe_progress(record: Facts) -> str:
    """Return the stages of the pipeline that a session has reached, its next ones, and those that are unknown."""
    recorded = {flag.name: recorded_flag(record, flag.name) for flag in STAGES}
    parts = {
        "": [name for name, value in recorded.items() if value is True],
        "next: ": next_steps(record),
        "unknown: ": [name for name, value in recorded.items() if value is None],
    }
    found = [word + ", ".join(FLAGS[name].label for name in names) for word, names in parts.items() if names]
    return "; ".join(found) or f"not {STAGES[0].label}"


def why_no_step(record: Facts) -> str:
    """Return why a session has no next step, in a sentence."""
    if record["status"].get("is_production") is False:
        return "None: it is not a production session."
    if not is_recording(record):
        return "None: a training session, which are uploaded and processed by exception."
    values = {flag: recorded_flag(record, flag.name) for flag in STAGES}
    unknown = [flag.label for flag, value in values.items() if value is None]
    if unknown:
        return f"Unknown: {', '.join(unknown)} was never observed."
    return "None: every stage of the pipeline that applies to it is done."


def is_waiting(record: Facts, flag: StatusFlag) -> bool:
    """Return whether a session is ready for a stage of the pipeline that it did not reach yet."""
    if flag.after is None or record["status"].get(flag.name) is not False:
        return False
    return not flag.after or record["status"].get(flag.after) is True
