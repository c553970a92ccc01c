"""The whole system on one machine: what `make demo`, `make up` and the acceptance tests share."""
