"""What one decoder layer keeps for its backward pass, in bytes, from what its operations save."""

from __future__ import annotations

import msgspec

from tuiwiz.catalog.shapes import ModelShape, Projection
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import Stack
from tuiwiz.memory.trained import ATTENTION, Layer, Trained, masters_of, trained_of


class Saved(msgspec.Struct, frozen=True):
    """Bytes of one micro-batch.

    `layer`: all that one layer saves, the one that saves most; `layers`: what all of them save. `checkpoint`: the
    inputs of all layers, kept by checkpointing. `final`: the last norm and hidden state. `working`: gradients and a
    dequantised weight while one layer goes backward, with the attention's own; `working_of_mlp`: the same for its MLP
    half. `compute_copies`: 16-bit copies of fp32 weights; `layer_copies`: those of one layer.
    """

    layer: float
    layers: float
    checkpoint: float
    final: float
    working: float
    working_of_mlp: float
    compute_copies: float
    layer_copies: float


def saved(shape: ModelShape, setting: Setting, stack: Stack) -> Saved:
    """See `Saved`. All of it is proportional to the tokens, but for eager attention, which grows with their square."""
    tokens, compute = setting.tokens, setting.compute_bytes
    trained = trained_of(shape, setting)
    # fp32 norms lift the residual stream to fp32, and so do fp32 embeddings under autocast.
    autocast = stack.autocast(setting)
    wide = (masters_of(shape, setting).embedding and stack.masters_bytes == 4) or (stack.wide_norms and setting.adapts)
    stream = 4 if wide else compute
    linear_out = 4 if stack.wide_norms and setting.method == "qlora" else compute
    halves = [_halves(shape, setting, stack, kind, stream, linear_out) for kind, _ in trained.kinds]
    attention, mlp = max(halves, key=sum)
    scores = (
        setting.micro * setting.lines * shape.heads * setting.length**2 if setting.attention in ("eager", "math") else 0
    )
    kept_scores = scores * (4 if linear_out == 4 else 4 + linear_out)
    backward_scores = scores * (16 if linear_out == 4 else 14)
    layer = tokens * (attention + mlp) + kept_scores
    kept_of_all = sum(count * sum(of) for (_, count), of in zip(trained.kinds, halves, strict=True))
    layers = tokens * kept_of_all + trained.reached * kept_scores
    largest = max(one.inputs * one.outputs for one in shape.projections)
    dequantised = largest * (compute + 4 / 64) if setting.method == "qlora" else 0.0
    fused = stack.fused_adapters and setting.bits == 4
    width = linear_out * _width(shape)
    if fused and setting.adapts:
        # The gradient of the layer's output, then those of the MLP's product and of what it is the product of.
        mlp_work = tokens * stream * shape.hidden + max(2 * tokens * width, tokens * width + dequantised)
    else:
        mlp_work = tokens * (2 * stream * shape.hidden + 3 * width) + dequantised
    attention_work = (
        tokens * (attention + 2 * stream * shape.hidden) + backward_scores + dequantised - layer if scores else 0.0
    )
    copies = compute * _cast_parameters(shape, setting, trained) if autocast else 0.0
    own = sum(count for kind, count in trained.kinds if kind.reached and kind.masters) or shape.layers
    return Saved(
        layer=layer,
        layers=layers,
        # Also of layers that keep nothing else: what is to be computed again is decided before.
        checkpoint=tokens * stream * shape.hidden * shape.layers,
        final=_final(shape, setting, stack, stream, trained),
        working=max(mlp_work, attention_work),
        working_of_mlp=max(mlp_work, backward_scores - kept_scores),
        # Autocast keeps the copies of the forward pass until it ends, and the graph keeps those it needs.
        compute_copies=copies,
        layer_copies=copies / max(1, own),
    )


def _halves(
    shape: ModelShape, setting: Setting, stack: Stack, kind: Layer, stream: int, linear_out: int
) -> tuple[float, float]:
    """Bytes a token of a layer's attention and of its feed-forward part."""
    if not kind.reached:
        return 0.0, 0.0
    own = stack.masters_bytes if kind.master_norms else setting.compute_bytes
    norms = _norms(shape, kind, stream, own, setting) / 2
    # The gate, what it multiplies, and their activated form unless that is computed again.
    pieces = 2 if setting.slim or not shape.family.gated else 3
    attention = norms + _attention(shape, setting, linear_out) if kind.attention else 0.0
    mlp = norms + linear_out * pieces * _width(shape)
    if setting.adapts:
        attention += _adapter(shape, setting, stack, attention_half=True) if kind.attention else 0.0
        return attention, mlp + _adapter(shape, setting, stack, attention_half=False)
    # fp32 norms and an fp32 stream hand on fp32, which every matrix casts for itself.
    apart = stack.autocast(setting) and (kind.master_norms or stream == 4)
    attention += _inputs_kept(shape, setting, kind, apart, attention_half=True)
    return attention, mlp + _inputs_kept(shape, setting, kind, apart, attention_half=False)


