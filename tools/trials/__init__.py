"""The tool that trains every method briefly: plan, work, queue, verdict, and the pages of its results."""
