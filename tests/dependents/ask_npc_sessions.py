"""What npc_sessions says of a session: run by the Python of its own environment, with this npc_lims in it.

    python ask_npc_sessions.py SESSION

prints JSON. Nothing of the test suite is imported here.
"""

from __future__ import annotations

import json
import sys

import npc_sessions

import npc_lims


def names(paths):
    return [path.as_posix() for path in paths]


def main(session_id):
    [session] = npc_sessions.get_sessions([session_id])
    without_sync = npc_sessions.get_sessions(session_id, is_sync=False)
    return {
        "npc_lims": [npc_lims.__file__, npc_lims.__version__],
        "id": str(session.id),
        "info": {
            "type": type(session.info).__name__,
            "id": str(session.info.id),
            "project": session.info.project,
            "experiment_day": session.info.experiment_day,
            "allen_path": session.info.allen_path.as_posix(),
            "rig": session.info.rig,
        },
        "is_uploaded": session.info.is_uploaded,
        "is_sorted": session.is_sorted,
        "is_ephys": session.is_ephys,
        "is_sync": session.is_sync,
        "raw_data_paths": names(session.raw_data_paths),
        "sync_paths": names(session.get_sync_paths()),
        "sorted_data_paths": names(session.sorted_data_paths),
        "stim_paths": names(without_sync.stim_paths),
        # opened, through s3fs: paths are more than names
        "read": next(path for path in session.raw_data_paths if path.name == "subject.json").read_text(),
        "nwb": npc_lims.get_nwb_path(session_id, version="v0.0.0").as_posix(),
        "subjects": sorted(int(subject) for subject in npc_lims.get_subjects_from_training_db()),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])))
