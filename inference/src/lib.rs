//! The engine of Rebut: ONNX in, canonical graph out, canonical kernels, the trace
