"""KServe's own clients, InferenceRESTClient and InferenceGRPCClient, against the models of repository.ts.

Arguments: host:port of the HTTP door, host:port of the gRPC door."""

import asyncio
import logging
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from checks import check, equal, raises, run, same, tensors

HTTP, GRPC = sys.argv[1:3]
URL = f"http://{HTTP}"
loop = asyncio.new_event_loop()
logging.disable(logging.CRITICAL)  # the clients log every refusal as a failure


def wait(coroutine):
    return loop.run_until_complete(coroutine)


def with_binary(array, datatype, binary, name="INPUT0"):
    one = InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def simple_request(binary, **more):
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    b = np.full((1, 16), 3, dtype=np.int32)
    inputs = [with_binary(a, "INT32", binary), with_binary(b, "INT32", binary, "INPUT1")]
    return a, b, InferRequest("simple", inputs, **more)


@check
def rest_health(rest, _):
    equal(wait(rest.is_server_live(URL)), True)
    equal(wait(rest.is_server_ready(URL)), True)
    equal(wait(rest.is_model_ready(URL, "simple")), True)
    equal(wait(rest.is_model_ready(URL, "nothing")), False)


@check
def grpc_health(_, client):
    equal(wait(client.is_server_live()), True)
    equal(wait(client.is_server_ready()), True)
    equal(wait(client.is_model_ready("simple")), True)


def sendable():
    # KServe knows no bfloat16.
    return {datatype: array for datatype, array in tensors().items() if datatype != "BF16"}


def compare(output, array, datatype, what):
    found = output.as_numpy()
    if datatype == "BYTES":
        found = np.array([each if isinstance(each, bytes) else each.encode() for each in found.ravel().tolist()], dtype=np.object_)
        found = found.reshape(array.shape)
    equal(output.datatype, datatype, what)
    same(found, array, what)


@check
def rest_every_datatype(rest, _):
    for datatype, array in sendable().items():
        for binary_in, binary_out in ((True, True), (False, False), (True, False), (False, True)):
            if datatype == "FP16" and not (binary_in and binary_out):
                continue
            if not binary_out and datatype in ("FP32", "FP64"):
                array = np.where(np.isfinite(array), array, 1).astype(array.dtype)  # its JSON has no infinity
            if not binary_in and datatype in ("FP32", "FP64"):
                array = np.where(np.isfinite(array), array, 1).astype(array.dtype)
            what = f"{datatype}, binary in {binary_in}, binary out {binary_out}"
            request = InferRequest(
                f"identity_{datatype.lower()}",
                [with_binary(array, datatype, binary_in)],
                request_id="q-1",
                parameters={"binary_data_output": binary_out},
            )
            response = wait(rest.infer(URL, request, model_name=request.model_name))
            equal((response.id, response.model_name), ("q-1", request.model_name), what)
            compare(response.outputs[0], array, datatype, what)


@check
def rest_not_a_number(rest, _):
    # Its JSON writes null for what is no number.
    array = np.array([[np.nan, 1]], dtype=np.float32)
    request = InferRequest("identity_fp32", [with_binary(array, "FP32", False)], parameters={"binary_data_output": True})
    np.testing.assert_array_equal(wait(rest.infer(URL, request, model_name="identity_fp32")).outputs[0].as_numpy(), array)


@check
def rest_requests(rest, _):
    for binary in (True, False):
        a, b, request = simple_request(binary)
        response = wait(rest.infer(URL, request, model_name="simple"))
        assert isinstance(response.id, str) and len(response.id) == 36, response.id
        same(response.outputs[0].as_numpy(), a + b)
        same(response.outputs[1].as_numpy(), a - b)
    a, b, request = simple_request(True, request_outputs=[RequestedOutput("OUTPUT1", {"binary_data": True})])
    headers = {}
    response = wait(rest.infer(URL, request, model_name="simple", headers={"x-own": "1"}, response_headers=headers))
    equal([one.name for one in response.outputs], ["OUTPUT1"])
    same(response.outputs[0].as_numpy(), a - b)
    equal(headers["content-type"], "application/octet-stream")
    # A dictionary as it is.
    body = {"inputs": [{"name": "INPUT0", "shape": [1, 2], "datatype": "INT64", "data": [9007199254740993, -1]}]}
    response = wait(rest.infer(URL, body, model_name="identity_int64"))
    equal(response.outputs[0].as_numpy().tolist(), [[9007199254740993, -1]])


@check
def rest_refusals(rest, _):
    a, b, request = simple_request(True)
    for model, status in (("nothing", 404), ("identity_fp32", 400)):
        error = raises(httpx.HTTPStatusError, lambda: wait(rest.infer(URL, request, model_name=model)), str(status))
        body = error.response.json()
        assert body["error"] == body["detail"] and body["code"].startswith("ANDON_INFERENCE_"), body


@check
def grpc_every_datatype(_, client):
    for datatype, array in sendable().items():
        for raw in (True, False):
            if datatype == "FP16" and not raw:
                continue
            request = InferRequest(f"identity_{datatype.lower()}", [with_binary(array, datatype, raw)], request_id="q-2")
            response = wait(client.infer(request))
            equal((response.id, response.model_name, response.model_version), ("q-2", request.model_name, "1"))
            compare(response.outputs[0], array, datatype, f"{datatype}, raw {raw}")


@check
def grpc_requests(_, client):
    a, b, request = simple_request(True, parameters={"priority": 1, "plant": "hamburg", "night": False})
    response = wait(client.infer(request, timeout=10, headers=[("x-own", "1")]))
    same(response.outputs[0].as_numpy(), a + b)
    a, b, request = simple_request(True, request_outputs=[RequestedOutput("OUTPUT1")], model_version="1")
    response = wait(client.infer(request))
    equal([one.name for one in response.outputs], ["OUTPUT1"])
    equal(response.model_version, "1")


@check
def grpc_refusals(_, client):
    a, b, request = simple_request(True)
    request.model_name = "nothing"
    error = raises(grpc.RpcError, lambda: wait(client.infer(request)), "nothing")
    equal(error.code(), grpc.StatusCode.NOT_FOUND)
    request = InferRequest("simple", request.inputs[:1])
    equal(raises(grpc.RpcError, lambda: wait(client.infer(request)), "INPUT1").code(), grpc.StatusCode.INVALID_ARGUMENT)


async def clients():
    return InferenceRESTClient(RESTConfig(protocol="v2", timeout=30)), InferenceGRPCClient(GRPC, timeout=30)


asyncio.set_event_loop(loop)
rest, client = wait(clients())
code = run(rest, client)
wait(rest.close())
wait(client.close())
sys.exit(code)
