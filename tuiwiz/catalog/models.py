# ruff: noqa: E501
"""Popular models whose shapes are known without their files, so that a size or a name is enough to plan.

Every row was read from a file that it names, and its count is checked against transformers' own class and against what
the publisher states. A model whose file or whose publisher's figure could not be opened, or whose figures contradict
each other, is not here; a folder or the hub's configuration gives its shape all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import msgspec

from tuiwiz.catalog.shapes import ModelShape


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the table. `gated`: the hub asks for an agreement before it gives the files.

    `source`: the file that its shape was read from, as `owner/repo@commit:path`, with `#entry` where that holds several
    models and the one it was read from is called otherwise; repositories are GitHub's unless `huggingface.co/` is in
    front. `stated`: the parameters that the publisher states, in its own digits (`14.7B`), or the size of its file of
    16-bit weights (`14.5 GB`); `stated_source`: where. Whether the head is the embedding follows from the two.
    """

    name: str
    hub: str
    shape: ModelShape
    licence: str
    gated: bool
    source: str
    stated: str
    stated_source: str


_APACHE, _MIT, _GEMMA = "Apache-2.0", "MIT", "Gemma terms"
_LLAMA2, _LLAMA3, _LLAMA31, _LLAMA32, _LLAMA33 = "Llama 2", "Llama 3", "Llama 3.1", "Llama 3.2", "Llama 3.3"

