"""tritonclient.http, its whole public surface, the plain client and the one for asyncio, against the models of repository.ts.

Arguments: host:port of the HTTP door. Each check runs with both clients unless it needs what one of them lacks."""

import asyncio
import gzip
import inspect
import json
import sys
import threading
import zlib

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

from checks import check, equal, raises, run, same, tensors

BINARY_ONLY = ("FP16", "BF16")
called = {"http": set(), "aio": set()}


class Recorded:
    """A client whose called methods are remembered; coroutines are awaited."""

    def __init__(self, kind, client, loop=None):
        self._kind, self._client, self._loop = kind, client, loop

    def __getattr__(self, name):
        member = getattr(self._client, name)
        if not callable(member):
            return member

        def call(*arguments, **named):
            called[self._kind].add(name)
            answer = member(*arguments, **named)
            return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

        return call


def both(function):
    """The check, once with each client."""
    for kind in ("http", "aio"):

        def one(clients, kind=kind):
            function(clients[kind])

        one.__name__ = f"{function.__name__}[{kind}]"
        check(one)
    return function


def make(name, array, datatype, binary=True):
    return http.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)


def simple_inputs(binary=True):
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    b = np.full((1, 16), 3, dtype=np.int32)
    return a, b, [make("INPUT0", a, "INT32", binary), make("INPUT1", b, "INT32", binary)]


@both
def health_and_metadata(client):
    equal(client.is_server_live(), True)
    equal(client.is_server_ready(), True)
    equal(client.is_model_ready("simple"), True)
    equal(client.is_model_ready("simple", "2"), True)
    equal(client.is_model_ready("simple", "7"), False)
    equal(client.is_model_ready("nothing"), False)
    server = client.get_server_metadata(headers={"x-test": "1"}, query_params={"a": ["b", 1], "c": "d"})
    equal(server["name"], "andon-inference")
    for extension in ("binary_tensor_data", "classification", "model_repository", "statistics", "trace", "logging"):
        assert extension in server["extensions"], extension
    tensor = lambda name: {"name": name, "datatype": "INT32", "shape": [-1, 16]}
    for version in ("", "1"):
        metadata = client.get_model_metadata("simple", version)
        equal(metadata["name"], "simple")
        equal(metadata["versions"], ["1", "2"])
        equal(metadata["platform"], "onnxruntime_onnx")
        equal(metadata["inputs"], [tensor("INPUT0"), tensor("INPUT1")])
        equal(metadata["outputs"], [tensor("OUTPUT0"), tensor("OUTPUT1")])
    raises(InferenceServerException, lambda: client.get_model_metadata("nothing"), "nothing")
    # The client for asyncio means to say the same, and lacks the name of its own function.
    raises((InferenceServerException, NameError), lambda: client.get_model_metadata("simple", 1))


@both
def configuration(client):
    for version in ("", "2"):
        config = client.get_model_config("simple", version)
        equal(config["name"], "simple")
        equal(config["max_batch_size"], 8)
        equal([(one["name"], one["data_type"], one["dims"]) for one in config["input"]], [("INPUT0", "TYPE_INT32", [16]), ("INPUT1", "TYPE_INT32", [16])])
        equal(config["dynamic_batching"]["preferred_batch_size"], [4])
        equal(config["dynamic_batching"]["priority_levels"], 2)
        equal(config["dynamic_batching"]["max_queue_delay_microseconds"], 0)
    raises(InferenceServerException, lambda: client.get_model_config("nothing"), "nothing")


@both
def every_datatype(client):
    for datatype, array in tensors().items():
        model = f"identity_{datatype.lower()}"
        for binary_in, binary_out in ((True, True), (True, False), (False, True), (False, False)):
            if datatype in BINARY_ONLY and not (binary_in and binary_out):
                continue
            what = f"{datatype}, binary in {binary_in}, binary out {binary_out}"
            outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=binary_out)]
            try:
                result = client.infer(model, [make("INPUT0", array, datatype, binary_in)], outputs=outputs)
            except Exception as error:
                raise AssertionError(f"{what}: {error}") from error
            equal(result.get_output("OUTPUT0")["datatype"], datatype, what)
            equal("data" in result.get_output("OUTPUT0"), not binary_out, what)
            found = result.as_numpy("OUTPUT0")
            if datatype == "BYTES" and not binary_out:
                found = np.array([[each.encode() for each in row] for row in found.tolist()], dtype=np.object_)
            same(found, array, what)
        # No outputs named: the client asks for all of them, binary.
        same(client.infer(model, [make("INPUT0", array, datatype)]).as_numpy("OUTPUT0"), array, datatype)


