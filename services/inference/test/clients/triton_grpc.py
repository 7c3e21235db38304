"""Everything that tritonclient's gRPC clients can call, against a server with the models of clients/repository.ts.

    python triton_grpc.py HOST:PORT
"""

import asyncio
import base64
import inspect
import queue
import sys
import threading

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from checks import check, equal, raises, run, same, tensors
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

ADDRESS = sys.argv[1]
ONES = np.ones((1, 16), dtype=np.int32)
MODELS = {f"identity_{datatype.lower()}" for datatype in tensors()} | {"simple", "labelled", "waiting"}

_called = {"sync": set(), "aio": set()}


def watched(client, kind):
    """The client, remembering which of its methods are called."""

    class Watched:
        def __getattr__(self, name):
            _called[kind].add(name)
            return getattr(client, name)

    return Watched()


_client = triton.InferenceServerClient(ADDRESS)
client = watched(_client, "sync")


def aio(body):
    """Runs a check with an asynchronous client of its own."""

    async def with_client():
        async with triton_aio.InferenceServerClient(ADDRESS) as raw:
            await body(watched(raw, "aio"))

    asyncio.run(asyncio.wait_for(with_client(), 30))


def tensor(name, values, datatype=None):
    given = triton.InferInput(name, list(values.shape), datatype or triton_type(values))
    given.set_data_from_numpy(values)
    return given


def triton_type(values):
    from tritonclient.utils import np_to_triton_dtype

    return np_to_triton_dtype(values.dtype)


def simple_inputs(factor=1):
    return [tensor("INPUT0", ONES * 5 * factor), tensor("INPUT1", ONES * 2)]


def assert_simple(result, factor=1):
    same(result.as_numpy("OUTPUT0"), ONES * (5 * factor + 2), "OUTPUT0")
    same(result.as_numpy("OUTPUT1"), ONES * (5 * factor - 2), "OUTPUT1")


async def araises(call, *texts):
    try:
        await call
    except InferenceServerException as error:
        for text in texts:
            assert text in str(error), f"expected {text!r} in {error}"
        return error
    raise AssertionError("expected InferenceServerException, got an answer")


# Server and models.


@check
def server_is_live_and_ready():
    equal(client.is_server_live(), True)
    equal(client.is_server_ready(headers={"x-unknown": "ignored"}), True)


@check
def models_are_ready_and_unknown_ones_are_not():
    equal(client.is_model_ready("simple"), True)
    equal(client.is_model_ready("simple", "1"), True)
    equal(client.is_model_ready("simple", "9"), False)
    equal(client.is_model_ready("nothing"), False)


@check
def server_metadata_names_what_is_there():
    metadata = client.get_server_metadata()
    equal(metadata.name, "andon-inference")
    assert metadata.version != ""
    for extension in ("statistics", "model_repository", "model_configuration", "parameters", "schedule_policy", "classification"):
        assert extension in metadata.extensions, extension
    for extension in ("sequence", "system_shared_memory", "cuda_shared_memory"):
        assert extension not in metadata.extensions, extension
    as_json = client.get_server_metadata(as_json=True)
    equal(as_json["extensions"], list(metadata.extensions))


@check
def model_metadata_has_the_batch_dimension_in_front():
    metadata = client.get_model_metadata("simple")
    equal((metadata.name, list(metadata.versions), metadata.platform), ("simple", ["1", "2"], "onnxruntime_onnx"))
    equal([(i.name, i.datatype, list(i.shape)) for i in metadata.inputs], [("INPUT0", "INT32", [-1, 16]), ("INPUT1", "INT32", [-1, 16])])
    equal([(o.name, o.datatype, list(o.shape)) for o in metadata.outputs], [("OUTPUT0", "INT32", [-1, 16]), ("OUTPUT1", "INT32", [-1, 16])])
    as_json = client.get_model_metadata("simple", "2", as_json=True)
    equal(as_json["inputs"][0]["shape"], ["-1", "16"])
    for datatype in tensors():
        metadata = client.get_model_metadata(f"identity_{datatype.lower()}")
        equal((metadata.inputs[0].datatype, metadata.outputs[0].datatype), (datatype, datatype))
    error = raises(InferenceServerException, lambda: client.get_model_metadata("nothing"), "nothing")
    equal(error.status(), "StatusCode.NOT_FOUND")


