"""The app, where somebody else has the turn of long texts as long as a file is there: its path is in $HELD_BY."""

import os
import runpy
import threading
import time
from pathlib import Path

from viz.frame import server_state


def _hold(file: Path) -> None:
    while True:
        while not file.exists():
            time.sleep(0.05)
        with server_state._long_turns.held():
            file.with_name("has").touch()
            while file.exists():
                time.sleep(0.05)
        file.with_name("has").unlink()


if not getattr(server_state, "held_app", False):  # Streamlit runs this file again and again
    server_state.held_app = True  # type: ignore[attr-defined]
    threading.Thread(target=_hold, args=(Path(os.environ["HELD_BY"]),), daemon=True).start()
runpy.run_path(str(Path(__file__).parents[2] / "app.py"))
