"""Charging profiles: what a charger can take, what profiles add up to, and their way to a charger. REQUIREMENTS K-1 to K-8."""
