"""MLServer's client side - its types and codecs over HTTP, its gRPC dataplane and repository stubs, and `mlserver infer` - against the
models of repository.ts.

Arguments: host:port of the HTTP door, host:port of the gRPC door."""

import json
import os
import subprocess
import sys
import tempfile
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import numpy as np
from mlserver import types
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, StringCodec, StringRequestCodec
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import model_repository_pb2 as repository_pb
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter, RepositoryIndexResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.grpc.model_repository_pb2_grpc import ModelRepositoryServiceStub

from checks import check, equal, raises, run, same, tensors

HTTP, GRPC = sys.argv[1:3]
channel = grpc.insecure_channel(GRPC)
stub = GRPCInferenceServiceStub(channel)

#: What its codecs write as numbers and back; it knows no bfloat16, and half precision is binary only.
DATATYPES = [name for name in tensors() if name not in ("BF16", "FP16", "BYTES")]


def post(path, body):
    data = body.model_dump_json(exclude_none=True).encode() if hasattr(body, "model_dump_json") else json.dumps(body).encode()
    with urlopen(Request(f"http://{HTTP}{path}", data=data, headers={"Content-Type": "application/json"})) as response:
        return response.read()


def get(path):
    with urlopen(f"http://{HTTP}{path}") as response:
        return response.read()


def infer(model, request):
    return types.InferenceResponse.model_validate_json(post(f"/v2/models/{model}/infer", request))


def grpc_infer(model, request, raw):
    message = ModelInferRequestConverter.from_types(request, model_name=model, model_version=None, use_raw=raw)
    return ModelInferResponseConverter.to_types(stub.ModelInfer(message))


def named(request, *names):
    for one, name in zip(request.inputs, names):
        one.name = name
    return request


def finite(array):
    return np.where(np.isfinite(array), array, 1).astype(array.dtype) if array.dtype.kind == "f" else array


@check
def metadata():
    server = types.MetadataServerResponse.model_validate_json(get("/v2"))
    equal(server.name, "andon-inference")
    model = types.MetadataModelResponse.model_validate_json(get("/v2/models/simple"))
    equal((model.name, model.platform, model.versions), ("simple", "onnxruntime_onnx", ["1", "2"]))
    equal([(one.name, one.datatype, one.shape) for one in model.inputs], [("INPUT0", "INT32", [-1, 16]), ("INPUT1", "INT32", [-1, 16])])
    equal(stub.ServerLive(pb.ServerLiveRequest()).live, True)
    equal(stub.ServerReady(pb.ServerReadyRequest()).ready, True)
    equal(stub.ModelReady(pb.ModelReadyRequest(name="simple", version="1")).ready, True)
    equal(stub.ServerMetadata(pb.ServerMetadataRequest()).name, "andon-inference")
    equal([one.name for one in stub.ModelMetadata(pb.ModelMetadataRequest(name="simple")).inputs], ["INPUT0", "INPUT1"])


@check
def index():
    items = types.RepositoryIndexResponse.model_validate_json(post("/v2/repository/index", types.RepositoryIndexRequest(ready=True)))
    states = {(one.name, one.version): one.state for one in items.root}
    equal(states[("simple", "1")], "READY")


@check
def numbers_over_http():
    for datatype in DATATYPES:
        array = finite(tensors()[datatype])
        request = named(NumpyRequestCodec.encode_request(array), "INPUT0")
        request.id = "q-1"
        response = infer(f"identity_{datatype.lower()}", request)
        equal((response.id, response.model_name, response.outputs[0].datatype), ("q-1", f"identity_{datatype.lower()}", datatype))
        same(NumpyCodec.decode_output(response.outputs[0]), array, datatype)
        same(NumpyRequestCodec.decode_response(response), array, datatype)


@check
def numbers_over_grpc():
    for datatype in DATATYPES:
        array = finite(tensors()[datatype])
        for raw in (False, True):
            request = named(NumpyRequestCodec.encode_request(array), "INPUT0")
            response = grpc_infer(f"identity_{datatype.lower()}", request, raw)
            same(NumpyCodec.decode_output(response.outputs[0]), array, f"{datatype}, raw {raw}")


@check
def not_a_number_over_http():
    # It writes null for what is no number; what comes back is Python's NaN.
    array = np.array([[np.nan, 1.5]])
    body = named(NumpyRequestCodec.encode_request(array), "INPUT0").model_dump_json(exclude_none=True)
    assert "null" in body, body
    response = json.loads(post("/v2/models/identity_fp64/infer", json.loads(body)))
    np.testing.assert_array_equal(np.array(response["outputs"][0]["data"], dtype=float), array.ravel())


@check
def texts_over_http_and_grpc():
    words = ["bearing", "Zahnrad ä", "歯車", ""]
    for request in (StringRequestCodec.encode_request(words), types.InferenceRequest(inputs=[StringCodec.encode_input("INPUT0", words)])):
        named(request, "INPUT0")
        equal(request.inputs[0].shape, [4, 1])
        equal(StringCodec.decode_output(infer("identity_bytes", request).outputs[0]), words)
        for raw in (False, True):
            equal(StringCodec.decode_output(grpc_infer("identity_bytes", request, raw).outputs[0]), words, f"raw {raw}")


@check
def two_inputs_and_one_output():
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    b = np.full((1, 16), 3, dtype=np.int32)
    request = types.InferenceRequest(
        parameters=types.Parameters(content_type="np", headers={"x-own": "1"}),
        inputs=[NumpyCodec.encode_input("INPUT0", a), NumpyCodec.encode_input("INPUT1", b)],
        outputs=[types.RequestOutput(name="OUTPUT1")],
    )
    response = infer("simple", request)
    equal([one.name for one in response.outputs], ["OUTPUT1"])
    same(NumpyCodec.decode_output(response.outputs[0]), a - b)
    request.parameters = None
    same(NumpyCodec.decode_output(grpc_infer("simple", request, True).outputs[0]), a - b)


@check
def refusals():
    request = named(NumpyRequestCodec.encode_request(np.zeros((1, 3))), "INPUT0")
    error = raises(HTTPError, lambda: infer("identity_fp32", request))
    equal(error.code, 400)
    body = json.loads(error.read())
    assert "INPUT0" in body["error"] and "FP64" in body["error"], body
    error = raises(grpc.RpcError, lambda: grpc_infer("nothing", request, True), "nothing")
    equal(error.code(), grpc.StatusCode.NOT_FOUND)


@check
def its_command_line_client():
    rows = [np.arange(3, dtype=np.float64) + number for number in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.jsonl"), os.path.join(folder, "out.jsonl")
        with open(source, "w") as file:
            for row in rows:
                file.write(named(NumpyRequestCodec.encode_request(row.reshape(1, 3)), "INPUT0").model_dump_json(exclude_none=True) + "\n")
        command = [os.path.join(os.path.dirname(sys.executable), "mlserver"), "infer"]
        options = ["--url", HTTP, "--model-name", "identity_fp64", "--input-data-path", source, "--output-data-path", target, "--workers", "2"]
        found = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
        equal(found.returncode, 0, found.stdout + found.stderr)
        with open(target) as file:
            answers = [json.loads(line) for line in file]
    equal(len(answers), len(rows), found.stdout + found.stderr)
    data = sorted(tuple(np.ravel(answer["outputs"][0]["data"]).tolist()) for answer in answers)
    equal(data, [tuple(row.tolist()) for row in rows])


sys.exit(run())
