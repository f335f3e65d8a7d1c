"""Seeing inside: what reads the scheduler of a live program. Instruments, and readers of what is there anyway."""
