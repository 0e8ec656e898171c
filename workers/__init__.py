"""RQ jobs and the clock that wakes them."""
