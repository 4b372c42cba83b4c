"""Scans: what is known, or plainly wrong, about our images and files; what images are made of; how good the TLS is."""
