"""Crashes, torn files, full disks: what was acknowledged is there, once."""
