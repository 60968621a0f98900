"""How properties are tested. Imported for its effect.

A shared machine stalls at times: a deadline, or a judgement of how fast examples are made, would then blame the code.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("ocppd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ocppd")
