"""A Code Ocean with sessions to process, behind a proxy that can break; and runs in processes of their own.

`python -m tests.processing.rig STATE PROCESS [PAUSE]` claims and starts what is to run, as `npc-lims process run` does;
with PAUSE it says where it is (`claimed`, `started`), and waits there to be killed.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npc_lims.clients.codeocean_runs import RunsClient
from npc_lims.config.settings import Environment, Settings, load_settings
from npc_lims.model.record import Record
from npc_lims.processing.collect import collect
from npc_lims.processing.plan import Decision, PlanRequest, RecordedState, make_claims
from npc_lims.processing.plan import plan as plan_all
from npc_lims.processing.process import AssetRecipe, Limits, Process
from npc_lims.processing.runs import Run, RunEvent, apply_updates
from npc_lims.processing.start import start
from npc_lims.processing.workflow import RunStore, record
from npc_lims.state.store import read_state, write_state
from tests import builders
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.faults import FaultyProxy
from tests.servers.fixtures import Serve
from tests.servers.web import Request

TOKEN = "cop_5e0c1a77e5ec2e7"
CAPSULE = "4cf0be83-2245-4bb1-a55c-a78201b14bfe"
DISPATCHER = "e8eb341f-96e6-4036-84c2-d4ad5558d96a"
NOON = datetime.datetime(2024, 11, 22, 12, tzinfo=datetime.timezone.utc)
DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
SESSIONS = tuple(f"700000_{day}" for day in DAYS)
RECIPE = AssetRecipe(
    name="{recording}_dlc_eye_{created}", tags=["derived"], metadata={"data level": "derived data"}, share="everyone"
)
# writes, by what they ask for
START, MAKE = "/api/v1/computations", "/api/v1/data_assets"


def raw_name(session: str) -> str:
    return f"ecephys_{session}_10-00-00"


def sessions(ids: Iterable[str] = SESSIONS) -> dict[str, Record]:
    """Uploaded sessions with video: ready for everything that runs on raw data."""
    return {id_: builders.record(id_, **_sections(id_)) for id_ in ids}


def _sections(session: str) -> dict[str, Any]:
    raw = builders.asset(raw_name(session))
    listing = builders.listing(
        asset=raw.id, ecephys=["ecephys_compressed"], videos=["behavior_videos/Eye_20240301T100000.mp4"]
    )
    return {"codeocean": builders.no_assets(raw=raw), "s3": builders.nothing_on_s3(raw=listing)}


def process(**more: Any) -> Process:
    """A capsule that runs on raw data."""
    values: dict[str, Any] = {
        "name": "dlc_eye",
        "capsule": CAPSULE,
        "input": "raw",
        "done": "is_dlc_eye",
        "limits": Limits(running=6, tries=2),
        "asset": RECIPE,
        "result": "dlc_eye",
    }
    return Process(**{**values, **more})


def dispatcher(name: str = "GammaEncoding", **more: Any) -> Process:
    """A capsule that is told what to run, and makes data assets itself."""
    parameters = {"raw_data_asset_id": "{raw.id}", "processes": name, "dry_run": "0"}
    values = {"capsule": DISPATCHER, "parameters": parameters, "asset": "none", "done": "is_gamma_encoding"}
    return process(**{"name": name, "result": name, **values, **more})


def plan(
    one: Process, records: Mapping[str, Record], runs: Iterable[Run], *, now: datetime.datetime, **more: Any
) -> tuple[Decision, ...]:
    """The decisions about one process."""
    recorded = RecordedState(records, {one.name: tuple(runs)})
    return plan_all(PlanRequest([one], **more), recorded, now)[one.name]


@dataclass
class Rig:
    """The servers, and what is recorded of one process."""

    server: CodeOceanServer
    proxy: FaultyProxy
    process: Process = field(default_factory=process)
    records: Mapping[str, Record] = field(default_factory=sessions)
    runs: tuple[Run, ...] = ()
    same_second: float = 0
    """Seconds to wait for others that start the same: only tests with others need any."""

    def settings(self, **more: Any) -> Settings:
        values = {
            "CODE_OCEAN_API_TOKEN": TOKEN,
            "CODE_OCEAN_DOMAIN": self.proxy.url,
            "NPC_LIMS_ATTEMPTS": "3",
            "NPC_LIMS_BACKOFF": "0.01",
            "NPC_LIMS_TIMEOUT": "2",
        }
        return Settings(Environment({**values, **more}, None))

    def service(self, **more: Any) -> RunsClient:
        return RunsClient(self.settings(**more))

    def state(self, runs: Sequence[Run] | None = None) -> RecordedState:
        return RecordedState(self.records, {self.process.name: self.runs if runs is None else runs})

    def claim(self, *, now: datetime.datetime | None = None, **more: Any) -> tuple[Run, ...]:
        """Claim what is to run, and record that. The claims."""
        now = now or datetime.datetime.now(datetime.timezone.utc)
        claims = make_claims(plan(self.process, self.records, self.runs, now=now, **more), now)
        self.runs = apply_updates(self.runs, claims)
        return claims

    def start(self, claims: Sequence[Run], before: Sequence[Run] = (), **settings: Any) -> list[RunEvent]:
        """Start claims, and record what comes of each, also if it ends with an error."""
        service = self.service(**settings)
        return self._follow(start(service, self.process, claims, self.state(before), same_second=self.same_second))

    def run(self, **more: Any) -> list[RunEvent]:
        """As `npc-lims process run` does."""
        before = self.runs
        return self.start(self.claim(**more), before)

    def collect(self, **more: Any) -> list[RunEvent]:
        values: dict[str, Any] = {"poll": 0.05, "same_second": self.same_second, **more}
        return self._follow(collect(self.service(), self.process, self.state(), **values))

    def _follow(self, steps: Iterable[RunEvent]) -> list[RunEvent]:
        done = []
        for step in steps:
            if step.update is not None:
                self.runs = apply_updates(self.runs, [step.update])
            done.append(step)
        return done

    def started(self, count: int = 1) -> list[str]:
        """Have so many runs started and recorded. The ids of their computations."""
        self.run(limit=count)
        return [str(run.computation) for run in self.runs if run.computation is not None]

    def going(self) -> list[Mapping[str, Any]]:
        """Computations under way."""
        return [one for one in self.server.computations if one["state"] not in ("completed", "failed")]

    def recorded(self) -> dict[str, str]:
        """Session and the id of its computation."""
        return {run.session: str(run.computation) for run in self.runs if run.computation is not None}

    def assert_one_each(self, ids: Iterable[str] = SESSIONS) -> None:
        """Each session has one computation that is going, and that is the one recorded."""
        by_input = [(asset["id"], one["id"]) for one in self.going() for asset in one["data_assets"]]
        recorded = self.recorded()
        assert sorted(by_input) == sorted((asset_id(raw_name(id_)), recorded[id_]) for id_ in ids)


def make_rig(serve: Serve, **more: Any) -> Rig:
    server = serve(CodeOceanServer([make_asset(raw_name(id_)) for id_ in SESSIONS], token=TOKEN))
    return Rig(server, serve(FaultyProxy(server.url)), **more)


def posts(requests: Iterable[Request], path: str = START) -> list[Request]:
    """Requests that start a run, or that make a data asset."""
    return [one for one in requests if one.method == "POST" and one.path == path]


def writes(requests: Iterable[Request]) -> list[str]:
    """Requests that change something on Code Ocean."""
    reading = ("/data_assets/search", "/results")
    return [
        f"{one.method} {one.path}"
        for one in requests
        if one.method != "GET" and not one.path.partition("?")[0].endswith(reading)
    ]


def write_sessions(folder: Path, ids: Iterable[str] = SESSIONS) -> Path:
    """A state folder of these sessions."""
    state = folder / "state"
    write_state(state, read_state(state), sessions(ids))
    return state


def whats(steps: Iterable[RunEvent]) -> list[str]:
    return [step.what for step in steps]


def main() -> None:
    state, pause = Path(sys.argv[1]), sys.argv[2] if sys.argv[2:] else ""

    def wait_at(place: str) -> None:
        if place == pause:
            sys.stdout.write(f"{place}\n")
            sys.stdout.flush()
            time.sleep(60)

    settings = load_settings()
    chosen, service = process(), RunsClient(settings)
    before, claims = RunStore(settings, state).claim(PlanRequest([chosen]))
    wait_at("claimed")
    for step in start(service, chosen, claims["dlc_eye"], before):
        wait_at("started")
        if step.update is not None:
            record(state, {"dlc_eye": [step.update]})


if __name__ == "__main__":
    main()
