"""What all tests share."""

import signal

# what a shell puts into the background is deaf to SIGINT, and so would be the processes that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
