"""What an engineer writes (`configs/*.yaml`), and what is made of it for Ray Serve (`serve_config.yaml`)."""
