# An ONNX model in BentoML: ONNX Runtime on one thread. POST /predict takes {"features": rows}, gives {"scores": rows}.
import os

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(workers=1)
class Onnx:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(os.environ["ANDON_ONNX"], options, providers=["CPUExecutionProvider"])

    @bentoml.api
    def predict(self, features: list) -> dict:
        (scores,) = self._session.run(["scores"], {"features": np.array(features, dtype=np.float32)})
        return {"scores": scores.tolist()}
