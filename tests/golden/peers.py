"""The same weights through transformers, in fp32 and without its fused kernels: the second opinion on the reference."""
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

import checkpoints


def load_in_transformers(config, weights):
    """A model that AutoModelForCausalLM read from config.json and the fp32 weights of the main layers."""
    from transformers import AutoModelForCausalLM, logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    prediction = f"model.layers.{config['num_hidden_layers']}."
    plain = {k: v for k, v in config.items() if k != "quantization_config" and not k.startswith("fathom_")}
    plain |= {"num_nextn_predict_layers": 0, "torch_dtype": "float32", "hidden_act": "silu",
              "architectures": [checkpoints.ARCHITECTURES[config["model_type"]]]}
    kept = {k: v.float().contiguous() for k, v in weights.items() if k != "rope_freqs" and not k.startswith(prediction)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(plain))
        save_file(kept, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                              experts_implementation="eager", output_loading_info=True)
    missing = [k for k in loading["missing_keys"] if k != "lm_head.weight" or not config.get("tie_word_embeddings")]
    if missing or loading["unexpected_keys"]:
        raise RuntimeError(f"transformers did not take the weights: {missing} {loading['unexpected_keys']}")
    return model.eval()
