"""The cases: one small random model each, and what its file looks like.

A GGUF case that names a `twin` holds the same weights as that directory case, so both must give the same logits.
`committed` cases lie in tests/golden/data and run with ./test; the others are for a folder made on demand.
"""
from dataclasses import dataclass, replace

VOCAB = 269  # 264 tokens and a few unused rows: odd, and more than the tokenizer has
SHORT, LONG = 41, 600


@dataclass(frozen=True)
class Case:
    name: str
    config: dict
    seed: int
    form: str = "directory"    # or "gguf"
    storage: str = "bf16"      # f32, f16, bf16, fp8; in GGUF also a recipe of block types (see gguf_files.py)
    parts: int = 1             # files
    length: int = SHORT        # tokens
    committed: bool = True
    layout: str = "current"    # of latent attention in GGUF: current, unlabelled or legacy
    omit: tuple = ()           # metadata keys of GGUF left out
    twin: str = ""
    differs: str = ""          # why transformers computes something else
    margin: float = 1e-3       # by which the choice of experts must be clear
    notes: str = ""


def dense(model_type, **changes):
    return {"model_type": model_type, "vocab_size": VOCAB, "hidden_size": 36, "intermediate_size": 61,
            "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 1, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "max_position_embeddings": 2048, "tie_word_embeddings": False} | changes


def latent(model_type, **changes):
    base = {"model_type": model_type, "vocab_size": VOCAB, "hidden_size": 27, "intermediate_size": 45,
            "num_hidden_layers": 3, "num_attention_heads": 3, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "max_position_embeddings": 163840, "tie_word_embeddings": False,
            "attention_bias": False, "q_lora_rank": None, "kv_lora_rank": 22, "qk_nope_head_dim": 10,
            "qk_rope_head_dim": 16, "v_head_dim": 14, "n_routed_experts": 8, "n_shared_experts": 2,
            "num_experts_per_tok": 3, "moe_intermediate_size": 11, "first_k_dense_replace": 1, "moe_layer_freq": 1,
            "topk_method": "greedy", "n_group": 1, "topk_group": 1, "scoring_func": "softmax",
            "norm_topk_prob": False, "routed_scaling_factor": 1.0}
    if model_type == "deepseek_v3":
        base |= {"q_lora_rank": 18, "n_shared_experts": 1, "topk_method": "noaux_tc", "n_group": 4, "topk_group": 2,
                 "scoring_func": "sigmoid", "norm_topk_prob": True, "routed_scaling_factor": 2.5}
    base |= changes
    return base | {"num_key_value_heads": base["num_attention_heads"]}


def yarn(mscale, all_dim, **changes):
    return {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1,
            "mscale": mscale, "mscale_all_dim": all_dim} | changes


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 128}
QWEN3_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768,
              "attn_factor": 0.8782488562869419}
# 4 heads of 36 rows in kv_b, 28 in q_b: widths on both sides of 128, slices of a head that cross a block's border.
FP8 = latent("deepseek_v3", hidden_size=48, intermediate_size=132, kv_lora_rank=132, num_attention_heads=4,
             num_hidden_layers=2, n_routed_experts=6, n_group=3, topk_group=2, num_experts_per_tok=2,
             moe_intermediate_size=20, qk_nope_head_dim=12, v_head_dim=24)
GROUPED = {"q_lora_rank": 18, "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2,
           "routed_scaling_factor": 3.0, "num_hidden_layers": 2}

DIRECTORIES = [
    Case("llama", dense("llama", hidden_size=24, num_key_value_heads=3), 1, storage="f32", notes="no grouping, fp32"),
    Case("llama-llama3", dense("llama", head_dim=16, num_attention_heads=4, num_key_value_heads=2, attention_bias=True,
                               rope_theta=500000.0, rope_scaling=LLAMA3, rms_norm_eps=1e-5), 2, length=LONG,
         notes="llama3 scaling, grouped heads, head_dim of its own, biases on q, k, v and o"),
    Case("llama-linear-tied", dense("llama", rope_theta=100000.0, tie_word_embeddings=True,
                                    rope_scaling={"type": "linear", "factor": 4.0}), 3, storage="f16",
         notes="linear scaling, tied embedding"),
    Case("qwen2", dense("qwen2", hidden_size=40, num_attention_heads=4, num_key_value_heads=2), 4,
         parts=2, notes="biases, five rotary pairs, two shards"),
    Case("qwen3-yarn", dense("qwen3", head_dim=24, num_attention_heads=4, num_key_value_heads=2, rope_theta=1000000.0,
                             attention_bias=False, rope_scaling=QWEN3_YARN), 5, length=LONG,
         notes="norms on q and k, YaRN whose attn_factor is not read"),
    Case("qwen3-tied", dense("qwen3", head_dim=12, tie_word_embeddings=True, attention_bias=False), 6,
         committed=False, notes="as the small Qwen3 models: tied, no scaling"),
    Case("deepseek-moe", dense("deepseek", num_key_value_heads=3, n_routed_experts=8, n_shared_experts=2,
                               num_experts_per_tok=3, moe_intermediate_size=11, first_k_dense_replace=1,
                               moe_layer_freq=1, scoring_func="softmax", norm_topk_prob=False), 7,
         differs="transformers has no V1 MoE", notes="V1 MoE"),
    Case("v2-lite", latent("deepseek_v2", rope_scaling=yarn(0.707, 0.707)), 8, length=LONG,
         notes="no q_lora, greedy, YaRN with equal mscales"),
    Case("v2-grouped", latent("deepseek_v2", **GROUPED, rope_scaling=yarn(0.707, 1.0)), 9,
         notes="q_lora, group-limited routing, scaled weights, mscales that differ"),
    Case("v2-every-second", latent("deepseek_v2", moe_layer_freq=2, norm_topk_prob=True, routed_scaling_factor=3.0,
                                   rms_norm_eps=1e-5, fathom_latent_gain=0.05), 10,
         differs="transformers ignores moe_layer_freq and V2's norm_topk_prob",
         notes="experts in every second layer, normalised and so unscaled weights, latents small enough to show their "
               "epsilon"),
    Case("v3", latent("deepseek_v3"), 11, parts=3, notes="noaux_tc with groups, three shards, no YaRN"),
    Case("v3-yarn-mtp", latent("deepseek_v3", rope_scaling=yarn(1.0, 1.0), num_nextn_predict_layers=1,
                                      num_hidden_layers=2), 112,
         length=LONG, notes="YaRN, prediction layer"),
    Case("v3-fp8", FP8, 13, storage="fp8", parts=2,
         notes="FP8 with partial blocks both ways, head slices across blocks, two shards"),
    Case("v3-fp8-mtp", FP8 | {"num_nextn_predict_layers": 1, "rope_scaling": yarn(1.0, 1.0)}, 21, storage="fp8",
         committed=False, notes="FP8 and prediction layer, whose eh_proj is not FP8"),
    Case("v3-unnormalised", latent("deepseek_v3", norm_topk_prob=False, n_group=1, topk_group=1, q_lora_rank=None,
                                   moe_layer_freq=2, num_hidden_layers=5, rope_scaling=yarn(0.8, 0.9)), 14,
         committed=False, differs="transformers ignores moe_layer_freq",
         notes="sigmoid scores unnormalised, no q_lora, no groups, every second layer"),
]


