"""How a prediction is made, without HTTP and without Ray: tensors, stages, batches, the hop between processes."""
