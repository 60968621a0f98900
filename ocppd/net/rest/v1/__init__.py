"""`/api/v1`: the whole central system as resources. API.md section 2."""
