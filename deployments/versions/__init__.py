"""A model version's way from the registry into a replica: resolve, fetch, load, build its stages, warm up."""
