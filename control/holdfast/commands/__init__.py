"""The `holdfast` command's groups, one module each."""