# Where shapes were read. Copies of a hub repository stand where its own file could not be opened.
_LITGPT = "Lightning-AI/litgpt@0006c973aa7d6ace293e2a5fedaf1f8f804f960c:litgpt/config.py"
_MLC = "mlc-ai/mlc-llm@f2b1ffe068a84d4703fb695ac9a3615c88713a1a:python/mlc_llm/model/model_preset.py"
_DEEPMIND = "google-deepmind/gemma@9fec24caa4890f34d78f8fb75f640127b735537b:gemma/gm/nn/_gemma.py"
_OLMO_1B = "allenai/OLMo@0db5b52533d456b8bed4e2111e79adfe28ce943c:configs/official-0425/OLMo2-1B-stage1.yaml"
_SMOLLM3 = "fetchwiki/HuggingFaceTB-SmolLM3-3B@24f7882f92998ee0e691d105ade637afc3e5171f:config.json"
_NEMO = "huggingface.co/yuyouyu/Mistral-Nemo-BD-RP@214cf2e:config.json"
_DEVSTRAL = "fetchwiki/mistralai-Devstral-Small-2507@bc3721c07bf4218d98ed05ea1cff91918ef2b17f:params.json"
_FALCON_3B = "huggingface.co/tiiuae/Falcon3-3B-Instruct@7853c22:config.json"
_FALCON_7B = "huggingface.co/tiiuae/Falcon3-7B-Instruct@ca6ceed0f6d5852f44ac1fdf5f8403bccb4449c9:config.json"
_GLM = (
    "huggingface/transformers@008e574391258935f3ecc3035c882e73bbcac419:src/transformers/models/glm/configuration_glm.py"
)
_INTERNLM3 = "huggingface.co/internlm/internlm3-8b-instruct@4b3bebb1ba729b21c0089307ec853f5d03f74743:config.json"
_YI_6B = "YouriLalain/2PRYMMAL-Yi1.5-6B-SLERP@b776bd3ce6784b96ff928b1d5ad51b2991909f2c:config.json"
_YI_9B = "huggingface.co/01-ai/Yi-1.5-9B@848fb0c:config.json"
_GRANITE_1B = "jeremieconte/granite-3.1-1b-a400m-instruct@0a854d48947ba295cc76a294b46d5f55f26c4bf4:config.json"
# Where publishers state the count. Keras is Google's, as Gemma is; the card of Qwen3-14B is a copy.
_BY_META2 = "meta-llama/llama-models@d13eea5ec039baa48b5f0fa3641692a45b639da7:models/llama2/MODEL_CARD.md"
_BY_META3 = "meta-llama/llama-models@1f0feb795a4130697ced243fb53051670d591653:models/llama3/MODEL_CARD.md"
_BY_META31 = "meta-llama/llama-models@1b5892739868e5333fb7f022ba91218f0ae5f9c2:models/llama3_1/MODEL_CARD.md"
_BY_META32 = "meta-llama/llama-models@1156e8676f57de65e085abde5b5e6bf79857ae6f:models/llama3_2/MODEL_CARD.md"
_BY_META33 = "meta-llama/llama-models@8c88b8c0d75dbd136b6895220c4f56ccbe2f2d24:models/llama3_3/MODEL_CARD.md"
_BY_META_CODE = "meta-llama/codellama@11925d7157bfcddb0206502053c3db3f5505f968:README.md"
_BY_QWEN25 = "QwenLM/qwenlm.github.io@3163bd2b188cad171235c310714bcfc271925c20:content/blog/qwen2.5-llm/index.md"
_BY_QWEN25_CODER = (
    "QwenLM/qwenlm.github.io@581c4b9b99d069795e748a8ac891a35c83fe07b8:content/blog/qwen2.5-coder-family/index.md"
)
_BY_QWEN3 = "QwenLM/qwenlm.github.io@995992005d1305d2e78abb5fa1756c74ff602721:content/blog/qwen3/index.md"
_BY_QWEN3_2507 = "QwenLM/Qwen3@e5ccfa934d333eb0efe59f9161dc631825264a70:README.md"
_BY_QWEN3_14B = "huggingface.co/OpenPipe/Qwen3-14B-Instruct@99e4a35:README.md"
_BY_QWEN_MOE = "QwenLM/qwenlm.github.io@37a4265ca9cffba3fc0aabc573137fa779ed392c:content/blog/qwen-moe/index.md"
_BY_KERAS1 = "keras-team/keras-hub@02aeee5f130da8ff3daf6efd2d0dce9914223d2b:keras_hub/src/models/gemma/gemma_presets.py"
_BY_KERAS3 = (
    "keras-team/keras-hub@00d9f10a8e74d4f552ed50170b7dcadb65d3bd52:keras_hub/src/models/gemma3/gemma3_presets.py"
)
_BY_MISTRAL = (
    "mistralai/platform-docs-public@0bdc04e778f78c7e7e92e32e6e3949d5bd333688:docs/getting-started/models/weights.md"
)
_BY_MISTRAL_7B = "huggingface.co/mistralai/Mistral-7B-Instruct-v0.3@c170c708c41dac9275d15a8fff4eca08d52bab71:consolidated.safetensors"
_BY_MICROSOFT = "microsoft/PhiCookBook@3ec6531165b2936b5f154e8709ab285b02cdcd2e:md/01.Introduction/01/01.PhiFamily.md"
_BY_SMOL = "huggingface/smollm@520bf251856580cd16ef71cad65e41dfcc222634:README.md"
_BY_AI2 = "allenai/OLMo-core@26acf9f5da0dda06ab546495a113b6a328f9cee2:src/scripts/official/OLMo2/README.md"
_BY_DEEPSEEK = "deepseek-ai/DeepSeek-R1@00f3296a14392e787d4138b5a0d8ce0e55a25b23:README.md"
_BY_DEEPSEEK_FILE = "huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B@6393b7559e403fd1d80bfead361586fd6f630a4d:model.safetensors"
_BY_TINYLLAMA = "jzhang38/TinyLlama@026587c0fbc5cf756eba92e0220566550df66ca7:README.md"
_BY_TII = "huggingface/blog@03109ec9f0450a1d17f744e85319ccaf414a09ee:falcon3.md"
_BY_THUDM = "THUDM/GLM-4@02831d280b314ac8aeafbcbb6c1c12229d2411ec:README.md"
_BY_INTERNLM = "huggingface.co/internlm/internlm3-8b-instruct@7324c42:README.md"
_BY_01AI = "01-ai/Yi-1.5@0704ac0632607ce76b65ac8f261ae9b5cfe54580:README.md"
_BY_IBM = "ibm-granite/granite-3.1-language-models@255bff67c94d3f56b382d529ce682cacb995a54e:README.md"

