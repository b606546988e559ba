"""Settings that no model has: each in place of those of a small honest model."""

from __future__ import annotations

from typing import Any

# Settings of a model whose positions are turns.
OF_LLAMA: dict[str, dict[str, Any]] = {
    "turns without end": {"rope_parameters": {"rope_type": "dynamic", "factor": 1e308, "rope_theta": 0}},
    "turns of no type": {"rope_parameters": {"rope_type": "sideways"}, "rope_scaling": ["x"]},
    "turns with a list of a million factors": {
        "rope_parameters": {"rope_type": "longrope", "short_factor": [1.0] * 10**6, "long_factor": [], "factor": -1}
    },
    "no heads of keys": {"num_key_value_heads": 0},
    "heads of keys that do not divide": {"num_key_value_heads": 3},
    "a window that is negative": {"sliding_window": -5, "use_sliding_window": True},
    "layers of a million types": {"layer_types": ["full_attention"] * 10**6},
    "layers of no type": {"layer_types": ["sideways", "full_attention"]},
}
PROCESSORS: dict[str, dict[str, Any]] = {
    "a picture of a million pixels a side": {"size": {"height": 10**6, "width": 10**6}},
    "a picture of no size": {"size": {"height": 0, "width": 0}},
    "a size that is a text": {"size": "large"},
    "a processor that there is not": {"image_processor_type": "NoSuchProcessor"},
    "code for the processor": {"auto_map": {"AutoImageProcessor": "modeling_x.X"}, "image_processor_type": "X"},
    "a piece that is cut out of a million pixels": {
        "do_center_crop": True,
        "crop_size": {"height": 10**6, "width": 10**6},
    },
    "numbers that grow without end": {"rescale_factor": 1e308, "do_rescale": True, "image_std": [0, 0, 0]},
    "a way of shrinking that there is not": {"resample": 99},
    "means that are texts": {"image_mean": ["a", "b", "c"]},
}
