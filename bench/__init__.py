"""Benchmarks: ingest, reads, pings; beside VictoriaMetrics where it is installed. Results in RESULTS.md."""