@check
def model_config_has_what_was_written_and_its_defaults():
    config = client.get_model_config("simple").config
    equal((config.name, config.platform, config.max_batch_size), ("simple", "onnxruntime_onnx", 8))
    equal([(i.name, list(i.dims)) for i in config.input], [("INPUT0", [16]), ("INPUT1", [16])])
    equal(config.dynamic_batching.preferred_batch_size, [4])
    equal(config.version_policy.WhichOneof("policy_choice"), "all")
    as_json = client.get_model_config("labelled", as_json=True)
    equal(as_json["config"]["output"][0]["label_filename"], "labels.txt")
    equal(as_json["config"]["max_batch_size"], 8)
    raises(InferenceServerException, lambda: client.get_model_config("nothing"), "nothing")


@check
def repository_index_lists_every_model():
    index = client.get_model_repository_index()
    equal({m.name for m in index.models} >= MODELS, True, str({m.name for m in index.models}))
    equal({m.version for m in index.models if m.name == "simple"}, {"1", "2"})
    equal({m.state for m in index.models if m.name == "simple"}, {"READY"})
    as_json = client.get_model_repository_index(as_json=True)
    equal({m["name"] for m in as_json["models"]} >= MODELS, True)


@check
def a_model_is_unloaded_and_loaded_again():
    client.unload_model("identity_int8")
    equal(client.is_model_ready("identity_int8"), False)
    error = raises(InferenceServerException, lambda: client.infer("identity_int8", [tensor("INPUT0", tensors()["INT8"])]))
    assert error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.NOT_FOUND"), error.status()
    ready = service_pb2.RepositoryIndexRequest(ready=True)
    equal("identity_int8" in {m.name for m in _client._client_stub.RepositoryIndex(ready).models}, False)
    client.load_model("identity_int8")
    equal(client.is_model_ready("identity_int8"), True)
    same(client.infer("identity_int8", [tensor("INPUT0", tensors()["INT8"])]).as_numpy("OUTPUT0"), tensors()["INT8"])


@check
def a_model_is_loaded_with_a_configuration_of_the_request():
    config = client.get_model_config("identity_uint8", as_json=True)["config"]
    config["max_batch_size"] = 4
    import json

    client.load_model("identity_uint8", config=json.dumps(config))
    equal(client.get_model_config("identity_uint8").config.max_batch_size, 4)
    client.load_model("identity_uint8")
    equal(client.get_model_config("identity_uint8").config.max_batch_size, 8)
    raises(InferenceServerException, lambda: client.load_model("identity_uint8", config="{"))


@check
def loading_what_is_not_there_and_uploads_are_refused():
    raises(InferenceServerException, lambda: client.load_model("nothing"), "nothing")
    raises(InferenceServerException, lambda: client.load_model("simple", config="{}", files={"file:1/model.onnx": b"x"}))
    raises(InferenceServerException, lambda: client.unload_model("nothing", unload_dependents=True), "nothing")


@check
def the_form_of_kserve_has_the_name_in_field_1():
    stub = _client._client_stub
    loaded = stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(repository_name="identity_int16"))
    # KServe's response: model_name 1, is_loaded 2; Triton's message has no fields, so they are kept as unknown ones.
    equal(loaded.SerializeToString(), b"\x0a\x0eidentity_int16\x10\x01")


@check
def statistics_count_requests_and_batches():
    before = client.get_inference_statistics("simple", "1").model_stats[0]
    for _ in range(3):
        client.infer("simple", simple_inputs(), model_version="1")
    after = client.get_inference_statistics("simple", "1").model_stats[0]
    equal((after.name, after.version), ("simple", "1"))
    equal(after.inference_count - before.inference_count, 3)
    equal(after.inference_stats.success.count - before.inference_stats.success.count, 3)
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.inference_stats.compute_infer.count > 0
    assert after.execution_count > 0
    assert after.last_inference > 1_600_000_000_000
    assert any(b.batch_size == 1 and b.compute_infer.count > 0 for b in after.batch_stats)
    everything = client.get_inference_statistics(as_json=True)["model_stats"]
    equal({m["name"] for m in everything} >= {"simple", "waiting"}, True)
    raises(InferenceServerException, lambda: client.get_inference_statistics("nothing"), "nothing")


# Scoring.


