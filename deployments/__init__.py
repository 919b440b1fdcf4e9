"""How Penstock serves: the one Python package, from the HTTP edge down to the model."""
