"""Between nodes: who holds which charger, and how messages of ours get there. `api.py` is the seam."""