@check
def every_datatype_comes_back_as_it_went():
    for datatype, values in tensors().items():
        result = client.infer(f"identity_{datatype.lower()}", [tensor("INPUT0", values)])
        same(result.as_numpy("OUTPUT0"), values, datatype)
        output = result.get_output("OUTPUT0")
        equal((output.datatype, list(output.shape)), (datatype, [2, 3]))


@check
def outputs_ids_and_versions_are_given_back():
    result = client.infer("simple", simple_inputs(), request_id="r-7")
    assert_simple(result)
    response = result.get_response()
    equal((response.model_name, response.model_version, response.id), ("simple", "2", "r-7"))
    one = client.infer("simple", simple_inputs(), model_version="1", outputs=[triton.InferRequestedOutput("OUTPUT1")])
    equal(one.get_response().model_version, "1")
    equal([output.name for output in one.get_response().outputs], ["OUTPUT1"])
    equal(one.as_numpy("OUTPUT0"), None)
    as_json = result.get_response(as_json=True)
    equal((as_json["model_name"], as_json["outputs"][0]["shape"]), ("simple", ["1", "16"]))


@check
def typed_contents_are_taken_as_raw_ones_are():
    request = service_pb2.ModelInferRequest(model_name="simple")
    for name, value in (("INPUT0", 5), ("INPUT1", 2)):
        given = request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        given.contents.int_contents.extend([value] * 16)
    response = _client._client_stub.ModelInfer(request)
    equal(np.frombuffer(response.raw_output_contents[0], np.int32).tolist(), [7] * 16)
    text = service_pb2.ModelInferRequest(model_name="identity_bytes")
    text.inputs.add(name="INPUT0", datatype="BYTES", shape=[1, 2]).contents.bytes_contents.extend([b"a", b"bc"])
    equal(_client._client_stub.ModelInfer(text).raw_output_contents[0], b"\x01\x00\x00\x00a\x02\x00\x00\x00bc")


@check
def the_highest_values_come_with_index_and_label():
    values = np.array([[0.1, 0.7, 0.2], [5, -1, 4]], dtype=np.float32)
    result = client.infer("labelled", [tensor("INPUT0", values)], outputs=[triton.InferRequestedOutput("OUTPUT0", class_count=2)])
    found = [[each.decode().split(":") for each in row] for row in result.as_numpy("OUTPUT0")]
    equal([[(index, label) for _, index, label in row] for row in found], [[("1", "gear"), ("2", "belt")], [("0", "bearing"), ("2", "belt")]])
    equal(abs(float(found[0][0][0]) - 0.7) < 1e-5, True)


@check
def priority_timeout_and_own_parameters_are_taken():
    result = client.infer(
        "simple", simple_inputs(), priority=1, timeout=5_000_000, parameters={"mine": "x", "count": 3, "share": 0.5, "on": True}
    )
    assert_simple(result)
    # A level that is none is the default one.
    assert_simple(client.infer("simple", simple_inputs(), priority=9))


@check
def compressed_requests_are_taken():
    large = np.arange(8 * 50_000, dtype=np.float32).reshape(8, 50_000)
    for algorithm in ("gzip", "deflate", None):
        assert_simple(client.infer("simple", simple_inputs(), compression_algorithm=algorithm))
        result = client.infer("identity_fp32", [tensor("INPUT0", large)], compression_algorithm=algorithm)
        same(result.as_numpy("OUTPUT0"), large, str(algorithm))


@check
def large_tensors_come_back():
    large = np.arange(2 * 1_000_000, dtype=np.float32).reshape(2, 1_000_000)
    same(client.infer("identity_fp32", [tensor("INPUT0", large)]).as_numpy("OUTPUT0"), large)


@check
def a_message_that_is_too_large_is_refused_with_the_limit():
    huge = np.zeros((8, 3_000_000), dtype=np.float32)
    error = raises(InferenceServerException, lambda: client.infer("identity_fp32", [tensor("INPUT0", huge)]), "INFERENCE_MAX_MESSAGE_BYTES")
    equal(error.status(), "StatusCode.RESOURCE_EXHAUSTED")


