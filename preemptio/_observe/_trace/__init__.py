"""The flight recorder: the last seconds of a scheduler in bounded memory, and the files that are made of them.

Recording: `_ring` (memory), `_recorder` (the instrument), `_flight` (one per loop: start, dump, stop, slow steps,
signals), `_notes` (regions and messages of the program). Reading: `_file` (our own format), `_timeline` (who ran,
waited and was ready when), and three that print it: `_chrome`, `_perfetto`, `_totals`.
"""
