"""Random weights of a small model: which tensors an architecture has, and how large their numbers must be.

The scales are chosen so that every formula shows in the logits: attention scores with a standard deviation of one to
two (an even attention would hide a wrong rotation), norms whose weights are not all one, router scores well apart. It
must not know how a file stores a tensor.
"""
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spec:
    name: str     # Hugging Face's
    shape: tuple  # [out, in]
    mean: float
    std: float


def matrix(name, rows, columns, gain=1.0):
    return Spec(f"{name}.weight", (rows, columns), 0.0, gain / math.sqrt(columns))


def norm(name, width, gain=1.0):
    return Spec(f"{name}.weight", (width,), gain, 0.2 * gain)


def describe_attention(config, p):
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if not config.get("kv_lora_rank"):
        kv_heads, head = config["num_key_value_heads"], config.get("head_dim") or width // heads
        yield matrix(p + "q_proj", heads * head, width, 1.15)
        yield matrix(p + "k_proj", kv_heads * head, width, 1.15)
        yield matrix(p + "v_proj", kv_heads * head, width)
        yield matrix(p + "o_proj", width, heads * head)
        if config["model_type"] == "qwen2" or config.get("attention_bias"):
            for name, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
                yield Spec(f"{p}{name}_proj.bias", (count * head,), 0.0, 0.5)
        if config["model_type"] != "qwen2" and config.get("attention_bias"):
            yield Spec(p + "o_proj.bias", (width,), 0.0, 0.3)
        if config["model_type"] == "qwen3":
            yield norm(p + "q_norm", head, 0.95)
            yield norm(p + "k_norm", head, 0.95)
        return
    rank, q_rank, value = config["kv_lora_rank"], config.get("q_lora_rank"), config["v_head_dim"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    # A latent much smaller than one shows which epsilon its norm adds; see `small_latent` in cases.py.
    latent = config.get("fathom_latent_gain", 1.0)
    scaling = config.get("rope_scaling") or {}
    m = 0.1 * scaling.get("mscale_all_dim", 0) * math.log(scaling.get("factor", 1)) + 1  # scores grow by its square
    if q_rank:
        yield matrix(p + "q_a_proj", q_rank, width, latent)
        yield norm(p + "q_a_layernorm", q_rank)
        yield matrix(p + "q_b_proj", heads * (nope + rope), q_rank, 1.2 / m ** 2)
    else:
        yield matrix(p + "q_proj", heads * (nope + rope), width, 1.2 / m ** 2)
    yield matrix(p + "kv_a_proj_with_mqa", rank + rope, width, 1.1 * latent)
    yield norm(p + "kv_a_layernorm", rank)
    yield matrix(p + "kv_b_proj", heads * (nope + value), rank, 1.1)
    yield matrix(p + "o_proj", width, heads * value)


def describe_mlp(p, width, inner):
    yield matrix(p + "gate_proj", inner, width, 1.2)
    yield matrix(p + "up_proj", inner, width, 1.2)
    yield matrix(p + "down_proj", width, inner, 1.2)


def is_moe(config, number):
    return bool(config.get("n_routed_experts")) and number >= config.get("first_k_dense_replace", 0) and \
        number % config.get("moe_layer_freq", 1) == 0


def describe_layer(config, number):
    p, width = f"model.layers.{number}.", config["hidden_size"]
    yield norm(p + "input_layernorm", width)
    yield from describe_attention(config, p + "self_attn.")
    yield norm(p + "post_attention_layernorm", width)
    if not is_moe(config, number):
        yield from describe_mlp(p + "mlp.", width, config["intermediate_size"])
        return
    experts, inner = config["n_routed_experts"], config["moe_intermediate_size"]
    yield matrix(p + "mlp.gate", experts, width, 1.5)
    if config.get("topk_method") == "noaux_tc":
        yield Spec(p + "mlp.gate.e_score_correction_bias", (experts,), 0.0, 0.2)
    for expert in range(experts):
        yield from describe_mlp(f"{p}mlp.experts.{expert}.", width, inner)
    if config.get("n_shared_experts"):
        yield from describe_mlp(p + "mlp.shared_experts.", width, inner * config["n_shared_experts"])


def describe(config):
    """Every tensor of the model, in the order of the forward pass."""
    width, vocab = config["hidden_size"], config["vocab_size"]
    yield Spec("model.embed_tokens.weight", (vocab, width), 0.0, 0.7)
    for number in range(config["num_hidden_layers"]):
        yield from describe_layer(config, number)
    yield norm("model.norm", width)
    if not config.get("tie_word_embeddings"):
        yield matrix("lm_head", vocab, width, 2.0)
    if config.get("num_nextn_predict_layers"):
        number = config["num_hidden_layers"]
        p = f"model.layers.{number}."
        yield norm(p + "enorm", width)
        yield norm(p + "hnorm", width)
        yield matrix(p + "eh_proj", width, 2 * width)
        yield from describe_layer(config, number)
        yield norm(p + "shared_head.norm", width)


def make(config, seed):
    """name -> float32 array. One generator a tensor, so that adding a tensor leaves the others as they were."""
    out = {}
    for index, spec in enumerate(describe(config)):
        rng = np.random.default_rng([seed, index])
        out[spec.name] = (spec.mean + spec.std * rng.standard_normal(spec.shape)).astype(np.float32)
    return out
