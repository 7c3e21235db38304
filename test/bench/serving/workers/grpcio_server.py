"""`grpcio_server.py <model.onnx>`: a server of grpcio that runs the model in its handler, on one thread of ONNX Runtime. Says
`ready {"target": ...}`; the end of its input ends it."""

import json
import sys
from concurrent import futures

import grpc
import numpy as np
import onnxruntime as ort
from tritonclient.grpc import service_pb2, service_pb2_grpc

options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ModelInfer(self, request, context):
        given = request.inputs[0]
        values = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(given.shape)
        (found,) = session.run(["y"], {given.name: values})
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        response.outputs.add(name="y", datatype="FP32", shape=found.shape)
        response.raw_output_contents.append(found.tobytes())
        return response


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("ready " + json.dumps({"target": f"127.0.0.1:{port}"}), flush=True)
sys.stdin.read()
server.stop(0)
