"""What a central system decides. Knows no Autobahn, no Klein and no SQL."""