@check
def wrong_requests_name_tensor_expected_and_got():
    def refused(call, *texts):
        error = raises(InferenceServerException, call, *texts)
        equal(error.status(), "StatusCode.INVALID_ARGUMENT")

    refused(lambda: client.infer("simple", simple_inputs()[:1]), "INPUT1")
    wrong = np.ones((1, 15), dtype=np.int32)
    refused(lambda: client.infer("simple", [tensor("INPUT0", wrong), tensor("INPUT1", ONES)]), "INPUT0", "[-1, 16]", "[1, 15]")
    refused(lambda: client.infer("simple", [tensor("INPUT0", ONES.astype(np.float32)), tensor("INPUT1", ONES)]), "INPUT0", "INT32", "FP32")
    refused(lambda: client.infer("simple", simple_inputs(), outputs=[triton.InferRequestedOutput("NOTHING")]), "NOTHING")
    short = service_pb2.ModelInferRequest(model_name="identity_fp16")
    short.inputs.add(name="INPUT0", datatype="FP16", shape=[1, 3])
    short.raw_input_contents.append(b"12345")
    try:
        _client._client_stub.ModelInfer(short)
        raise AssertionError("expected an error")
    except triton.grpc.RpcError as error:
        for text in ("INPUT0", "6 bytes", "5 bytes"):
            assert text in error.details(), error.details()
    equal(raises(InferenceServerException, lambda: client.infer("nothing", simple_inputs())).status(), "StatusCode.NOT_FOUND")
    equal(raises(InferenceServerException, lambda: client.infer("simple", simple_inputs(), model_version="9")).status(), "StatusCode.NOT_FOUND")


@check
def a_request_whose_time_is_over_is_given_up():
    values = np.ones((1, 3), dtype=np.float32)
    error = raises(InferenceServerException, lambda: client.infer("waiting", [tensor("INPUT0", values)], client_timeout=0.05))
    equal(error.status(), "StatusCode.DEADLINE_EXCEEDED")


@check
def requests_run_side_by_side_and_can_be_cancelled():
    answers = queue.Queue()
    for factor in range(1, 9):
        client.async_infer("simple", simple_inputs(factor), callback=lambda result, error: answers.put((result, error)), request_id=str(factor))
    for _ in range(8):
        result, error = answers.get(timeout=20)
        equal(error, None)
        assert_simple(result, int(result.get_response().id))
    call = client.async_infer("waiting", [tensor("INPUT0", np.ones((1, 3), dtype=np.float32))], callback=lambda result, error: answers.put((result, error)))
    call.cancel()
    result, error = answers.get(timeout=20)
    equal((result, error.status()), (None, "StatusCode.CANCELLED"))


# Streams.


class Stream:
    """A client of its own: each has one stream."""

    def __enter__(self):
        self.raw = triton.InferenceServerClient(ADDRESS)
        self.client = watched(self.raw, "sync")
        self.answers = queue.Queue()
        return self

    def start(self, **options):
        self.client.start_stream(callback=lambda result, error: self.answers.put((result, error)), **options)

    def next(self):
        return self.answers.get(timeout=20)

    def __exit__(self, *_):
        self.client.close()


@check
def answers_of_a_stream_keep_their_ids():
    with Stream() as stream:
        stream.start()
        for factor in range(1, 33):
            stream.client.async_stream_infer("simple", simple_inputs(factor), request_id=str(factor), enable_empty_final_response=True)
        found = set()
        for _ in range(32):
            result, error = stream.next()
            equal(error, None)
            response = result.get_response()
            assert_simple(result, int(response.id))
            equal(response.parameters["triton_final_response"].bool_param, True)
            found.add(response.id)
        equal(found, {str(factor) for factor in range(1, 33)})
        stream.client.stop_stream()


@check
def an_error_on_a_stream_is_one_answer_and_the_stream_goes_on():
    with Stream() as stream:
        stream.start(compression_algorithm="gzip")
        stream.client.async_stream_infer("nothing", simple_inputs(), request_id="1")
        result, error = stream.next()
        equal(result, None)
        assert "nothing" in error.message(), error.message()
        stream.client.async_stream_infer("simple", simple_inputs(), request_id="2")
        result, error = stream.next()
        equal(error, None)
        assert_simple(result)


@check
def errors_are_statuses_where_a_stream_asks_for_it():
    with Stream() as stream:
        stream.start(headers={"triton_grpc_error": "true"})
        stream.client.async_stream_infer("simple", simple_inputs())
        equal(stream.next()[1], None)
        stream.client.async_stream_infer("nothing", simple_inputs())
        result, error = stream.next()
        equal((result, error.status()), (None, "StatusCode.NOT_FOUND"))


