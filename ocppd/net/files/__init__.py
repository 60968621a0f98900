"""The file room: what chargers send and fetch over HTTP, and the firmware that operators put there. docs/architecture.md."""
