"""Certificates and what signs them, by X.509. Knows no charger, no record and no reactor; everything here may block."""