@check
def a_stream_ends_at_its_timeout_and_when_it_is_cancelled():
    values = np.ones((1, 3), dtype=np.float32)
    with Stream() as stream:
        stream.start(stream_timeout=0.1)
        try:
            stream.client.async_stream_infer("waiting", [tensor("INPUT0", values)])
        except InferenceServerException as error:
            # On a busy machine the time may be over before the request: then the client says so, and to the callback why.
            equal("no longer in valid state" in str(error), True)
        equal(stream.next()[1].status(), "StatusCode.DEADLINE_EXCEEDED")
        stream.client.stop_stream()
    with Stream() as stream:
        stream.start()
        stream.client.async_stream_infer("waiting", [tensor("INPUT0", values)])
        stream.client.stop_stream(cancel_requests=True)
        equal(stream.next()[1].status(), "StatusCode.CANCELLED")


@check
def one_client_serves_many_threads():
    wrong = []

    def work(first):
        try:
            for factor in range(first, first + 20):
                assert_simple(client.infer("simple", simple_inputs(factor)), factor)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (1, 101, 201, 301)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    equal(wrong, [])


# Settings and shared memory.


@check
def trace_settings_are_read_changed_and_cleared():
    start = client.get_trace_settings().settings
    equal(list(start["trace_level"].value), ["OFF"])
    changed = client.update_trace_settings(model_name="labelled", settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "7"})
    equal((list(changed.settings["trace_level"].value), list(changed.settings["trace_rate"].value)), (["TIMESTAMPS"], ["7"]))
    equal(client.get_trace_settings("labelled", as_json=True)["settings"]["trace_rate"]["value"], ["7"])
    equal(list(client.get_trace_settings("simple").settings["trace_rate"].value), list(start["trace_rate"].value))
    cleared = client.update_trace_settings(model_name="labelled", settings={"trace_level": None, "trace_rate": None}, as_json=True)
    equal(cleared["settings"]["trace_level"]["value"], ["OFF"])
    raises(InferenceServerException, lambda: client.update_trace_settings(settings={"trace_rate": "often"}), "trace_rate")
    raises(InferenceServerException, lambda: client.update_trace_settings(settings={"nothing": "1"}), "nothing")


@check
def log_settings_are_read_and_changed():
    start = client.get_log_settings()
    equal(start.settings["log_file"].string_param, "")
    names = {"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"}
    equal(set(start.settings), names)
    verbose = start.settings["log_verbose_level"].uint32_param
    equal(client.update_log_settings({"log_verbose_level": 1}).settings["log_verbose_level"].uint32_param, 1)
    equal(client.get_log_settings(as_json=True)["settings"]["log_verbose_level"]["uint32_param"], 1)
    equal(client.update_log_settings({"log_verbose_level": verbose}, as_json=True)["settings"]["log_verbose_level"]["uint32_param"], verbose)
    raises(InferenceServerException, lambda: client.update_log_settings({"log_file": "/tmp/x"}), "log_file")


@check
def there_is_no_shared_memory():
    equal(len(client.get_system_shared_memory_status().regions), 0)
    equal(len(client.get_cuda_shared_memory_status().regions), 0)
    equal(client.get_system_shared_memory_status(as_json=True), {})
    equal(client.get_cuda_shared_memory_status(as_json=True), {})
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    for call in (
        lambda: client.register_system_shared_memory("r", "/r", 64),
        lambda: client.register_cuda_shared_memory("r", base64.b64encode(b"handle"), 0, 64),
        lambda: client.unregister_system_shared_memory("r"),
        lambda: client.unregister_cuda_shared_memory("r"),
    ):
        equal(raises(InferenceServerException, call).status(), "StatusCode.UNIMPLEMENTED")
    shared = triton.InferInput("INPUT0", [1, 16], "INT32")
    shared.set_shared_memory("r", 64)
    raises(InferenceServerException, lambda: client.infer("simple", [shared, tensor("INPUT1", ONES)]), "INPUT0", "shared")


# The asynchronous client.


