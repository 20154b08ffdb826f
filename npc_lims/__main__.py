"""`python -m npc_lims`: the same as the `npc-lims` command."""

from __future__ import annotations

from npc_lims.cli import main

if __name__ == "__main__":
    main()
