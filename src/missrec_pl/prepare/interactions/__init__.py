"""From raw logs to a domain folder without features, by SQL on DuckDB: on several threads, spilled to disk."""
