"""`python -m holdfast.embedded`: the media server alone, with the settings that HOLDFAST_CONFIG names."""

import sys

from holdfast.embedded.server import main
from holdfast.errors import HoldfastError
from holdfast.settings import load

if __name__ == "__main__":
    try:
        sys.exit(main(load()))
    except HoldfastError as error:
        sys.exit(f"{error}{f'; {error.mend}' if error.mend else ''}")
