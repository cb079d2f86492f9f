"""tuiwiz: from a data set and a GPU to a fine-tuned language model, inside a terminal, reproducibly."""

__version__ = "0.1.0"
