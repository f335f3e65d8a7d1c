"""Seeing inside: what shows a running program to whoever is on call. Reads everything, changes nothing."""
