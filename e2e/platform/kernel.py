"""What a kernel has by its version. A kernel older than that may have it too: distributions port back."""

import os
import re

VERSION = tuple(int(part) for part in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())


def refuses(number, since, attempt):
    """Whether the kernel refuses with this error number, which one of the version `since` or newer must not."""
    try:
        attempt()
    except OSError as error:
        assert error.errno == number and VERSION < since, f"{error}, on Linux {VERSION}, which is not before {since}"
        return True
    return False
