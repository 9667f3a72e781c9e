"""The first lines of the supervisor, executed by itself (``python -I -S bootstrap.py OPTION…``) by ``genii up``.

As few as can be: a script is compiled each time, and what that leaves behind would be the keeper's memory, too.
"""

import os
import sys

if __name__ == "__main__":
    path = os.environ.pop("GENII_SYS_PATH", "")
    sys.path[:0] = path.split(os.pathsep)
    from genii.control.beginning import main

    sys.exit(main(path))
