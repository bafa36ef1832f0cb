"""The same weights through transformers, in fp32 and without its fused kernels: the second opinion on the reference."""
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

import checkpoints


def write_plain(folder, config, weights):
    """A directory that transformers reads: the weights in fp32, whatever the golden's own file holds them in."""
    plain = {k: v for k, v in config.items() if k != "quantization_config" and not k.startswith("fathom_")}
    plain |= {"num_nextn_predict_layers": config.get("num_nextn_predict_layers", 0), "torch_dtype": "float32",
              "hidden_act": "silu", "architectures": [checkpoints.ARCHITECTURES[config["model_type"]]]}
    (Path(folder) / "config.json").write_text(json.dumps(plain))
    kept = {k: v.float().contiguous() for k, v in weights.items() if k != "rope_freqs"}
    save_file(kept, Path(folder) / "model.safetensors", metadata={"format": "pt"})


def load(folder, config):
    from transformers import AutoModelForCausalLM, logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                          experts_implementation="eager", output_loading_info=True)
    prediction = f"model.layers.{config['num_hidden_layers']}."
    missing = [k for k in loading["missing_keys"] if k != "lm_head.weight" or not config.get("tie_word_embeddings")]
    unexpected = [k for k in loading["unexpected_keys"] if not k.startswith(prediction)]
    if missing or unexpected:
        raise RuntimeError(f"transformers did not take the weights: missing {missing}, unexpected {unexpected}")
    if config.get("num_nextn_predict_layers"):  # its V3 knows the prediction layer by the released number alone, 61
        model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{config['num_hidden_layers']}\."]
    return model.eval()


def load_in_transformers(config, weights):
    with tempfile.TemporaryDirectory() as folder:
        write_plain(folder, config, weights)
        return load(folder, config)


def logits_of(config, weights, ids):
    """(logits [T, vocab], and [T - 1, vocab] of the prediction layer or None). That layer reads the main embedding
    and head, never copies of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_plain(folder, config, weights)
        model, ids = load(folder, config), torch.tensor([ids])
        hidden = model.model(ids).last_hidden_state  # after the final norm
        logits = model.lm_head(hidden)[0]
        if not config.get("num_nextn_predict_layers"):
            return logits, None
        from transformers.modeling_layers import MtpModel
        prediction = MtpModel.from_pretrained(model).eval()
        drafted = prediction.forward_layer(0, hidden[:, :-1], torch.arange(ids.shape[1] - 1)[None], None,
                                           input_ids=ids[:, 1:])
        return logits, model.lm_head(drafted)[0]
