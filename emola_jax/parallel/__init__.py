"""Devices, hosts, memory and threads: where arrays stand and what runs side by side."""
