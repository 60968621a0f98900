"""What operators see from outside: logs, metrics, events. Observers are handed to the other rooms as callables."""
