"""Holdfast: a self-hosted emergency-calling service on Kamailio and FreeSWITCH."""
