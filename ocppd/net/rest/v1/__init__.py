"""`/api/v1`: the whole central system as resources. docs/http-api.md."""
