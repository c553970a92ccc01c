"""The edge node: its store, and the agent that fills it and reports from it."""
