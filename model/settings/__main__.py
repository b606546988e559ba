"""Prints the settings that would hold on a server, or says which of them cannot be understood.

python -m model.settings            on this computer alone
python -m model.settings --shared   where other computers reach the server
"""

from __future__ import annotations

import argparse
import sys

from model.settings.reading import SettingsError, described, read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", action="store_true", help="as where other computers reach the server")
    try:
        print(described(read(shared=parser.parse_args().shared)))
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
