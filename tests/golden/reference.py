"""The forward pass of every architecture, written from the papers' equations: the oracle of the golden tests.

Shapes: T tokens, D model width, H heads, R kv rank, Q q rank, N nope, P rope, V value width, E experts, F ffn width.
Everything runs in the dtype it is given (float64 for the goldens, float32 to see how far rounding alone moves a case),
on weights already dequantised, with the whole sequence at once and no cache. It must not know how a file stores them.

Where transformers and DeepSeek's code differ, DeepSeek's formula stands here:
 * V2 with norm_topk_prob: normalised weights are not multiplied by routed_scaling_factor (transformers ignores the
   key);
 * moe_layer_freq: layers whose number it does not divide are dense (transformers ignores the key);
 * YaRN with only one of mscale, mscale_all_dim: the missing one is 1 and 0 (transformers then ignores the other);
The multi-token prediction layer follows DeepSeek's description; transformers' drafting model is held against it.
"""
import math
from dataclasses import dataclass, field

import torch

LATENT_EPS = 1e-6  # of the norms inside latent attention, whatever rms_norm_eps says


@dataclass
class Result:
    logits: torch.Tensor                    # [T, vocab]
    hidden: torch.Tensor                    # [layers + 1, T, D]: the embedding, then after each layer (before the norm)
    mtp_logits: torch.Tensor | None = None  # [T - 1, vocab]: row t from the hidden state at t and the token at t + 1
    mtp_hidden: torch.Tensor | None = None  # [T - 1, D]: the prediction layer's output, before shared_head.norm
    margins: list[torch.Tensor] = field(default_factory=list)  # per MoE layer [T]: how far the choice is from another


def rms_norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def linear(x, weight):
    """x W^T; where the weight is marked, x is first rounded as fast products with block formats round it."""
    return (eight_bit(x) if getattr(weight, "eight_bit", False) else x) @ weight.T


def eight_bit(x):
    """To 127 steps either side of zero, one scale for each 32 neighbours: what it costs to multiply in 8 bits."""
    groups = torch.nn.functional.pad(x, (0, -x.shape[-1] % 32)).unflatten(-1, (-1, 32))
    step = groups.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
    return ((groups / step).round() * step).flatten(-2)[..., : x.shape[-1]]


def swiglu(x, gate, up, down):
    return linear(torch.nn.functional.silu(linear(x, gate)) * linear(x, up), down)


def yarn_magnitude(factor, mscale):
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def rope_scaling(config):
    """The rope_scaling of config.json, its type under one name; {} where positions are not scaled."""
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("type", None)
    scaling.setdefault("rope_type", kind or "default")
    return scaling if scaling["rope_type"] != "default" else {}