@both
def halves_are_binary_only(client):
    for datatype in BINARY_ONLY:
        array = tensors()[datatype]
        outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=False)]
        call = lambda: client.infer(f"identity_{datatype.lower()}", [make("INPUT0", array, datatype)], outputs=outputs)
        raises(InferenceServerException, call, f"sending {datatype} data via JSON is not supported")
    array = tensors()["FP16"]
    call = lambda: client.infer("identity_fp16", [make("INPUT0", array, "FP16", False)])
    raises(InferenceServerException, call, "receiving FP16 data via JSON is not supported", "INPUT0")


@both
def not_a_number_as_json(client):
    array = np.array([[np.nan, np.inf, -np.inf]], dtype=np.float64)
    outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=False)]
    found = client.infer("identity_fp64", [make("INPUT0", array, "FP64", False)], outputs=outputs).as_numpy("OUTPUT0")
    np.testing.assert_array_equal(found, array)


@both
def scoring(client):
    a, b, inputs = simple_inputs()
    result = client.infer("simple", inputs, request_id="q-1")
    response = result.get_response()
    equal((response["id"], response["model_name"], response["model_version"]), ("q-1", "simple", "2"))
    same(result.as_numpy("OUTPUT0"), a + b)
    same(result.as_numpy("OUTPUT1"), a - b)
    equal(result.as_numpy("OTHER"), None)
    equal(result.get_output("OTHER"), None)
    # An id only when there was one; one version; one output; JSON in and binary out, side by side.
    result = client.infer("simple", simple_inputs(False)[2], model_version="1", outputs=[http.InferRequestedOutput("OUTPUT1")])
    response = result.get_response()
    equal("id" in response, False)
    equal(response["model_version"], "1")
    equal([one["name"] for one in response["outputs"]], ["OUTPUT1"])
    same(result.as_numpy("OUTPUT1"), a - b)
    mixed = [simple_inputs(True)[2][0], simple_inputs(False)[2][1]]
    outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=False), http.InferRequestedOutput("OUTPUT1", binary_data=True)]
    result = client.infer("simple", mixed, outputs=outputs)
    same(result.as_numpy("OUTPUT0"), a + b)
    same(result.as_numpy("OUTPUT1"), a - b)


@both
def parameters_are_taken(client):
    a, b, inputs = simple_inputs()
    for named in (
        {"priority": 1},
        {"priority": 2, "timeout": 5_000_000},
        {"sequence_id": 9007199254740993, "sequence_start": True},
        {"sequence_id": "press-1", "sequence_end": True},
        {"parameters": {"plant": "hamburg", "shift": 3, "night": False}},
    ):
        same(client.infer("simple", inputs, **named).as_numpy("OUTPUT0"), a + b, str(named))
    raises(InferenceServerException, lambda: client.infer("simple", inputs, parameters={"priority": 1}), "reserved")


@both
def batches(client):
    array = np.arange(8 * 16, dtype=np.int32).reshape(8, 16)
    inputs = [make("INPUT0", array, "INT32"), make("INPUT1", array, "INT32")]
    same(client.infer("simple", inputs).as_numpy("OUTPUT0"), array * 2)
    array = np.zeros((9, 16), dtype=np.int32)
    inputs = [make("INPUT0", array, "INT32"), make("INPUT1", array, "INT32")]
    raises(InferenceServerException, lambda: client.infer("simple", inputs), "9", "8")