_Dense: TypeAlias = tuple[str, str, int, int, int, int, int, int, int, bool, str, bool, str, str, str]
_Experts: TypeAlias = tuple[str, str, int, int, int, int, int, int, int, int, int, int, bool, str, bool, str, str, str]
# Hub id; model_type; hidden, intermediate, layers, heads, kv heads, head width; vocabulary, tied; licence, gated; source, stated, where.
_DENSE: tuple[_Dense, ...] = (
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "llama", 576, 1536, 30, 9, 3, 64, 49152, True, _APACHE, False, _MLC, "135M", _BY_SMOL),
    ("HuggingFaceTB/SmolLM2-360M-Instruct", "llama", 960, 2560, 32, 15, 5, 64, 49152, True, _APACHE, False, _MLC, "360M", _BY_SMOL),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", "llama", 2048, 8192, 24, 32, 32, 64, 49152, True, _APACHE, False, _LITGPT, "1.7B", _BY_SMOL),
    ("HuggingFaceTB/SmolLM3-3B", "smollm3", 2048, 11008, 36, 16, 4, 128, 128256, True, _APACHE, False, _SMOLLM3, "3B", _BY_SMOL),
    ("google/gemma-3-270m-it", "gemma3_text", 640, 2048, 18, 4, 1, 256, 262144, True, _GEMMA, True, _DEEPMIND, "268098176", _BY_KERAS3),
    ("google/gemma-3-1b-it", "gemma3_text", 1152, 6912, 26, 4, 1, 256, 262144, True, _GEMMA, True, _MLC, "999885952", _BY_KERAS3),
    ("google/gemma-2b-it", "gemma", 2048, 16384, 18, 8, 1, 256, 256000, True, _GEMMA, True, _LITGPT, "2506172416", _BY_KERAS1),
    ("google/gemma-7b-it", "gemma", 3072, 24576, 28, 16, 16, 256, 256000, True, _GEMMA, True, _LITGPT, "8537680896", _BY_KERAS1),
    ("google/codegemma-7b-it", "gemma", 3072, 24576, 28, 16, 16, 256, 256000, True, _GEMMA, True, _LITGPT, "8537680896", _BY_KERAS1),
    ("google/gemma-2-2b-it", "gemma2", 2304, 9216, 26, 8, 4, 256, 256000, True, _GEMMA, True, _LITGPT, "2614341888", _BY_KERAS1),
    ("google/gemma-2-9b-it", "gemma2", 3584, 14336, 42, 16, 8, 256, 256000, True, _GEMMA, True, _LITGPT, "9241705984", _BY_KERAS1),
    ("google/gemma-2-27b-it", "gemma2", 4608, 36864, 46, 32, 16, 128, 256000, True, _GEMMA, True, _LITGPT, "27227128320", _BY_KERAS1),
    ("Qwen/Qwen2.5-0.5B-Instruct", "qwen2", 896, 4864, 24, 14, 2, 64, 151936, True, _APACHE, False, _LITGPT, "0.49B", _BY_QWEN25),
    ("Qwen/Qwen2.5-1.5B-Instruct", "qwen2", 1536, 8960, 28, 12, 2, 128, 151936, True, _APACHE, False, _LITGPT, "1.54B", _BY_QWEN25),
    ("Qwen/Qwen2.5-3B-Instruct", "qwen2", 2048, 11008, 36, 16, 2, 128, 151936, True, "Qwen research", False, _LITGPT, "3.09B", _BY_QWEN25),
    ("Qwen/Qwen2.5-7B-Instruct", "qwen2", 3584, 18944, 28, 28, 4, 128, 152064, False, _APACHE, False, _LITGPT, "7.61B", _BY_QWEN25),
    ("Qwen/Qwen2.5-14B-Instruct", "qwen2", 5120, 13824, 48, 40, 8, 128, 152064, False, _APACHE, False, _LITGPT, "14.7B", _BY_QWEN25),
    ("Qwen/Qwen2.5-72B-Instruct", "qwen2", 8192, 29568, 80, 64, 8, 128, 152064, False, "Qwen", False, _LITGPT, "72.7B", _BY_QWEN25),
    ("Qwen/Qwen2.5-Coder-0.5B-Instruct", "qwen2", 896, 4864, 24, 14, 2, 64, 151936, True, _APACHE, False, _LITGPT, "0.49B", _BY_QWEN25_CODER),
    ("Qwen/Qwen2.5-Coder-1.5B-Instruct", "qwen2", 1536, 8960, 28, 12, 2, 128, 151936, True, _APACHE, False, _LITGPT, "1.54B", _BY_QWEN25_CODER),
    ("Qwen/Qwen2.5-Coder-3B-Instruct", "qwen2", 2048, 11008, 36, 16, 2, 128, 151936, True, "Qwen research", False, _LITGPT, "3.09B", _BY_QWEN25_CODER),
    ("Qwen/Qwen2.5-Coder-7B-Instruct", "qwen2", 3584, 18944, 28, 28, 4, 128, 152064, False, _APACHE, False, _LITGPT, "7.61B", _BY_QWEN25_CODER),
    ("Qwen/Qwen2.5-Coder-14B-Instruct", "qwen2", 5120, 13824, 48, 40, 8, 128, 152064, False, _APACHE, False, _LITGPT, "14.7B", _BY_QWEN25_CODER),
    ("Qwen/Qwen3-0.6B", "qwen3", 1024, 3072, 28, 16, 8, 128, 151936, True, _APACHE, False, _LITGPT, "0.6B", _BY_QWEN3),
    ("Qwen/Qwen3-1.7B", "qwen3", 2048, 6144, 28, 16, 8, 128, 151936, True, _APACHE, False, _LITGPT, "1.7B", _BY_QWEN3),
    ("Qwen/Qwen3-4B", "qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True, _APACHE, False, _LITGPT, "4B", _BY_QWEN3),
    ("Qwen/Qwen3-8B", "qwen3", 4096, 12288, 36, 32, 8, 128, 151936, False, _APACHE, False, _LITGPT, "8B", _BY_QWEN3),
    ("Qwen/Qwen3-14B", "qwen3", 5120, 17408, 40, 40, 8, 128, 151936, False, _APACHE, False, _LITGPT, "14.8B", _BY_QWEN3_14B),
    ("Qwen/Qwen3-32B", "qwen3", 5120, 25600, 64, 64, 8, 128, 151936, False, _APACHE, False, _LITGPT, "32B", _BY_QWEN3),
    ("Qwen/Qwen3-4B-Instruct-2507", "qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True, _APACHE, False, _LITGPT, "4B", _BY_QWEN3_2507),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "qwen2", 1536, 8960, 28, 12, 2, 128, 151936, False, _MIT, False, _LITGPT + "#Qwen2.5-Math-1.5B", "3.55 GB", _BY_DEEPSEEK_FILE),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2", 3584, 18944, 28, 28, 4, 128, 152064, False, _MIT, False, _LITGPT + "#Qwen2.5-Math-7B", "7B", _BY_DEEPSEEK),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "qwen2", 5120, 13824, 48, 40, 8, 128, 152064, False, _MIT, False, _LITGPT + "#Qwen2.5-14B", "14B", _BY_DEEPSEEK),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "qwen2", 5120, 27648, 64, 40, 8, 128, 152064, False, _MIT, False, _LITGPT + "#Qwen2.5-32B", "32B", _BY_DEEPSEEK),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama", 4096, 14336, 32, 32, 8, 128, 128256, False, _MIT, False, _LITGPT, "8B", _BY_DEEPSEEK),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama", 8192, 28672, 80, 64, 8, 128, 128256, False, _MIT, False, _LITGPT, "70B", _BY_DEEPSEEK),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "llama", 2048, 5632, 22, 32, 4, 64, 32000, False, _APACHE, False, _LITGPT, "1.1B", _BY_TINYLLAMA),
    ("meta-llama/Llama-3.2-1B-Instruct", "llama", 2048, 8192, 16, 32, 8, 64, 128256, True, _LLAMA32, True, _MLC, "1.23B", _BY_META32),
    ("meta-llama/Llama-3.2-3B-Instruct", "llama", 3072, 8192, 28, 24, 8, 128, 128256, True, _LLAMA32, True, _MLC, "3.21B", _BY_META32),
    ("meta-llama/Meta-Llama-3-8B-Instruct", "llama", 4096, 14336, 32, 32, 8, 128, 128256, False, _LLAMA3, True, _LITGPT, "8B", _BY_META3),
    ("meta-llama/Meta-Llama-3-70B-Instruct", "llama", 8192, 28672, 80, 64, 8, 128, 128256, False, _LLAMA3, True, _LITGPT, "70B", _BY_META3),
    ("meta-llama/Llama-3.1-8B-Instruct", "llama", 4096, 14336, 32, 32, 8, 128, 128256, False, _LLAMA31, True, _LITGPT, "8B", _BY_META31),
    ("meta-llama/Llama-3.1-70B-Instruct", "llama", 8192, 28672, 80, 64, 8, 128, 128256, False, _LLAMA31, True, _LITGPT, "70B", _BY_META31),
    ("meta-llama/Llama-3.1-405B-Instruct", "llama", 16384, 53248, 126, 128, 8, 128, 128256, False, _LLAMA31, True, _LITGPT, "405B", _BY_META31),
    ("meta-llama/Llama-3.3-70B-Instruct", "llama", 8192, 28672, 80, 64, 8, 128, 128256, False, _LLAMA33, True, _LITGPT, "70B", _BY_META33),
    ("meta-llama/Llama-2-7b-chat-hf", "llama", 4096, 11008, 32, 32, 32, 128, 32000, False, _LLAMA2, True, _LITGPT, "7B", _BY_META2),
    ("meta-llama/Llama-2-13b-chat-hf", "llama", 5120, 13824, 40, 40, 40, 128, 32000, False, _LLAMA2, True, _LITGPT, "13B", _BY_META2),
    ("meta-llama/Llama-2-70b-chat-hf", "llama", 8192, 28672, 80, 64, 8, 128, 32000, False, _LLAMA2, True, _LITGPT, "70B", _BY_META2),
    ("codellama/CodeLlama-7b-hf", "llama", 4096, 11008, 32, 32, 32, 128, 32016, False, _LLAMA2, False, _MLC, "7B", _BY_META_CODE),
    ("codellama/CodeLlama-13b-hf", "llama", 5120, 13824, 40, 40, 40, 128, 32016, False, _LLAMA2, False, _MLC, "13B", _BY_META_CODE),
    ("microsoft/Phi-3-mini-4k-instruct", "phi3", 3072, 8192, 32, 32, 32, 96, 32064, False, _MIT, False, _LITGPT, "3.8B", _BY_MICROSOFT),
    ("microsoft/Phi-3-mini-128k-instruct", "phi3", 3072, 8192, 32, 32, 32, 96, 32064, False, _MIT, False, _LITGPT, "3.8B", _BY_MICROSOFT),
    ("microsoft/Phi-3.5-mini-instruct", "phi3", 3072, 8192, 32, 32, 32, 96, 32064, False, _MIT, False, _MLC, "3.8B", _BY_MICROSOFT),
    ("microsoft/Phi-4-mini-instruct", "phi3", 3072, 8192, 32, 24, 8, 128, 200064, True, _MIT, False, _MLC, "3.8B", _BY_MICROSOFT),
    ("microsoft/Phi-4-mini-reasoning", "phi3", 3072, 8192, 32, 24, 8, 128, 200064, True, _MIT, False, _LITGPT, "3.8B", _BY_MICROSOFT),
    ("microsoft/phi-4", "phi3", 5120, 17920, 40, 40, 10, 128, 100352, False, _MIT, False, _LITGPT, "14B", _BY_MICROSOFT),
    ("mistralai/Mistral-7B-Instruct-v0.3", "mistral", 4096, 14336, 32, 32, 8, 128, 32768, False, _APACHE, False, _LITGPT, "14.5 GB", _BY_MISTRAL_7B),
    ("mistralai/Mistral-Nemo-Instruct-2407", "mistral", 5120, 14336, 40, 32, 8, 128, 131072, False, _APACHE, False, _NEMO, "12B", _BY_MISTRAL),
    ("mistralai/Mistral-Small-24B-Base-2501", "mistral", 5120, 32768, 40, 32, 8, 128, 131072, False, _APACHE, False, _LITGPT, "24B", _BY_MISTRAL),
    ("mistralai/Devstral-Small-2507", "mistral", 5120, 32768, 40, 32, 8, 128, 131072, False, _APACHE, False, _DEVSTRAL, "24B", _BY_MISTRAL),
    ("mistralai/Mistral-Large-Instruct-2407", "mistral", 12288, 28672, 88, 96, 8, 128, 32768, False, "Mistral research", True, _LITGPT, "123B", _BY_MISTRAL),
    ("allenai/OLMo-2-0425-1B-Instruct", "olmo2", 2048, 8192, 16, 16, 16, 128, 100352, False, _APACHE, False, _OLMO_1B, "1B", _OLMO_1B),
    ("allenai/OLMo-2-1124-7B-Instruct", "olmo2", 4096, 11008, 32, 32, 32, 128, 100352, False, _APACHE, False, _LITGPT, "7B", _BY_AI2),
    ("allenai/OLMo-2-1124-13B-Instruct", "olmo2", 5120, 13824, 40, 40, 40, 128, 100352, False, _APACHE, False, _LITGPT, "13B", _BY_AI2),
    ("tiiuae/Falcon3-3B-Instruct", "llama", 3072, 9216, 22, 12, 4, 256, 131072, False, "Falcon", False, _FALCON_3B, "3B", _BY_TII),
    ("tiiuae/Falcon3-7B-Instruct", "llama", 3072, 23040, 28, 12, 4, 256, 131072, False, "Falcon", False, _FALCON_7B, "7B", _BY_TII),
    ("THUDM/glm-4-9b-chat-hf", "glm", 4096, 13696, 40, 32, 2, 128, 151552, False, "GLM-4", False, _GLM, "9B", _BY_THUDM),
    ("internlm/internlm3-8b-instruct", "internlm3", 4096, 10240, 48, 32, 2, 128, 128512, False, _APACHE, False, _INTERNLM3, "8B", _BY_INTERNLM),
    ("01-ai/Yi-1.5-6B-Chat", "llama", 4096, 11008, 32, 32, 4, 128, 64000, False, _APACHE, False, _YI_6B, "6B", _BY_01AI),
    ("01-ai/Yi-1.5-9B", "llama", 4096, 11008, 48, 32, 4, 128, 64000, False, _APACHE, False, _YI_9B, "9B", _BY_01AI),
)  # fmt: skip
# The same, with experts, active experts, the width of one and of the shared one in front of the vocabulary.
_EXPERTS: tuple[_Experts, ...] = (
    ("ibm-granite/granite-3.1-1b-a400m-instruct", "granitemoe", 1024, 24, 16, 8, 64, 32, 8, 512, 0, 49155, True, _APACHE, False, _GRANITE_1B, "1B", _BY_IBM),
    ("Qwen/Qwen1.5-MoE-A2.7B-Chat", "qwen2_moe", 2048, 24, 16, 16, 128, 60, 4, 1408, 5632, 151936, False, "Qwen", False, _MLC, "14.3B", _BY_QWEN_MOE),
    ("Qwen/Qwen3-30B-A3B", "qwen3_moe", 2048, 48, 32, 4, 128, 128, 8, 768, 0, 151936, False, _APACHE, False, _LITGPT, "30B", _BY_QWEN3),
    ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3_moe", 2048, 48, 32, 4, 128, 128, 8, 768, 0, 151936, False, _APACHE, False, _LITGPT, "30B", _BY_QWEN3_2507),
    ("Qwen/Qwen3-235B-A22B", "qwen3_moe", 4096, 94, 64, 4, 128, 128, 8, 1536, 0, 151936, False, _APACHE, False, _LITGPT, "235B", _BY_QWEN3),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral", 4096, 32, 32, 8, 128, 8, 2, 14336, 0, 32000, False, _APACHE, False, _LITGPT, "46.7B", _BY_MISTRAL),
    ("mistralai/Mixtral-8x22B-Instruct-v0.1", "mixtral", 6144, 56, 48, 8, 128, 8, 2, 16384, 0, 32768, False, _APACHE, False, _LITGPT, "140.6B", _BY_MISTRAL),
)  # fmt: skip


@cache
def all_models() -> tuple[Known, ...]:
    """Every model of the table, smallest first."""
    rows = [_dense(row) for row in _DENSE] + [_experts(row) for row in _EXPERTS]
    return tuple(sorted(rows, key=lambda known: known.shape.parameters))


def find(name: str) -> Known | None:
    """A model by its name or hub id, in any case; None if it is not in the table."""
    wanted = name.strip().lower()
    return next((known for known in all_models() if wanted in (known.name, known.hub.lower())), None)


def of_size(parameters: float, is_here: Callable[[Known], bool] | None = None) -> list[Known]:
    """Models within a third of so many parameters: those on this machine first, then those nearest in size.

    Among equals, one that asks for no agreement comes first, and a dense one before one with experts.
    """
    if parameters <= 0:
        return []
    here = is_here or on_this_machine
    near = [known for known in all_models() if abs(math.log(known.shape.parameters / parameters)) < math.log(4 / 3)]

    def rank(known: Known) -> tuple[bool, bool, bool, float]:
        apart = abs(math.log(known.shape.parameters / parameters))
        return not here(known), known.shape.experts > 0, known.gated, apart

    return sorted(near, key=rank)


def on_this_machine(known: Known) -> bool:
    """Whether the model's files are here, without asking the network."""
    from tuiwiz.base import places
    from tuiwiz.catalog.sources import has_weights, hub_cache

    cached = hub_cache(known.hub, None)
    return has_weights(places.cache() / "models" / known.name) or (cached is not None and has_weights(cached))


def _dense(row: _Dense) -> Known:
    hub, architecture, hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, tied = row[:10]
    shape = ModelShape(
        name=_name(hub),
        architecture=architecture,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        vocab=vocab,
        tied=tied,
    )
    return _known(hub, shape, row[10:])


def _experts(row: _Experts) -> Known:
    hub, architecture, hidden, layers, heads, kv_heads, head_dim, experts, active, width, shared, vocab, tied = row[:13]
    shape = ModelShape(
        name=_name(hub),
        architecture=architecture,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=width,
        vocab=vocab,
        tied=tied,
        experts=experts,
        active_experts=active,
        expert_intermediate=width,
        shared_intermediate=shared,
    )
    return _known(hub, shape, row[13:])


def _known(hub: str, shape: ModelShape, rest: tuple[str, bool, str, str, str]) -> Known:
    licence, gated, source, stated, stated_source = rest
    return Known(
        name=shape.name,
        hub=hub,
        shape=shape,
        licence=licence,
        gated=gated,
        source=source,
        stated=stated,
        stated_source=stated_source,
    )


def _name(hub: str) -> str:
    return hub.partition("/")[2].lower()