@check
def the_asynchronous_client_knows_server_and_models():
    async def body(client):
        equal(await client.is_server_live(), True)
        equal(await client.is_server_ready(), True)
        equal(await client.is_model_ready("simple", "2"), True)
        equal(await client.is_model_ready("nothing"), False)
        equal((await client.get_server_metadata(as_json=True))["name"], "andon-inference")
        equal((await client.get_model_metadata("simple")).inputs[1].name, "INPUT1")
        equal((await client.get_model_config("waiting")).config.dynamic_batching.max_queue_delay_microseconds, 1_500_000)
        equal({m.name for m in (await client.get_model_repository_index()).models} >= MODELS, True)
        await client.unload_model("identity_uint16")
        equal(await client.is_model_ready("identity_uint16"), False)
        await client.load_model("identity_uint16")
        equal(await client.is_model_ready("identity_uint16"), True)
        stats = await client.get_inference_statistics("simple")
        equal({m.version for m in stats.model_stats}, {"1", "2"})
        await araises(client.get_model_metadata("nothing"), "nothing")

    aio(body)


@check
def the_asynchronous_client_has_settings_and_no_shared_memory():
    async def body(client):
        changed = await client.update_trace_settings("identity_bool", {"trace_rate": "3"})
        equal(list(changed.settings["trace_rate"].value), ["3"])
        equal(list((await client.get_trace_settings("identity_bool")).settings["trace_rate"].value), ["3"])
        await client.update_trace_settings("identity_bool", {"trace_rate": None})
        equal((await client.update_log_settings({"log_format": "default"})).settings["log_format"].string_param, "default")
        equal((await client.get_log_settings()).settings["log_file"].WhichOneof("parameter_choice"), "string_param")
        equal(len((await client.get_system_shared_memory_status()).regions), 0)
        equal(len((await client.get_cuda_shared_memory_status()).regions), 0)
        await client.unregister_system_shared_memory()
        await client.unregister_cuda_shared_memory()
        await araises(client.register_system_shared_memory("r", "/r", 64))
        await araises(client.register_cuda_shared_memory("r", base64.b64encode(b"handle"), 0, 64))

    aio(body)


@check
def the_asynchronous_client_scores():
    async def body(client):
        results = await asyncio.gather(*(client.infer("simple", simple_inputs(f), compression_algorithm="deflate") for f in range(1, 17)))
        for factor, result in enumerate(results, 1):
            assert_simple(result, factor)
        error = await araises(client.infer("waiting", [tensor("INPUT0", np.ones((1, 3), dtype=np.float32))], client_timeout=0.05))
        equal(error.status(), "StatusCode.DEADLINE_EXCEEDED")

    aio(body)


@check
def the_asynchronous_client_streams():
    async def body(client):
        async def requests():
            for factor in range(1, 17):
                yield {"model_name": "simple", "inputs": simple_inputs(factor), "request_id": str(factor)}
            yield {"model_name": "nothing", "inputs": simple_inputs(), "request_id": "wrong"}

        found, errors = set(), []
        async for result, error in client.stream_infer(requests()):
            if error is not None:
                errors.append(error.message())
                continue
            assert_simple(result, int(result.get_response().id))
            found.add(result.get_response().id)
        equal((len(found), len(errors)), (16, 1))
        assert "nothing" in errors[0], errors

        async def one():
            yield {"model_name": "waiting", "inputs": [tensor("INPUT0", np.ones((1, 3), dtype=np.float32))]}

        stream = client.stream_infer(one())
        waiting = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        equal(stream.cancel(), True)
        try:
            await waiting
            raise AssertionError("expected the stream to be cancelled")
        except asyncio.CancelledError:
            pass

    aio(body)


@check
def closing_twice_is_no_error():
    own = triton.InferenceServerClient(ADDRESS)
    equal(own.is_server_live(), True)
    watched(own, "sync").close()
    own.close()

    async def body():
        other = triton_aio.InferenceServerClient(ADDRESS)
        equal(await other.is_server_live(), True)
        await watched(other, "aio").close()

    asyncio.run(body())


def nothing_was_left_out():
    """Every public method of both clients was called by a check."""
    plugins = {"register_plugin", "unregister_plugin", "plugin"}
    for kind, of in (("sync", triton.InferenceServerClient), ("aio", triton_aio.InferenceServerClient)):
        public = {name for name, _ in inspect.getmembers(of, inspect.isfunction) if not name.startswith("_")}
        equal(public - plugins - _called[kind], set(), kind)


if __name__ == "__main__":
    check(nothing_was_left_out)
    code = run()
    _client.close()
    sys.exit(code)
