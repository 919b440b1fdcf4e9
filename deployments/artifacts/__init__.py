"""The files of a model version: what they should be, where they are stored, and the copy on this node."""
