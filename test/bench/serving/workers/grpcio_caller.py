"""`grpcio_caller.py <columns> <program> <arguments...>`: starts a server and asks it for one row after another, each when the one
before has been answered. Speaks the lines of test/harness/bench-process.ts; a round is one request."""

import json
import resource
import struct
import subprocess
import sys
import time

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

columns = int(sys.argv[1])
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
target = json.loads(server.stdout.readline()[len("ready") :])["target"]
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(target))
row = np.linspace(-1, 1, columns, dtype=np.float32)
request = service_pb2.ModelInferRequest(model_name="reference")
request.inputs.add(name="x", datatype="FP32", shape=[1, columns])
request.raw_input_contents.append(row.tobytes())
answer = stub.ModelInfer(request)
found = struct.unpack("<8f", answer.raw_output_contents[0])


def cpu_us():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


print("ready " + json.dumps({"grpcio": grpc.__version__, "found": found}), flush=True)
for line in sys.stdin:
    rounds = int(line)
    cpu, started = cpu_us(), time.perf_counter()
    for _ in range(rounds):
        stub.ModelInfer(request)
    print(json.dumps({"work": rounds, "wallMs": (time.perf_counter() - started) * 1000, "cpuUs": cpu_us() - cpu}), flush=True)
server.stdin.close()
server.wait()