@both
def compression(client):
    array = np.tile(np.arange(16, dtype=np.float32), (8, 32))
    for asked in ("gzip", "deflate"):
        for binary in (True, False):
            outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=binary)]
            result = client.infer(
                "identity_fp32",
                [make("INPUT0", array, "FP32", binary)],
                outputs=outputs,
                request_compression_algorithm=asked,
                response_compression_algorithm=asked,
            )
            same(result.as_numpy("OUTPUT0"), array, f"{asked}, binary {binary}")


@both
def bodies_by_hand(client):
    a, b, inputs = simple_inputs()
    body, size = client.generate_request_body(inputs, request_id="q-2", priority=1, timeout=1_000_000, sequence_id=3, parameters={"k": "v"})
    header = json.loads(body[:size])
    equal(header["id"], "q-2")
    from urllib.request import Request, urlopen

    url = f"http://{sys.argv[1]}/v2/models/simple/infer"
    headers = {"Inference-Header-Content-Length": str(size), "Content-Type": "application/octet-stream"}
    for coding in (None, "gzip", "deflate"):
        asking = dict(headers) if coding is None else {**headers, "Accept-Encoding": coding}
        with urlopen(Request(url, data=body, headers=asking)) as response:
            content, encoding = response.read(), response.headers.get("Content-Encoding")
            length = int(response.headers["Inference-Header-Content-Length"])
        equal(encoding, coding)
        if coding == "gzip":
            equal(gzip.decompress(content)[:1], b"{")
        if coding == "deflate":
            equal(zlib.decompress(content)[:1], b"{")
        # What the library does with a body that came in another way.
        result = client.parse_response_body(content if coding is None else content, header_length=length, content_encoding=encoding)
        same(result.as_numpy("OUTPUT1"), a - b, str(coding))


@both
def classification(client):
    scores = np.array([[0.1, 0.7, 0.2], [5, -1, 4]], dtype=np.float32)
    outputs = [http.InferRequestedOutput("OUTPUT0", class_count=2)]
    for binary in (True, False):
        outputs = [http.InferRequestedOutput("OUTPUT0", binary_data=binary, class_count=2)]
        found = client.infer("labelled", [make("INPUT0", scores, "FP32")], outputs=outputs).as_numpy("OUTPUT0")
        equal(found.shape, (2, 2))
        parts = [[(each if isinstance(each, str) else each.decode()).split(":") for each in row] for row in found.tolist()]
        equal([[(int(index), label) for _, index, label in row] for row in parts], [[(1, "gear"), (2, "belt")], [(0, "bearing"), (2, "belt")]])
        np.testing.assert_allclose([[float(value) for value, _, _ in row] for row in parts], [[0.7, 0.2], [5, 4]], rtol=1e-6)


@check
def asynchronous_calls(clients):
    client = clients["http"]
    a, b, inputs = simple_inputs()
    requests = [client.async_infer("simple", inputs, request_id=str(number)) for number in range(4)]
    for number, request in enumerate(requests):
        result = request.get_result(timeout=20)
        equal(result.get_response()["id"], str(number))
        same(result.as_numpy("OUTPUT0"), a + b)
    refused = client.async_infer("nothing", inputs)
    raises(InferenceServerException, lambda: refused.get_result(), "nothing")


@check
def calls_side_by_side(clients):
    loop = clients["aio"]._loop
    client = clients["aio"]._client

    async def one(number):
        array = np.full((1, 16), number, dtype=np.int32)
        inputs = [make("INPUT0", array, "INT32"), make("INPUT1", array, "INT32")]
        return (await client.infer("simple", inputs)).as_numpy("OUTPUT0")[0, 0]

    async def all_of_them():
        return await asyncio.gather(*(one(number) for number in range(64)))

    equal([int(each) for each in loop.run_until_complete(all_of_them())], [2 * number for number in range(64)])


