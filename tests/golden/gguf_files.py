"""Writes and reads GGUF files: names, metadata and the three layouts of latent attention, as in the wild.

Reading gives (config, weights) in config.json's words and Hugging Face's names, float32, as checkpoints.py does; a
weight that blocks hold bears the attribute `blocks`.
"""
import math

import gguf
import numpy as np
import torch

import vocabulary
from gguf_blocks import Type, encode

ARCHITECTURE = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "deepseek": "deepseek",
                "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2"}
PERMUTED = ("llama", "deepseek")  # architectures whose q and k rows are turned to interleaved rotation
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
BLOCK = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
         "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
         "self_attn.kv_b_proj": "attn_kv_b",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
         "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp",
         "mlp.shared_experts.down_proj": "ffn_down_shexp",
         "eh_proj": "nextn.eh_proj", "enorm": "nextn.enorm", "hnorm": "nextn.hnorm",
         "embed_tokens": "nextn.embed_tokens", "shared_head.head": "nextn.shared_head_head",
         "shared_head.norm": "nextn.shared_head_norm"}
BIAS = "mlp.gate.e_score_correction_bias"

# Types of a tensor by its GGUF name, layer by layer; anything else has the type under "".
BLOCK_RECIPE = [
    {"attn_q": "Q4_K", "attn_k": "Q5_K", "attn_v": "Q6_K", "attn_output": "Q5_0", "ffn_gate": "Q2_K",
     "ffn_up": "Q3_K", "ffn_down": "Q5_1"},
    {"attn_q": "IQ4_XS", "attn_k": "Q8_0", "attn_v": "Q4_0", "attn_output": "IQ4_NL", "ffn_gate": "Q4_1",
     "ffn_up": "MXFP4", "ffn_down": "Q8_0"}]
MIXED_RECIPE = {"token_embd": "Q4_K", "output": "Q6_K", "attn_q": "Q5_K", "attn_output": "Q5_0",
                "attn_kv_a_mqa": "Q8_0", "attn_k_b": "Q8_0", "attn_v_b": "Q8_0", "ffn_gate": "Q4_K", "ffn_up": "Q4_K",
                "ffn_down": "Q8_0",
                "ffn_gate_exps": "Q4_K", "ffn_up_exps": "Q6_K", "ffn_down_exps": "Q5_1", "ffn_gate_shexp": "IQ4_XS",
                "ffn_up_shexp": "Q3_K", "ffn_down_shexp": "Q4_1"}


def type_of(storage, name, value):
    """Vectors, the router and the rope divisors stay in fp32, as converters leave them."""
    short = name.removesuffix(".weight")
    layer, _, part = short.removeprefix("blk.").partition(".") if short.startswith("blk.") else ("", "", short)
    if value.ndim < 2 or part in ("ffn_gate_inp", "exp_probs_b"):
        return Type.F32
    if storage == "blocks":
        return Type[BLOCK_RECIPE[int(layer) % 2][part] if layer else {"token_embd": "Q4_K"}.get(part, "Q6_K")]
    return Type[MIXED_RECIPE[part] if storage == "mixed" else storage.upper()]


