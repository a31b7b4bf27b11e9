"""A Kubernetes cluster's network inside one Python process."""
