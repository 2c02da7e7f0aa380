"""The terminal app: data sets, runs and prompting, driven by run folders and the session."""

import os

# Textual waits 100 ms for what may follow an escape; a digit within that time became alt+digit.
os.environ.setdefault("ESCDELAY", "25")
