"""The doors: WebSocket for chargers, HTTP for operators, one port for both. Knows no SQL."""
