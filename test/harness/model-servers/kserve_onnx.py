# An ONNX model in KServe's model server: ONNX Runtime on one thread, tensors as numpy arrays. What KServe itself does is not touched.
# kserve_onnx.py MODEL.onnx NAME HTTP_PORT GRPC_PORT
import sys

import onnxruntime as ort
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

TYPES = {"tensor(float)": "FP32", "tensor(double)": "FP64", "tensor(int64)": "INT64"}


class OnnxModel(Model):
    def __init__(self, path: str, name: str):
        super().__init__(name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.ready = True

    async def get_input_types(self):
        return self._types(self._session.get_inputs())

    async def get_output_types(self):
        return self._types(self._session.get_outputs())

    def _types(self, tensors):
        sizes = lambda shape: [size if isinstance(size, int) else -1 for size in shape]
        return [{"name": each.name, "datatype": TYPES[each.type], "shape": sizes(each.shape)} for each in tensors]

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        found = self._session.run(self._outputs, feeds)
        outputs = []
        for name, array in zip(self._outputs, found):
            kind = "FP32" if array.dtype.itemsize == 4 else "FP64"
            output = InferOutput(name=name, shape=list(array.shape), datatype=kind)
            output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or "", model_name=self.name, infer_outputs=outputs, use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


path, name, http_port, grpc_port = sys.argv[1:]
ModelServer(http_port=int(http_port), grpc_port=int(grpc_port), workers=1, enable_docs_url=False).start([OnnxModel(path, name)])
