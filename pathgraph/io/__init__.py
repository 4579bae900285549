"""Models of other libraries in, results out: ONNX, PyTorch and scikit-learn.

Each module imports the library it is about, and nothing else of the kind; `import pathgraph` imports none of them.
"""