def rope_frequencies(config, width):
    """inv [width / 2] of the angles pos * inv in float64, and the factor on cosine and sine."""
    theta = float(config.get("rope_theta", 10000.0))
    inv = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    scaling = rope_scaling(config)
    if not scaling:
        return inv, 1.0
    kind, factor = scaling["rope_type"], float(scaling.get("factor", 1.0))
    if kind == "linear":
        return (inv / factor), 1.0
    original = scaling.get("original_max_position_embeddings") or config.get("max_position_embeddings")
    if kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        wavelength = 2 * math.pi / inv
        smooth = (original / wavelength - low) / (high - low)
        between = (1 - smooth) * inv / factor + smooth * inv
        scaled = torch.where(wavelength > original / low, inv / factor, between)
        return torch.where(wavelength < original / high, inv, scaled), 1.0
    if kind == "yarn":
        def place(rotations):
            return width * math.log(original / (2 * math.pi * rotations)) / (2 * math.log(theta))
        low = max(math.floor(place(scaling.get("beta_fast") or 32)), 0)
        high = min(math.ceil(place(scaling.get("beta_slow") or 1)), width - 1)
        if low == high:
            high += 0.001
        ramp = ((torch.arange(width // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
        if "mscale" in scaling or "mscale_all_dim" in scaling:
            amplitude = (yarn_magnitude(factor, scaling.get("mscale", 1.0)) /
                         yarn_magnitude(factor, scaling.get("mscale_all_dim", 0.0)))
        else:
            amplitude = scaling.get("attention_factor") or yarn_magnitude(factor, 1.0)
        return (inv / factor * ramp + inv * (1 - ramp)), amplitude
    raise ValueError(f"rope_scaling of type {kind}: expected linear, llama3 or yarn")


def rotate(x, cos, sin, interleaved):
    """x [..., T, width] by angles [T, width / 2]: pairs (2i, 2i + 1), or (i, i + width / 2)."""
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def causal_attention(q, k, v, scale):
    """q, k [H, T, width], v [H, T, value width] to [T, H * value width]."""
    tokens = q.shape[1]
    scores = scale * (q @ k.transpose(1, 2))
    later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    out = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
    return out.transpose(0, 1).reshape(tokens, -1)


def top_margin(scores, count):
    """How far the count-th largest stands above the next; infinite where everything finite is taken."""
    if count >= scores.shape[-1]:
        return torch.full(scores.shape[:-1], torch.inf, dtype=scores.dtype)
    ordered = scores.sort(-1, descending=True).values
    return ordered[..., count - 1] - ordered[..., count]


def route(config, x, gate, bias):
    """Weights [T, E] of the experts (0: not chosen) and the margin [T] of the choice."""
    count, experts = config["num_experts_per_tok"], config["n_routed_experts"]
    groups, kept = config.get("n_group") or 1, config.get("topk_group") or 1
    method = config.get("topk_method") or ("noaux_tc" if bias is not None else "greedy")
    logits = x @ gate.T
    sigmoid = config.get("scoring_func", "softmax") == "sigmoid"
    scores = logits.sigmoid() if sigmoid else logits.softmax(-1)
    choice = scores if bias is None else scores + bias
    margin = torch.full(choice.shape[:-1], torch.inf, dtype=choice.dtype)
    if method != "greedy" and groups > 1:
        grouped = choice.view(-1, groups, experts // groups)
        group_scores = grouped.topk(2, -1).values.sum(-1) if method == "noaux_tc" else grouped.max(-1).values
        margin = torch.minimum(margin, top_margin(group_scores, kept))
        keep = torch.zeros_like(group_scores, dtype=torch.bool).scatter(1, group_scores.topk(kept, -1).indices, True)
        dropped = -torch.inf if method == "noaux_tc" else 0.0
        choice = grouped.masked_fill(~keep.unsqueeze(-1), dropped).reshape(-1, experts)
    margin = torch.minimum(margin, top_margin(choice, count))
    chosen = choice.topk(count, -1).indices
    weights = scores.gather(1, chosen)
    scale = config.get("routed_scaling_factor", 1.0)
    if config.get("norm_topk_prob") and count > 1:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        if not sigmoid:
            scale = 1.0  # V2 and before: either normalised or scaled
    return torch.zeros_like(scores).scatter(1, chosen, weights * scale), margin


class Reference:
    """A model from a configuration in config.json's words and weights [out, in] under Hugging Face's names.

    `angles` is the dtype of the rotary angles before their cosine is taken: float64, or float32 to follow transformers,
    whose angles carry an error of up to 3e-5 rad at position 600. Products with the weights named in `eight_bit` round
    their activations to 8 bits; never kv_b, whose two forms must agree.
    """

    def __init__(self, config, weights, dtype=torch.float64, angles=torch.float64, eight_bit=()):
        self.config, self.dtype, self.angle_dtype = config, dtype, angles
        self.weights = {name: value.to(dtype).clone() for name, value in weights.items()}
        for name in eight_bit:
            self.weights[name].eight_bit = "kv_b_proj" not in name
        self.kind = config["model_type"]
        self.latent = bool(config.get("kv_lora_rank"))

    def __call__(self, tokens, mtp=False):
        config, ids = self.config, torch.as_tensor(tokens)
        result = Result(None, None)
        h = self.weights["model.embed_tokens.weight"][ids]
        hidden = [h]
        for layer in range(config["num_hidden_layers"]):
            h = self.layer(layer, h, result.margins)
            hidden.append(h)
        result.hidden = torch.stack(hidden)
        h = rms_norm(h, self.weights["model.norm.weight"], self.eps)
        result.logits = linear(h, self.head())
        if mtp and config.get("num_nextn_predict_layers"):
            self.predict_next(ids, h, result)
        return result

    @property
    def eps(self):
        return self.config["rms_norm_eps"]

    def head(self):
        name = "model.embed_tokens.weight" if self.config.get("tie_word_embeddings") else "lm_head.weight"
        return self.weights[name]

    def predict_next(self, ids, normed, result):
        """The multi-token prediction layer: it reads the model's output after the final norm; embedding first."""
        number = self.config["num_hidden_layers"]
        def own(name):
            return self.weights.get(f"model.layers.{number}.{name}.weight")
        embedding, head = own("embed_tokens"), own("shared_head.head")
        embedding = self.weights["model.embed_tokens.weight"] if embedding is None else embedding
        head = self.head() if head is None else head
        pair = torch.cat((rms_norm(embedding[ids[1:]], own("enorm"), self.eps),
                          rms_norm(normed[:-1], own("hnorm"), self.eps)), dim=-1)
        result.mtp_hidden = self.layer(number, linear(pair, own("eh_proj")), result.margins)
        result.mtp_logits = linear(rms_norm(result.mtp_hidden, own("shared_head.norm"), self.eps), head)

    def layer(self, number, h, margins):
        def weight(name, kind="weight"):
            return self.weights.get(f"model.layers.{number}.{name}.{kind}")
        attention = self.latent_attention if self.latent else self.grouped_attention
        h = h + attention(weight, rms_norm(h, weight("input_layernorm"), self.eps))
        x = rms_norm(h, weight("post_attention_layernorm"), self.eps)
        return h + (self.experts(weight, x, margins) if self.is_moe(number) else self.dense(weight, "mlp", x))

    def is_moe(self, number):
        config = self.config
        return bool(config.get("n_routed_experts")) and number >= config.get("first_k_dense_replace", 0) and \
            number % config.get("moe_layer_freq", 1) == 0

    def angles(self, width, tokens):
        inv, amplitude = rope_frequencies(self.config, width)
        if "rope_freqs" in self.weights:  # a GGUF file ships its scaling as divisors
            inv = inv / self.weights["rope_freqs"].double()
        angle = torch.arange(tokens, dtype=self.angle_dtype)[:, None] * inv.to(self.angle_dtype)
        return (angle.cos() * amplitude).to(self.dtype), (angle.sin() * amplitude).to(self.dtype)

    def grouped_attention(self, weight, x):
        config, tokens = self.config, x.shape[0]
        heads = config["num_attention_heads"]
        kv_heads = config.get("num_key_value_heads") or heads
        width = config.get("head_dim") or config["hidden_size"] // heads
        def project(name, count):
            y, bias = linear(x, weight(f"self_attn.{name}")), weight(f"self_attn.{name}", "bias")
            return (y if bias is None else y + bias).view(tokens, count, width).transpose(0, 1)
        q, k, v = project("q_proj", heads), project("k_proj", kv_heads), project("v_proj", kv_heads)
        if self.kind == "qwen3":
            q, k = rms_norm(q, weight("self_attn.q_norm"), self.eps), rms_norm(k, weight("self_attn.k_norm"), self.eps)
        cos, sin = self.angles(width, tokens)
        q, k = rotate(q, cos, sin, interleaved=False), rotate(k, cos, sin, interleaved=False)
        k, v = (y.repeat_interleave(heads // kv_heads, dim=0) for y in (k, v))
        out = linear(causal_attention(q, k, v, width ** -0.5), weight("self_attn.o_proj"))
        bias = weight("self_attn.o_proj", "bias")
        return out if bias is None else out + bias

    def latent_attention(self, weight, x):
        config, tokens, heads = self.config, x.shape[0], self.config["num_attention_heads"]
        nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
        rank, value = config["kv_lora_rank"], config["v_head_dim"]
        if config.get("q_lora_rank"):
            qa = rms_norm(linear(x, weight("self_attn.q_a_proj")), weight("self_attn.q_a_layernorm"), LATENT_EPS)
            q = linear(qa, weight("self_attn.q_b_proj"))
        else:
            q = linear(x, weight("self_attn.q_proj"))
        q_nope, q_rope = q.view(tokens, heads, nope + rope).transpose(0, 1).split((nope, rope), dim=-1)
        latent, k_rope = linear(x, weight("self_attn.kv_a_proj_with_mqa")).split((rank, rope), dim=-1)
        latent = rms_norm(latent, weight("self_attn.kv_a_layernorm"), LATENT_EPS)
        cos, sin = self.angles(rope, tokens)
        q_rope, k_rope = rotate(q_rope, cos, sin, interleaved=True), rotate(k_rope, cos, sin, interleaved=True)
        expanded = linear(latent, weight("self_attn.kv_b_proj")).view(tokens, heads, nope + value).transpose(0, 1)
        k_nope, v = expanded.split((nope, value), dim=-1)
        scaling = rope_scaling(config)
        m = yarn_magnitude(float(scaling.get("factor", 1.0)), scaling.get("mscale_all_dim") or 0.0)
        q = torch.cat((q_nope, q_rope), dim=-1)
        k = torch.cat((k_nope, k_rope.expand(heads, tokens, rope)), dim=-1)
        return linear(causal_attention(q, k, v, (nope + rope) ** -0.5 * m * m), weight("self_attn.o_proj"))

    def dense(self, weight, name, x):
        return swiglu(x, *(weight(f"{name}.{part}_proj") for part in ("gate", "up", "down")))

    def experts(self, weight, x, margins):
        weights, margin = route(self.config, x, weight("mlp.gate"), weight("mlp.gate", "e_score_correction_bias"))
        margins.append(margin)
        y = self.dense(weight, "mlp.shared_experts", x) if self.config.get("n_shared_experts") else torch.zeros_like(x)
        for expert in range(self.config["n_routed_experts"]):
            rows = weights[:, expert].nonzero().flatten()
            if len(rows):
                out = self.dense(weight, f"mlp.experts.{expert}", x[rows])
                y = y.index_add(0, rows, weights[rows, expert, None] * out)
        return y
