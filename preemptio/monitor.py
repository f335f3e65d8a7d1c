"""A console and a web page that show a live program's tasks: `from preemptio import monitor`."""

from preemptio._observe._monitor._start import Monitor as Monitor, start as start
