"""What is registered, which version a name means, and where its files lie."""
