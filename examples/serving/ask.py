# Asks an inference server by Triton's own client: python3 ask.py [HOST:PORT of gRPC]
import sys

import numpy as np
import tritonclient.grpc as triton

target = sys.argv[1] if len(sys.argv) > 1 else "localhost:8001"
client = triton.InferenceServerClient(target)

# Velocity mm/s, peak g, kurtosis, temperature °C of three motors.
features = np.array([[2, 3, 3, 55], [3, 8, 6, 70], [6, 4, 3, 58]], dtype=np.float32)
tensor = triton.InferInput("features", features.shape, "FP32")
tensor.set_data_from_numpy(features)

for row in client.infer("motor", [tensor]).as_numpy("scores"):
    print(" ".join(f"{score:.4f}" for score in row))