def _final(shape: ModelShape, setting: Setting, stack: Stack, stream: int, trained: Trained) -> float:
    """The last norm's input and output, and the tables of positions; less the first norm's input where nothing before
    it is trained."""
    if stack.loss != "chunked":
        return setting.tokens * shape.hidden * (2 * stream + 4)
    wide = stream if setting.slim else 4
    whole = setting.method == "full" and not setting.phase
    kept = wide + (stream if whole and not setting.slim else 0)
    untrained = 0 if trained.embedding or setting.checkpointing else wide
    tables = 2 * shape.head_dim * (4 if stream == 4 else setting.compute_bytes) * setting.length
    return setting.tokens * shape.hidden * (kept - untrained) + tables


def _width(shape: ModelShape) -> int:
    """Width of the MLP that one token passes through, over all experts it uses."""
    if not shape.experts:
        return shape.intermediate
    return shape.active_experts * shape.expert_intermediate + shape.shared_intermediate


def _norms(shape: ModelShape, kind: Layer, stream: int, own: int, setting: Setting) -> float:
    """Bytes a token of all norms of a layer: the fp32 input and, where its weight is trained, the normalised one.

    Slim ones keep their input as it is and nothing else; they need weights, of `own` bytes, in the type of that input:
    the types of norms of heads disagree under autocast.
    """
    compute = setting.compute_bytes
    slim = setting.slim and own == stream
    norm = 4 + shape.hidden * (stream if slim else 4 + (stream if kind.norms else 0))
    heads = 0.0
    if shape.family.qk_norm != "none":
        slim = setting.slim and own == compute
        heads = (shape.query + shape.key_value) * (compute if slim else 4 + (compute if kind.norms else 0))
    return shape.family.norms * norm + heads


def _attention(shape: ModelShape, setting: Setting, linear_out: int) -> float:
    """Bytes a token of queries, keys, values and output; plain kernels see keys and values once per query head."""
    if setting.attention == "flash":
        return setting.compute_bytes * (2 * shape.query + 2 * shape.key_value) + 4 * shape.heads
    rows = 4 * shape.heads if setting.attention == "sdpa" else 0
    return linear_out * 4 * shape.query + rows


def _cast_parameters(shape: ModelShape, setting: Setting, trained: Trained) -> int:
    """Elements of the fp32 matrices that products need in 16 bits, where the backward pass comes to them."""
    if not setting.adapts:
        sizes = {one.name: 0 for one in shape.projections}
        for one in shape.projections:
            sizes[one.name] += one.parameters
        return sum(count * sum(sizes[name] for name in kind.masters) for kind, count in trained.kinds if kind.reached)
    return setting.rank * shape.parameters_per_rank(setting.targets, experts=False)


def _uses(shape: ModelShape, one: Projection) -> int:
    """How many copies of a matrix a token passes through."""
    return shape.active_experts if one.copies > 1 else 1


def _inputs_kept(shape: ModelShape, setting: Setting, kind: Layer, apart: bool, *, attention_half: bool) -> float:
    """Bytes a token of inputs that trained matrices keep for their gradient.

    Where an fp32 input is cast, `apart` for each matrix, every one keeps its own; else they share it. The input of the
    attention's output matrix is the attention's own output, which is kept already.
    """
    compute = setting.compute_bytes
    readers = [
        one
        for one in shape.projections
        if _half(one) == attention_half and one.name in kind.matrices and not one.name.endswith(("o_proj", "down_proj"))
    ]
    times = sum(_uses(shape, one) for one in readers) if apart else min(1, len(readers))
    down = 0 if attention_half or "down_proj" not in kind.matrices else compute * _width(shape)
    return compute * shape.hidden * times + down


def _adapter(shape: ModelShape, setting: Setting, stack: Stack, *, attention_half: bool) -> float:
    """Bytes a token of what adapters keep: a copy of their input in their own type, and their inner state."""
    # PEFT's own layers run over 8-bit weights.
    fused = stack.fused_adapters and setting.bits == 4
    cast = fused or stack.autocast(setting)
    size = setting.compute_bytes if cast else stack.adapter_bytes
    ours = [one for one in shape.targeted(setting.targets) if _half(one) == attention_half and one.copies == 1]
    inner = sum(setting.rank * size for _ in ours)
    dropped = sum(one.inputs * (1 + size) for one in ours) if setting.dropout else 0
    if fused and setting.dropout:
        return inner + sum(one.inputs * 2 * size for one in ours)
    # fp32 adapters take a copy of their input each, also where autocast makes it small again.
    copied = stack.adapter_bytes != setting.compute_bytes and not fused
    if copied or setting.dropout:
        return inner + dropped + sum(size * one.inputs for one in ours)
    shared = {one.inputs for one in ours if not one.name.endswith(("o_proj", "down_proj"))}
    # What the last matrix of a slim MLP reads is made again from the gate and what it multiplies.
    again = fused and setting.slim and shape.family.gated
    own = 0 if again else sum(one.inputs for one in ours if one.name.endswith("down_proj"))
    return inner + size * (sum(shared) + own)


def _half(one: Projection) -> bool:
    return one.name in ATTENTION
