"""Writes and reads checkpoints: a directory in Hugging Face's layout. What is read is what the file's own numbers say.

Reading gives (config, weights): config.json's words, and float32 tensors [out, in] under Hugging Face's names. The
reference runs on what was read, never on what was meant to be written.
"""
import json

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import vocabulary

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
FP8_BLOCK = 128
FP8_MAX = 448.0
NOT_FP8 = ("embed_tokens", "lm_head", "norm", "mlp.gate.", "eh_proj", "shared_head")
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
                 "deepseek": "DeepseekForCausalLM", "deepseek_v2": "DeepseekV2ForCausalLM",
                 "deepseek_v3": "DeepseekV3ForCausalLM"}


def per_block(scales, shape):
    """A scale for each 128 x 128 block, spread over the matrix; blocks at the edges are partial."""
    spread = scales.repeat_interleave(FP8_BLOCK, 0).repeat_interleave(FP8_BLOCK, 1)
    return spread[: shape[0], : shape[1]]


def to_fp8(value):
    rows, columns = (-(-n // FP8_BLOCK) for n in value.shape)
    scales = torch.empty(rows, columns)
    for r in range(rows):
        for c in range(columns):
            block = value[r * FP8_BLOCK:(r + 1) * FP8_BLOCK, c * FP8_BLOCK:(c + 1) * FP8_BLOCK]
            scales[r, c] = block.abs().max() / FP8_MAX
    return (value / per_block(scales, value.shape)).to(torch.float8_e4m3fn), scales


def stored_tensors(case, weights):
    """The tensors as the file holds them: the case's type, FP8 with scales, the router's bias always fp32."""
    out = {}
    for name, array in weights.items():
        value = torch.from_numpy(array)
        if "e_score_correction_bias" in name:
            out[name] = value
        elif case.storage == "fp8" and value.ndim == 2 and not any(part in name for part in NOT_FP8):
            out[name], out[name + "_scale_inv"] = to_fp8(value)
        else:
            out[name] = value.to(DTYPES["bf16" if case.storage == "fp8" else case.storage])
    if case.config.get("num_nextn_predict_layers"):  # as released: copies of the main embedding and head
        p = f"model.layers.{case.config['num_hidden_layers']}."
        out[p + "embed_tokens.weight"] = out["model.embed_tokens.weight"].clone()
        out[p + "shared_head.head.weight"] = out["lm_head.weight"].clone()
    return out


def config_json(case):
    config = {k: v for k, v in case.config.items() if not k.startswith("fathom_")}
    config |= {"architectures": [ARCHITECTURES[config["model_type"]]], "hidden_act": "silu",
               "torch_dtype": {"f32": "float32", "f16": "float16"}.get(case.storage, "bfloat16"),
               "bos_token_id": vocabulary.begin_id(), "eos_token_id": vocabulary.end_id()}
    if case.storage == "fp8":
        config["quantization_config"] = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                                         "weight_block_size": [FP8_BLOCK, FP8_BLOCK]}
    return config


def write_directory(directory, case, weights):
    directory.mkdir(parents=True, exist_ok=True)
    def write_json(name, value):
        (directory / name).write_text(json.dumps(value, indent=1) + "\n")
    write_json("config.json", config_json(case))
    write_json("generation_config.json", {"bos_token_id": vocabulary.begin_id(), "eos_token_id": vocabulary.end_id()})
    vocabulary.write_json(directory, case.config["model_type"])
    tensors = stored_tensors(case, weights)
    if case.parts == 1:
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names, where = list(tensors), {}
    for part in range(case.parts):  # a tensor and its scale may well lie in different files, as in the released ones
        file = f"model-{part + 1:05}-of-{case.parts:05}.safetensors"
        mine = names[len(names) * part // case.parts: len(names) * (part + 1) // case.parts]
        save_file({name: tensors[name] for name in mine}, directory / file, metadata={"format": "pt"})
        where |= {name: file for name in mine}
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json("model.safetensors.index.json",
               {"metadata": {"total_size": size}, "weight_map": dict(sorted(where.items()))})


def read_directory(directory):
    config = json.loads((directory / "config.json").read_text())
    raw = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            raw |= {name: file.get_tensor(name) for name in file.keys()}
    weights = {}
    for name, value in raw.items():
        if name.endswith("_scale_inv"):
            continue
        scales = raw.get(name + "_scale_inv")
        weights[name] = value.float() if scales is None else value.float() * per_block(scales, value.shape)
    return config, weights


def to_numpy(weights):
    return {name: np.ascontiguousarray(value.numpy()) for name, value in weights.items()}