def twin(of, name, **changes):
    source = next(case for case in DIRECTORIES if case.name == of)
    return replace(source, name=name, form="gguf", parts=changes.pop("parts", 1), twin=of, **changes)


BLOCK_LLAMA = dense("llama", hidden_size=256, intermediate_size=64, num_attention_heads=4, num_key_value_heads=1,
                    head_dim=16, rope_theta=100000.0)
BLOCK_LATENT = latent("deepseek_v2", hidden_size=256, intermediate_size=32, kv_lora_rank=32, qk_nope_head_dim=32,
                      qk_rope_head_dim=16, v_head_dim=32, num_attention_heads=2, num_hidden_layers=2,
                      n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=32,
                      rope_scaling=yarn(0.707, 0.707))

GGUFS = [
    twin("llama", "gguf-llama-f32", committed=False, notes="permuted q and k rows, fp32"),
    twin("llama-llama3", "gguf-llama-rope-freqs", notes="permuted q and k rows and biases, rope_freqs, F16 and F32",
         storage="f16"),
    twin("llama-linear-tied", "gguf-llama-linear-tied", committed=False,
         notes="linear scaling, no output tensor"),
    twin("qwen2", "gguf-qwen2-split", parts=2, notes="two files, bf16"),
    twin("qwen3-yarn", "gguf-qwen3-yarn", length=SHORT, notes="YaRN from metadata"),
    twin("deepseek-moe", "gguf-deepseek-moe", committed=False, notes="V1 MoE, permuted"),
    twin("v2-lite", "gguf-v2-lite-legacy", layout="legacy", length=SHORT, omit=("expert_gating_func",),
         notes="attn_kv_b, gating function absent"),
    Case("gguf-v2-grouped-unlabelled", latent("deepseek_v2", **GROUPED, rope_scaling=yarn(1.0, 1.0)), 15, form="gguf",
         layout="unlabelled", notes="two-dimensional k_b and v_b without the _mla keys"),
    twin("v3-yarn-mtp", "gguf-v3-mtp", length=SHORT,
         notes="k_b and v_b, groups, prediction layer without copies of embedding and head"),
    twin("v3", "gguf-v3-groups-in-parts", parts=3, committed=False, notes="three files"),
    Case("gguf-v3-ungrouped-legacy", latent("deepseek_v3", n_group=1, topk_group=1), 16, form="gguf", layout="legacy",
         storage="f16", omit=("expert_group_count", "expert_group_used_count"),
         notes="group counts absent: chosen from all experts"),
    Case("gguf-v3-256-experts", latent("deepseek_v3", hidden_size=32, n_routed_experts=256, n_group=8, topk_group=4,
                                       num_experts_per_tok=8, moe_intermediate_size=8, num_hidden_layers=2), 17,
         form="gguf", storage="f16", committed=False, omit=("expert_group_count", "expert_group_used_count"),
         notes="group counts absent, but 256 sigmoid experts: eight groups, four kept"),
    Case("gguf-llama-blocks", BLOCK_LLAMA, 118, form="gguf", storage="blocks", notes="every block format"),
    Case("gguf-v2-lite-blocks", BLOCK_LATENT, 19, form="gguf", storage="mixed", margin=0.05,
         notes="experts in Q4_K, Q6_K and 32-wide blocks, k_b and v_b in Q8_0"),
    Case("gguf-llama-q4-k", dense("llama", hidden_size=256, intermediate_size=512, num_attention_heads=4,
                                  num_key_value_heads=2, num_hidden_layers=3), 720, form="gguf", storage="q4_k",
         committed=False, notes="deeper, one format"),
]
CASES = DIRECTORIES + GGUFS
