"""How fast Gansaku is against the same work written the usual way: `python -m bench [--quick] [--json FILE]`."""
