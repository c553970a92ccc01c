"""Holdfast's routing in Kamailio: each module is one part of a call's story; only `ksr` touches KSR."""
