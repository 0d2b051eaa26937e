"""How strangers extend opsflow: the hooks, and the registry that finds who implements them."""
