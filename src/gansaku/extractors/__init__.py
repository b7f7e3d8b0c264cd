"""Networks that turn samples into features, each with an identity. One file here adds one."""