@both
def refusals(client):
    a, b, inputs = simple_inputs()
    narrow = np.zeros((1, 15), dtype=np.int32)
    floats = np.zeros((1, 16), dtype=np.float32)
    for call, texts in (
        (lambda: client.infer("nothing", inputs), ["nothing"]),
        (lambda: client.infer("simple", inputs, model_version="7"), ["simple", "7"]),
        (lambda: client.infer("simple", inputs[:1]), ["INPUT1"]),
        (lambda: client.infer("simple", [make("INPUT0", narrow, "INT32"), inputs[1]]), ["INPUT0", "[-1, 16]", "[1, 15]"]),
        (lambda: client.infer("simple", [make("INPUT0", floats, "FP32"), inputs[1]]), ["INPUT0", "INT32", "FP32"]),
        (lambda: client.infer("simple", [*inputs, make("INPUT9", a, "INT32")]), ["INPUT9"]),
        (lambda: client.infer("simple", inputs, outputs=[http.InferRequestedOutput("OUTPUT9")]), ["OUTPUT9"]),
    ):
        error = raises(InferenceServerException, call, *texts)
        assert error.status() in ("400", "404"), error.status()
    shared = http.InferInput("INPUT0", [1, 16], "INT32")
    shared.set_shared_memory("region", 64)
    error = raises(InferenceServerException, lambda: client.infer("simple", [shared, inputs[1]]), "shared memory")
    equal(error.status(), "501")
    output = http.InferRequestedOutput("OUTPUT0")
    output.set_shared_memory("region", 64)
    raises(InferenceServerException, lambda: client.infer("simple", inputs, outputs=[output]), "shared memory")
    output.unset_shared_memory()
    same(client.infer("simple", inputs, outputs=[output]).as_numpy("OUTPUT0"), a + b)


@both
def what_is_too_large(client):
    array = np.zeros((8, 2_200_000), dtype=np.float32)
    error = raises(InferenceServerException, lambda: client.infer("identity_fp32", [make("INPUT0", array, "FP32")]), "INFERENCE_MAX_MESSAGE_BYTES", "67108864")
    equal(error.status(), "413")
    equal(client.is_server_live(), True)


@both
def deadlines(client):
    array = np.zeros((1, 3), dtype=np.float32)
    same(client.infer("waiting", [make("INPUT0", array, "FP32")]).as_numpy("OUTPUT0"), array)


@both
def statistics(client):
    inputs = simple_inputs()[2]
    client.infer("simple", inputs, model_version="1")
    of = lambda stats, version: next(one for one in stats["model_stats"] if (one["name"], one["version"]) == ("simple", version))
    before = of(client.get_inference_statistics("simple", "1"), "1")
    for _ in range(3):
        client.infer("simple", inputs, model_version="1")
    after = of(client.get_inference_statistics("simple"), "1")
    equal(after["inference_count"] - before["inference_count"], 3)
    equal(after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"], 3)
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]
    assert 1 <= after["execution_count"] - before["execution_count"] <= 3
    assert any(one["batch_size"] == 1 for one in after["batch_stats"])
    assert after["last_inference"] >= before["last_inference"] > 1_600_000_000_000
    names = {one["name"] for one in client.get_inference_statistics()["model_stats"]}
    assert {"simple", "labelled"} <= names, names
    raises(InferenceServerException, lambda: client.get_inference_statistics("nothing"), "nothing")


@both
def repository(client):
    state = lambda name: {one.get("version"): one["state"] for one in client.get_model_repository_index() if one["name"] == name}
    equal(state("simple"), {"1": "READY", "2": "READY"})
    client.unload_model("identity_uint8")
    equal(client.is_model_ready("identity_uint8"), False)
    assert "READY" not in state("identity_uint8").values(), state("identity_uint8")
    raises(InferenceServerException, lambda: client.infer("identity_uint8", [make("INPUT0", tensors()["UINT8"], "UINT8")]), "identity_uint8")
    client.load_model("identity_uint8")
    equal(client.is_model_ready("identity_uint8"), True)
    client.unload_model("identity_uint8", unload_dependents=True)
    client.load_model("identity_uint8", config=json.dumps({"name": "identity_uint8", "max_batch_size": 2}))
    equal(client.get_model_config("identity_uint8")["max_batch_size"], 2)
    client.load_model("identity_uint8")
    equal(client.get_model_config("identity_uint8")["max_batch_size"], 8)
    upload = lambda: client.load_model("uploaded", config="{}", files={"file:1/model.onnx": b"bytes"})
    raises(InferenceServerException, upload, "INFERENCE_MODEL_UPLOADS")
    raises(InferenceServerException, lambda: client.load_model("nothing"), "nothing")
    raises(InferenceServerException, lambda: client.unload_model("nothing"), "nothing")


