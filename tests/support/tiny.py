"""A real but tiny Llama with a real tokenizer and ChatML template, made in a second, for tests that need no quality."""

from __future__ import annotations

import json
from pathlib import Path

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CORPUS = [
    "Turn a short request into exact JSON, please; the quick brown fox jumps over the lazy dog 0123456789.",
    "What is two plus two? It is four. How many apples does Tom have? He has three apples and five pears.",
    "system user assistant question answer instruction input output prompt completion text label chosen rejected",
]


def make_tokenizer(folder: Path, vocab: int = 512) -> Path:
    """Write `tokenizer.json`, `tokenizer_config.json`; the pad token is the end-of-turn token, as in SmolLM2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "model_max_length": 2048,
        "chat_template": CHATML,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return folder


def make_model(
    folder: Path, *, hidden: int = 64, layers: int = 2, vocab: int = 512, seed: int = 0, tied: bool = True
) -> Path:
    """Write a random Llama of about 0.1 M parameters (safetensors, fp32) with its tokenizer; returns `folder`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    make_tokenizer(folder, vocab)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_gpt2(folder: Path) -> Path:
    """Write a random GPT-2 of two layers: unlike Llama it has residual dropout."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    make_tokenizer(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=512, n_positions=512, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2, pad_token_id=2
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def make_encoder(folder: Path, *, hidden: int = 64, layers: int = 2, vocab: int = 512, seed: int = 0) -> Path:
    """Write a random BERT body without a head, whose tokenizer frames a text with two control tokens and, as that of
    many sentence encoders, says to pad and to truncate."""
    import torch
    from tokenizers import Tokenizer, processors
    from transformers import BertConfig, BertModel

    make_tokenizer(folder, vocab)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ends = [(token, tokenizer.token_to_id(token)) for token in SPECIAL[1:]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[1]} $A {SPECIAL[2]}",
        pair=f"{SPECIAL[1]} $A {SPECIAL[2]} $B {SPECIAL[2]}",
        special_tokens=ends,
    )
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(max_length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=0,
        # Wider than usual: words must differ enough for a body that never saw any.
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder
