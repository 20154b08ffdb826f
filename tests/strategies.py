"""Any records and any observations, for hypothesis.

Facts are drawn from a few that differ where it matters: building models for each draw is slow, and adds nothing.
"""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from npc_lims.model.flags import compute_status
from npc_lims.model.record import CodeOcean, Found, Observation, Record, S3Facts
from npc_lims.model.sections import SECTIONS
from tests.builders import asset, listing, tracked, training

IDS = ("626791_2022-08-15", "626791_2022-08-15_1", "626791_2022-08-16", "668755_2023-08-31")

ids = st.sampled_from(IDS)
some_ids = st.sets(ids)

_ASSETS = (None, False, asset("a"), asset("b"))
_NAMES = (None, [], ["a"])

FACTS: dict[str, list[Found]] = {
    "tracked": [
        tracked(platform, experiment_day=day, session_kwargs=kwargs)
        for platform in ("ephys", "behavior_with_sync", "behavior")
        for day in (1, 2)
        for kwargs in ({}, {"is_production": False}, {"is_video": True, "probe_letters_to_skip": "DE"})
    ],
    "training": [training(), training(row=2), training(rig_name="NP2"), training(rig_name="NP2", hits=3)],
    "codeocean": [
        CodeOcean(raw=raw, sorted=sort, surface=surface, errored=errored)
        for raw, sort, surface in itertools.product(_ASSETS, _ASSETS, _ASSETS[:3])
        for errored in ({}, {"c": "only 3 files"})
    ],
    "s3": [
        S3Facts(raw=raw, stim=stim, ibl_annotations=ibl, tissuecyte_subject=tissuecyte)
        for raw in (None, False, listing(), listing(ecephys=["ecephys_compressed"], videos=["a.mp4"]))
        for stim, ibl, tissuecyte in itertools.product(_NAMES, _NAMES, (None, False, True))
    ],
}
"""Facts that each source may find."""


@st.composite
def records(draw: st.DrawFn, session_id: str) -> Record:
    """A record that may stand: not both places that make a session known say that they don't have it."""
    sections = {name: draw(st.sampled_from([None, False, *facts])) for name, facts in FACTS.items()}
    if sections["tracked"] is False and sections["training"] is False:
        sections["tracked"] = None
    made = Record(id=session_id, **sections)
    return made.model_copy(update={"status": compute_status(made.as_dict())})


@st.composite
def recorded(draw: st.DrawFn) -> dict[str, Record]:
    """Everything that is recorded."""
    return {session_id: draw(records(session_id)) for session_id in sorted(draw(some_ids))}


@st.composite
def observations(draw: st.DrawFn, source: str) -> Observation:
    facts = draw(st.dictionaries(ids, st.sampled_from([False, *FACTS[source]])))
    return Observation(source=source, facts=facts, complete=draw(st.booleans()))


@st.composite
def looks(draw: st.DrawFn) -> list[Observation]:
    """What the sources that were asked saw: at most one observation of each."""
    asked = draw(st.lists(st.sampled_from(SECTIONS), unique=True))
    return [draw(observations(source)) for source in asked]
