"""What all tests share."""

import os
import signal

# a shell starts background jobs with SIGINT ignored, and processes that tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

# tests fill and empty caches: never the one that a person's runs share
os.environ.pop("LEMPO_CACHE", None)