@both
def trace_and_log_settings(client):
    equal(client.get_trace_settings()["trace_level"], ["OFF"])
    changed = client.update_trace_settings("simple", {"trace_level": ["TIMESTAMPS"], "trace_rate": "500", "trace_count": "10"})
    equal((changed["trace_level"], changed["trace_rate"], changed["trace_count"]), (["TIMESTAMPS"], "500", "10"))
    equal(client.get_trace_settings("simple"), changed)
    equal(client.get_trace_settings()["trace_level"], ["OFF"])
    client.infer("simple", simple_inputs()[2])
    equal(client.update_trace_settings("simple", {"trace_level": None, "trace_rate": None, "trace_count": None}), client.get_trace_settings())
    equal(client.update_trace_settings(settings={"log_frequency": "7"})["log_frequency"], "7")
    equal(client.update_trace_settings(settings={"log_frequency": None})["log_frequency"], "0")
    raises(InferenceServerException, lambda: client.update_trace_settings(settings={"trace_rate": "often"}), "trace_rate", "often")
    raises(InferenceServerException, lambda: client.get_trace_settings("nothing"), "nothing")

    before = client.get_log_settings()
    equal(set(before), {"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"})
    changed = client.update_log_settings({"log_verbose_level": 1})
    equal(changed, {**before, "log_verbose_level": 1})
    equal(client.get_log_settings(), changed)
    equal(client.update_log_settings(before), before)
    raises(InferenceServerException, lambda: client.update_log_settings({"log_file": "/tmp/of-a-server"}), "log_file")


@both
def shared_memory(client):
    equal(client.get_system_shared_memory_status(), [])
    equal(client.get_cuda_shared_memory_status(), [])
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    for call in (
        lambda: client.get_system_shared_memory_status("region"),
        lambda: client.get_cuda_shared_memory_status("region"),
        lambda: client.register_system_shared_memory("region", "/region", 64),
        lambda: client.register_cuda_shared_memory("region", "aGFuZGxl", 0, 64),
        lambda: client.unregister_system_shared_memory("region"),
        lambda: client.unregister_cuda_shared_memory("region"),
    ):
        equal(raises(InferenceServerException, call, "shared memory").status(), "501")


@both
def plugins(client):
    client.register_plugin(BasicAuth("line", "press"))
    assert client.plugin() is not None
    equal(client.is_server_live(), True)
    client.unregister_plugin()
    equal(client.plugin(), None)


@check
def many_threads_with_clients_of_their_own(clients):
    failed = []

    def work(number):
        try:
            with http.InferenceServerClient(sys.argv[1]) as own:
                array = np.full((2, 16), number, dtype=np.int32)
                inputs = [make("INPUT0", array, "INT32", number % 2 == 0), make("INPUT1", array, "INT32")]
                for _ in range(5):
                    same(own.infer("simple", inputs).as_numpy("OUTPUT0"), array * 2)
        except BaseException as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failed, [])


@check
def verbose_clients_print_what_they_do(clients):
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), http.InferenceServerClient(sys.argv[1], verbose=True) as client:
        client.is_server_live()
        client.infer("simple", simple_inputs()[2])
    assert "/v2/models/simple/infer" in printed.getvalue()


@check
def nothing_public_was_left_out(clients):
    # `close` is called below.
    for kind, module in (("http", http), ("aio", aio)):
        public = {name for name, member in inspect.getmembers(module.InferenceServerClient) if callable(member) and not name.startswith("_")}
        equal(public - called[kind] - {"close"}, set(), kind)


def main():
    address = sys.argv[1]
    loop = asyncio.new_event_loop()

    async def open_aio():
        return aio.InferenceServerClient(address)

    clients = {
        "http": Recorded("http", http.InferenceServerClient(address, concurrency=4)),
        "aio": Recorded("aio", loop.run_until_complete(open_aio()), loop),
    }
    try:
        return run(clients)
    finally:
        clients["http"].close()
        clients["aio"].close()


sys.exit(main())
