"""What touches Ray: the environment of its processes, the local cluster's life, discovery and scaling of replicas."""