def permute(value, heads):
    """Rows of each head from halves (i | i + d/2) to pairs (2i, 2i + 1)."""
    return value.reshape(heads, 2, -1, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def unpermute(value, heads):
    return value.reshape(heads, -1, 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def head_width(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rope_divisors(config):
    """llama3 scaling as the file ships it: what each frequency is divided by."""
    scaling, width = config["rope_scaling"], head_width(config)
    original = scaling["original_max_position_embeddings"]
    low, high = original / scaling["low_freq_factor"], original / scaling["high_freq_factor"]
    out = []
    for i in range(0, width, 2):
        wavelength = 2 * math.pi * config["rope_theta"] ** (i / width)
        smooth = (low / wavelength - 1) / (low / high - 1)
        between = 1 / ((1 - smooth) / scaling["factor"] + smooth)
        out.append(1.0 if wavelength < high else scaling["factor"] if wavelength > low else between)
    return np.array(out, np.float32)


def split_kv_b(config, value, two_dimensional):
    """kv_b [H * (nope + value), rank] to k_b, each head's key rows transposed, and v_b, its value rows."""
    heads, nope, rank = config["num_attention_heads"], config["qk_nope_head_dim"], config["kv_lora_rank"]
    per_head = value.reshape(heads, -1, rank)
    k, v = np.ascontiguousarray(per_head[:, :nope].swapaxes(1, 2)), np.ascontiguousarray(per_head[:, nope:])
    return (k.reshape(-1, nope), v.reshape(-1, rank)) if two_dimensional else (k, v)


def gguf_tensors(case, weights):
    """(name, float32 array), a few tensors renamed, expert matrices stacked, kv_b split as the layout wants it."""
    config = case.config
    if (config.get("rope_scaling") or {}).get("rope_type") == "llama3":
        yield "rope_freqs.weight", rope_divisors(config)
    for name, value in weights.items():
        stem, kind = name.rsplit(".", 1)
        if stem in TOP:
            yield f"{TOP[stem]}.{kind}", value
            continue
        _, _, number, part = name.split(".", 3)
        part, block = part.rsplit(".", 1)[0], f"blk.{number}."
        if name.endswith(BIAS):
            yield block + "exp_probs_b.bias", value
        elif part.startswith("mlp.experts."):
            _, _, expert, which = part.split(".")
            if expert == "0":
                stack = [weights[f"model.layers.{number}.mlp.experts.{e}.{which}.weight"]
                         for e in range(config["n_routed_experts"])]
                yield f"{block}{BLOCK['mlp.' + which]}_exps.weight", np.stack(stack)
        elif part == "self_attn.kv_b_proj" and case.layout != "legacy":
            k, v = split_kv_b(config, value, two_dimensional=case.layout == "unlabelled")
            yield block + "attn_k_b.weight", k
            yield block + "attn_v_b.weight", v
        else:
            heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}.get(part)
            if heads and config["model_type"] in PERMUTED:
                value = permute(value, config[heads])
            yield f"{block}{BLOCK[part]}.{kind}", value


def metadata(case):
    """(key without the architecture, value): whole numbers u32, fractions f32."""
    config = case.config
    heads, nextn = config["num_attention_heads"], config.get("num_nextn_predict_layers", 0)
    yield "block_count", config["num_hidden_layers"] + nextn
    yield "context_length", config["max_position_embeddings"]
    yield "embedding_length", config["hidden_size"]
    yield "feed_forward_length", config["intermediate_size"]
    yield "vocab_size", config["vocab_size"]
    yield "attention.head_count", heads
    yield "attention.layer_norm_rms_epsilon", float(config["rms_norm_eps"])
    yield "rope.freq_base", float(config["rope_theta"])
    if nextn:
        yield "nextn_predict_layers", nextn
    if config.get("kv_lora_rank"):
        yield from latent_metadata(case)
    else:
        width = head_width(config)
        yield "attention.head_count_kv", config["num_key_value_heads"]
        yield "rope.dimension_count", width
        if config.get("head_dim"):
            yield "attention.key_length", width
            yield "attention.value_length", width
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("type") or scaling.get("rope_type")
    if kind in ("linear", "yarn"):
        yield "rope.scaling.type", kind
        yield "rope.scaling.factor", float(scaling["factor"])
    if kind == "yarn":
        yield "rope.scaling.original_context_length", scaling["original_max_position_embeddings"]
        if "mscale_all_dim" in scaling:
            yield "rope.scaling.yarn_log_multiplier", 0.1 * scaling["mscale_all_dim"]
    if config.get("n_routed_experts"):
        yield from expert_metadata(config)


def latent_metadata(case):
    config, current = case.config, case.layout == "current"
    key, value = config["qk_nope_head_dim"] + config["qk_rope_head_dim"], config["v_head_dim"]
    rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    yield "attention.head_count_kv", 1 if current else config["num_attention_heads"]
    yield "attention.key_length", rank + rope if current else key
    yield "attention.value_length", rank if current else value
    if current:
        yield "attention.key_length_mla", key
        yield "attention.value_length_mla", value
    if config.get("q_lora_rank"):
        yield "attention.q_lora_rank", config["q_lora_rank"]
    yield "attention.kv_lora_rank", rank
    yield "rope.dimension_count", rope


def expert_metadata(config):
    yield "leading_dense_block_count", config["first_k_dense_replace"]
    yield "expert_count", config["n_routed_experts"]
    yield "expert_used_count", config["num_experts_per_tok"]
    yield "expert_shared_count", config["n_shared_experts"]
    yield "expert_feed_forward_length", config["moe_intermediate_size"]
    yield "expert_weights_scale", float(config.get("routed_scaling_factor", 1.0))
    yield "expert_weights_norm", bool(config["norm_topk_prob"])
    yield "expert_gating_func", 2 if config["scoring_func"] == "sigmoid" else 1
    if config.get("n_group"):
        yield "expert_group_count", config["n_group"]
        yield "expert_group_used_count", config["topk_group"]


def write_gguf(path, case, weights):
    """Writes path, or path's numbered parts; gives the file to open."""
    architecture = ARCHITECTURE[case.config["model_type"]]
    rng = np.random.default_rng([case.seed, 0x66756767])
    tensors = [(name, type_of(case.storage, name, value), value) for name, value in gguf_tensors(case, weights)]
    split = 0 if case.parts == 1 else -(-len(tensors) // case.parts)
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=split)
    writer.add_name(case.name)
    writer.add_quantization_version(2)
    for key, value in metadata(case):
        if key in case.omit:
            continue
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        add[type(value)](f"{architecture}.{key}", value)
    vocabulary.add_to_gguf(writer, case.config["model_type"], case.config["vocab_size"])
    for name, kind, value in tensors:
        writer.add_tensor(name, encode(rng, kind, value), raw_dtype=kind)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if case.parts == 1 else path.with_name(f"{path.stem}-00001-of-{case.parts:05}.gguf")


def read_config(fields, tensors):
    """config.json's words from the metadata of one of the architectures written here."""
    architecture = fields["general.architecture"]
    def get(key, default=None):
        return fields.get(f"{architecture}.{key}", default)
    heads, nextn = get("attention.head_count"), get("nextn_predict_layers", 0)
    config = {"model_type": {"deepseek2": "deepseek_v3"}.get(architecture, architecture),
              "num_hidden_layers": get("block_count") - nextn, "num_nextn_predict_layers": nextn,
              "hidden_size": get("embedding_length"), "intermediate_size": get("feed_forward_length"),
              "num_attention_heads": heads, "num_key_value_heads": get("attention.head_count_kv", heads),
              "rms_norm_eps": get("attention.layer_norm_rms_epsilon"), "rope_theta": get("rope.freq_base", 10000.0),
              "max_position_embeddings": get("context_length"), "tie_word_embeddings": "output.weight" not in tensors,
              "vocab_size": tensors["token_embd.weight"].shape[0]}
    kind = get("rope.scaling.type")
    if kind in ("linear", "yarn"):
        config["rope_scaling"] = {"rope_type": kind, "factor": get("rope.scaling.factor")}
    if kind == "yarn":
        config["rope_scaling"]["original_max_position_embeddings"] = get("rope.scaling.original_context_length")
        if architecture == "deepseek2":  # the file knows one mscale: cosine and sine are not scaled
            mscale = get("rope.scaling.yarn_log_multiplier", 0.0) / 0.1
            config["rope_scaling"] |= {"mscale": mscale, "mscale_all_dim": mscale}
    if architecture == "deepseek2":
        rope = get("rope.dimension_count")
        config |= {"q_lora_rank": get("attention.q_lora_rank"), "kv_lora_rank": get("attention.kv_lora_rank"),
                   "qk_rope_head_dim": rope,
                   "qk_nope_head_dim": get("attention.key_length_mla", get("attention.key_length")) - rope,
                   "v_head_dim": get("attention.value_length_mla", get("attention.value_length"))}
    else:
        config["head_dim"] = get("attention.key_length", config["hidden_size"] // heads)
    if get("expert_count"):
        config |= read_expert_config(get, tensors)
    return config


def read_expert_config(get, tensors):
    experts, sigmoid = get("expert_count"), get("expert_gating_func", 1) == 2
    groups, kept = get("expert_group_count"), get("expert_group_used_count")
    if groups is None:  # older files: ungrouped, unless it can only be V3
        groups, kept = (8, 4) if sigmoid and experts == 256 else (1, 1)
    biased = any(name.endswith("exp_probs_b.bias") for name in tensors)
    return {"first_k_dense_replace": get("leading_dense_block_count", 0), "n_routed_experts": experts,
            "num_experts_per_tok": get("expert_used_count"), "n_shared_experts": get("expert_shared_count", 0),
            "moe_intermediate_size": get("expert_feed_forward_length"), "n_group": groups, "topk_group": kept,
            "routed_scaling_factor": get("expert_weights_scale", 1.0),
            "norm_topk_prob": get("expert_weights_norm", False),
            "scoring_func": "sigmoid" if sigmoid else "softmax",
            "topk_method": "noaux_tc" if biased else "group_limited_greedy" if groups > 1 else "greedy"}


def read_gguf(path):
    """path: the file, or the first of its parts."""
    parts = sorted(path.parent.glob(path.name.replace("-00001-of-", "-*-of-"))) if "-00001-of-" in path.name else [path]
    fields, tensors, blocks = {}, {}, set()
    for part in parts:
        reader = gguf.GGUFReader(part)
        fields |= {key: field.contents() for key, field in reader.fields.items() if key not in fields}
        for tensor in reader.tensors:
            shape = tuple(int(n) for n in reversed(tensor.shape))
            if gguf.GGML_QUANT_SIZES[tensor.tensor_type][0] > 1:
                blocks.add(tensor.name)
            tensors[tensor.name] = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
    config = read_config(fields, tensors)
    weights = {}
    for source, name, value in hugging_face_tensors(config, fields["general.architecture"], tensors):
        weights[name] = torch.from_numpy(np.ascontiguousarray(value))
        weights[name].blocks = source in blocks
    return config, weights


def hugging_face_tensors(config, architecture, tensors):
    """(name in the file, Hugging Face's name, array)"""
    top, block = ({short: name for name, short in table.items()} for table in (TOP, BLOCK))
    for name, value in tensors.items():
        stem, kind = name.rsplit(".", 1)
        if stem == "rope_freqs":
            yield name, "rope_freqs", value
            continue
        if stem in top:
            yield name, f"{top[stem]}.{kind}", value
            continue
        _, number, part = stem.split(".", 2)
        prefix = f"model.layers.{number}."
        if part == "exp_probs_b":
            yield name, prefix + BIAS, value
        elif part.endswith("_exps"):
            which = block[part.removesuffix("_exps")].removeprefix("mlp.")
            for expert, matrix in enumerate(value):
                yield name, f"{prefix}mlp.experts.{expert}.{which}.weight", matrix
        elif part == "attn_v_b":
            continue
        elif part == "attn_k_b":
            v = tensors[f"blk.{number}.attn_v_b.weight"]
            yield name, prefix + "self_attn.kv_b_proj.weight", joined_kv_b(config, value, v)
        else:
            if architecture in PERMUTED and part in ("attn_q", "attn_k"):
                value = unpermute(value, config["num_attention_heads" if part == "attn_q" else "num_key_value_heads"])
            yield name, f"{prefix}{block[part]}.{kind}", value


def joined_kv_b(config, k, v):
    heads, nope, rank = config["num_attention_heads"], config["qk_nope_head_dim"], config["kv_lora_rank"]
    per_head = np.concatenate((k.reshape(heads, rank, nope).swapaxes(1, 2), v.reshape(heads, -1, rank)), axis=1)
    return per_head.reshape(-1, rank)
