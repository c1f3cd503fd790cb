"""What all tests share."""

import signal

# a shell starts background jobs with SIGINT ignored, and processes that tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
