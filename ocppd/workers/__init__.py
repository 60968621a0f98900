"""Several nodes on one machine that share a port: one process watches over them. Knows no charger, no database, no HTTP."""
