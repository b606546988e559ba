"""The app, where somebody else has the turn of long texts as long as a file is there: its path is in $HELD_BY."""

import os
import runpy
import threading
import time
from pathlib import Path

from viz.frame import server_state


def _hold(file: Path) -> None:
    with server_state._long_turns.held():
        while file.exists():
            time.sleep(0.05)


if not getattr(server_state, "held_app", False):  # Streamlit runs this file again and again
    server_state.held_app = True  # type: ignore[attr-defined]
    threading.Thread(target=_hold, args=(Path(os.environ["HELD_BY"]),), daemon=True).start()
runpy.run_path(str(Path(__file__).parents[2] / "app.py"))
