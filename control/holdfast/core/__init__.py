"""The pure heart: decisions about calls, numbers and leases, without I/O, clock or logging."""
