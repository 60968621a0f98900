"""The vocabulary of OCPP 1.6: values, messages, the table of actions, and how payloads are read. No I/O."""
