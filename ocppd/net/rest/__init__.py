"""The HTTP API, by Klein. Importing it installs the global reactor."""
