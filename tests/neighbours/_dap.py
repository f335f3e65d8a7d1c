"""A client of the Debug Adapter Protocol, as small as it can be: what an editor says to debugpy."""

import itertools
import json
import socket


class Client:
    """One connection. Every wait is bounded by the socket's timeout."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self._socket.makefile("rwb")
        self._numbers = itertools.count(1)
        self._events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def send(self, command, **arguments):
        """Send a request and return its number."""
        number = next(self._numbers)
        body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._file.flush()
        return number

    def ask(self, command, **arguments):
        """Send a request and return the body of what comes back."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number):
        """Return the body of the response to a request."""
        while True:
            message = self._read()
            if message["type"] == "event":
                self._events.append(message)
            elif message["type"] == "response" and message["request_seq"] == number:
                assert message["success"], message
                return message.get("body")

    def event(self, name):
        """Return the body of the next event of this name."""
        while True:
            message = self._events.pop(0) if self._events else self._read()
            if message["type"] == "event" and message["event"] == name:
                return message.get("body")

    def _read(self):
        length = 0
        while (line := self._file.readline().strip()) or not length:
            name, _, value = line.partition(b":")
            assert line or length, "the adapter has closed the connection"
            if name.lower() == b"content-length":
                length = int(value)
        return json.loads(self._file.read(length))
