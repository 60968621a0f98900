"""ocppd: an OCPP 1.6-J central system on Twisted.

Start reading at `ocppd.tap` (options and wiring) and `ocppd.service` (what is composed of what).
"""
