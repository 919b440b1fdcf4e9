"""The first version of the HTTP API, under `/api/v1`."""
