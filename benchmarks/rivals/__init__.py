"""The other tools, each as its documentation or its users would have it run."""
