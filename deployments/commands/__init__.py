"""The commands of `penstock` that have subcommands, a module each."""
