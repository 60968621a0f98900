"""Records that must outlive the process. `api` is the seam, `records` the values that cross it."""
