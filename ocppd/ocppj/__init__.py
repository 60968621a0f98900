"""OCPP-J 1.6: the RPC layer. No I/O, no Twisted, no actions: bytes in, events out."""
