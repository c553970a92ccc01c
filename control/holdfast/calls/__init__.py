"""The call controller's features, one module each."""
